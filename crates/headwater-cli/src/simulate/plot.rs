//! Drawings: hit ratios over capacities, a curve per policy.

use super::policy::Policy;
use super::replay::Outcome;
use super::report::Report;
use crate::args::SimulateArgs;
use crate::input::plain_words;
use crate::progress::grouped;
use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::fs;
use std::path::Path;

/// In dots.
const SIZE: (u32, u32) = (1_280, 800);

/// What is called so in the drawing is in the font that comes with the program; a reader of SVG takes
/// its own.
const FONT: &str = "sans-serif";

/// Told apart by eyes that see no red or no green too (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const GREY: RGBColor = RGBColor(120, 120, 120);

/// A curve of LRU, which is known at every capacity, has no more corners than these.
const MOST_CORNERS: u32 = 400;

/// Everything that is to be seen.
struct Picture {
    title: String,
    subtitle: String,
    curves: Vec<Curve>,
    /// The least and the largest capacity.
    range: (f64, f64),
}

struct Curve {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    /// Which of them have dots: those that were asked for.
    dots: Vec<(f64, f64)>,
}

/// Whether this build can draw.
#[expect(clippy::unnecessary_wraps, reason = "its twin cannot")]
pub(super) fn check() -> Result<()> {
    Ok(())
}

/// Draws what was asked for.
pub(super) fn draw(args: &SimulateArgs, report: &Report, outcome: &Outcome) -> Result<()> {
    let files = [(&args.svg, svg as fn(&Picture) -> Result<Vec<u8>>), (&args.png, png)];
    for (path, draw) in files {
        let Some(path) = path else { continue };
        let drawn = draw(&Picture::new(args, report, outcome))?;
        write(path, &drawn).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn write(path: &Path, drawn: &[u8]) -> Result<()> {
    fs::write(path, drawn).map_err(plain_words).context("cannot be written")
}

impl Picture {
    fn new(args: &SimulateArgs, report: &Report, outcome: &Outcome) -> Self {
        let capacities = || report.points.iter().map(|row| row.capacity as f64);
        let least = capacities().fold(f64::INFINITY, f64::min);
        let largest = capacities().fold(1.0, f64::max);
        let curve = |policy| Curve::new(policy, report, outcome, (least, largest));
        let name = match args.input.file_name() {
            Some(name) if args.input.as_os_str() != "-" => name.to_string_lossy().into_owned(),
            _ => "stdin".to_owned(),
        };
        Self {
            title: format!("Hit ratio by cache size: {name}"),
            subtitle: format!(
                "{} requests of {} keys",
                grouped(report.requests),
                grouped(report.keys)
            ),
            curves: report.policies().into_iter().map(curve).collect(),
            // A single capacity has to have some width too.
            range: (least, largest.max(least * 1.1)),
        }
    }
}

impl Curve {
    fn new(policy: Policy, report: &Report, outcome: &Outcome, range: (f64, f64)) -> Self {
        let rows = report.points.iter().filter(|row| row.policy == policy);
        let dots: Vec<_> = rows.map(|row| (row.capacity as f64, row.hit_ratio)).collect();
        let (colour, points) = match (policy, &outcome.lru) {
            (Policy::Lru, Some(curve)) => {
                let hit_ratio = |capacity: f64| (capacity, curve.hit_ratio_at(capacity as u64));
                (BLUE, steps(range).map(hit_ratio).collect())
            }
            (Policy::Lru, None) => (BLUE, dots.clone()),
            (Policy::Memory, _) => (ORANGE, dots.clone()),
            (Policy::Fifo, _) => (GREEN, dots.clone()),
            (Policy::Optimum, _) => (GREY, dots.clone()),
        };
        Self { name: policy.name(), colour, points, dots }
    }
}

/// Whole capacities from the least to the largest, as far apart as they look alike.
fn steps((least, largest): (f64, f64)) -> impl Iterator<Item = f64> {
    let at = move |step: u32| {
        let part = f64::from(step) / f64::from(MOST_CORNERS);
        (least * (largest / least).powf(part)).round()
    };
    let mut last = 0.0;
    (0..=MOST_CORNERS)
        .map(at)
        .filter(move |capacity| std::mem::replace(&mut last, *capacity) < *capacity)
}

fn svg(picture: &Picture) -> Result<Vec<u8>> {
    let mut text = String::new();
    chart(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area(), picture)?;
    Ok(text.into_bytes())
}

fn png(picture: &Picture) -> Result<Vec<u8>> {
    let mut dots = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
    chart(&BitMapBackend::with_buffer(&mut dots, SIZE).into_drawing_area(), picture)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&dots)?;
    Ok(file)
}

fn chart<B: DrawingBackend>(area: &DrawingArea<B, Shift>, picture: &Picture) -> Result<()> {
    let letters =
        [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())];
    for (style, letters) in letters {
        register_font(FONT, style, letters).map_err(|_| anyhow!("the font cannot be used"))?;
    }
    // The backends write to memory: what can fail is only that something has no place.
    paint(area, picture).map_err(|error| anyhow!("drawing: {error}"))
}

fn paint<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    picture: &Picture,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    area.fill(&WHITE)?;
    let heading = (FONT, 28, FontStyle::Bold).into_font().color(&BLACK);
    area.draw(&Text::new(picture.title.as_str(), (40, 26), heading))?;
    let small = (FONT, 20).into_font().color(&GREY);
    area.draw(&Text::new(picture.subtitle.as_str(), (40, 64), small))?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(104)
        .margin_right(48)
        .margin_bottom(20)
        .margin_left(24)
        .x_label_area_size(64)
        .y_label_area_size(84)
        .build_cartesian_2d((picture.range.0..picture.range.1).log_scale(), 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc("entries")
        .y_desc("hits per request")
        .x_label_formatter(&|entries| grouped(entries.round() as u64))
        .y_label_formatter(&|ratio| format!("{:.0} %", ratio * 100.0))
        .y_labels(11)
        .max_light_lines(4)
        .label_style((FONT, 19))
        .axis_desc_style((FONT, 20))
        .bold_line_style(RGBColor(222, 222, 222))
        .light_line_style(RGBColor(242, 242, 242))
        .draw()?;
    for curve in &picture.curves {
        let line = curve.colour.stroke_width(3);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), line))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 32, y)], line));
        let dot = |at: &(f64, f64)| Circle::new(*at, 5, curve.colour.filled());
        chart.draw_series(curve.dots.iter().map(dot))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(20)
        .legend_area_size(44)
        .label_font((FONT, 20))
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    area.present()
}
