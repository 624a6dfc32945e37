//! A table of results, printed as Markdown.

use std::fmt;

/// What one contender got in one row.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// What was measured: a number of something, or nanoseconds.
    pub(crate) value: f64,
    /// How many times better the baseline is (by how much, for shares); none where there is nothing
    /// to compare.
    pub(crate) ratio: Option<f64>,
    text: String,
}

impl Cell {
    /// Nanoseconds per operation, and how many times as long that is as the baseline's.
    pub(crate) fn time(nanoseconds: f64, ratio: f64) -> Self {
        let text = format!("{ratio:.2} ({})", duration(nanoseconds));
        Self { value: nanoseconds, ratio: Some(ratio), text }
    }

    /// Instructions per operation, and how many times as many that is as the baseline's.
    pub(crate) fn instructions(count: f64, ratio: f64) -> Self {
        Self { value: count, ratio: Some(ratio), text: format!("{ratio:.2} ({count:.0})") }
    }

    /// How many times as much as something else.
    pub(crate) fn factor(value: f64) -> Self {
        Self { value, ratio: None, text: format!("{value:.2}") }
    }

    /// A share from 0 to 1, and how much larger the baseline's is.
    pub(crate) fn share(share: f64, lead: f64) -> Self {
        Self { value: share, ratio: Some(lead), text: format!("{share:.4}") }
    }

    /// How many of something; `note` tells more about them.
    pub(crate) fn count(value: u64, note: Option<String>) -> Self {
        let text = note.map_or_else(|| value.to_string(), |note| format!("{value} ({note})"));
        Self { value: value as f64, ratio: None, text }
    }
}

/// One thing measured for all contenders.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Also its name in `targets.toml`.
    pub(crate) name: String,
    /// What is printed behind the name: how often it was done, say.
    pub(crate) detail: Option<String>,
    pub(crate) cells: Vec<(&'static str, Cell)>,
}

impl Row {
    pub(crate) fn cell(&self, contender: &str) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| *name == contender).map(|(_, cell)| cell)
    }

    fn heading(&self) -> String {
        let detail = self.detail.as_ref().map(|detail| format!(" ({detail})"));
        format!("{}{}", self.name, detail.unwrap_or_default())
    }
}

/// A bench's result.
pub(crate) struct Table {
    title: String,
    /// How to read it.
    legend: &'static str,
    rows: Vec<Row>,
    /// Rows that could not be measured, and why.
    missing: Vec<(String, String)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, legend: &'static str) -> Self {
        Self { title: title.into(), legend, rows: Vec::new(), missing: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Says that a row could not be measured, and why. That counts as a missed target.
    pub(crate) fn miss(&mut self, row: &str, why: impl Into<String>) {
        self.missing.push((row.to_owned(), why.into()));
    }

    /// Adds a row, or says why it could not be measured.
    pub(crate) fn push_or_miss(&mut self, name: &str, row: Result<Row, String>) {
        match row {
            Ok(row) => self.push(row),
            Err(why) => self.miss(name, why),
        }
    }

    /// Rows that could not be measured, and why.
    pub(crate) fn missing(&self) -> &[(String, String)] {
        &self.missing
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// All contenders, in the order in which rows name them first.
    fn contenders(&self) -> Vec<&'static str> {
        let mut contenders = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| &row.cells) {
            if !contenders.contains(name) {
                contenders.push(name);
            }
        }
        contenders
    }

    /// The heading and all rows, as text.
    fn grid(&self) -> Vec<Vec<String>> {
        let contenders = self.contenders();
        let heading = std::iter::once(String::new()).chain(contenders.iter().map(|&n| n.into()));
        let text = |row: &Row, contender: &str| {
            row.cell(contender).map_or_else(String::new, |cell| cell.text.clone())
        };
        let line = |row: &Row| {
            let cells = contenders.iter().map(|contender| text(row, contender));
            std::iter::once(row.heading()).chain(cells).collect()
        };
        std::iter::once(heading.collect()).chain(self.rows.iter().map(line)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.legend)?;
        let grid = self.grid();
        let columns = 0..grid.first().map_or(0, Vec::len);
        let width = |column: usize| grid.iter().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = columns.map(|column| width(column).unwrap_or(0).max(4)).collect();
        for (number, line) in grid.iter().enumerate() {
            write!(f, "| {:<1$} |", line[0], widths[0])?;
            for (text, width) in line.iter().zip(&widths).skip(1) {
                write!(f, " {text:>width$} |")?;
            }
            writeln!(f)?;
            if number == 0 {
                write!(f, "|:{:-<1$} |", "", widths[0])?;
                widths[1..].iter().try_for_each(|width| write!(f, " {:-<width$}:|", ""))?;
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// Nanoseconds in the unit that reads best.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        short if short < 10_000.0 => format!("{short:.0} ns"),
        middling if middling < 10_000_000.0 => format!("{:.0} µs", middling / 1e3),
        long => format!("{:.0} ms", long / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_aligned_markdown() {
        let mut table = Table::new("cups", "More is better.");
        let cells = vec![("ours", Cell::count(12, None)), ("rival", Cell::time(20.0, 1.5))];
        table.push(Row { name: "tea".into(), detail: Some("green".into()), cells });
        let expected = "## cups\n\nMore is better.\n\n\
            |             | ours |        rival |\n\
            |:----------- | ----:| ------------:|\n\
            | tea (green) |   12 | 1.50 (20 ns) |\n";
        assert_eq!(table.to_string(), expected);
    }
}
