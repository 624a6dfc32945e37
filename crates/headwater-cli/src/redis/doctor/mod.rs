//! `headwater doctor`: what is wrong with a server, for use as a tier, in plain words.
//!
//! [`ask`] finds out, [`findings`] judges, and this module tells.

mod ask;
mod findings;
mod info;

use super::{config, in_words};
use crate::args::DoctorArgs;
use crate::exit::{Exit, complain};
use crate::source::url::{self, Server};
use anyhow::{Context, Result};
use findings::{Check, Level};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Times of many round trips.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    p50_us: f64,
    p99_us: f64,
}

/// What was found. Its fields are the program's JSON; see `--help`.
#[derive(Debug, Serialize)]
struct Report {
    server: String,
    checks: Vec<Check>,
    ping: Option<Spread>,
    get: Option<Spread>,
    push: Option<Spread>,
}

/// Runs the command.
pub(crate) fn run(args: &DoctorArgs) -> Exit {
    match examine(args) {
        Ok(report) => tell(args, &report),
        Err(error) => {
            complain(&format_args!("{error:#}"));
            Exit::Unusable
        }
    }
}

fn examine(args: &DoctorArgs) -> Result<Report> {
    let server = url::parse_server(&args.redis)?;
    let namespace = server.namespace.as_deref().unwrap_or(&args.namespace);
    let config = config(&server, Some(namespace))?;
    let client = super::client(&server)?;
    let runtime = Runtime::new().context("starting threads")?;
    let report = runtime.block_on(async {
        let generous = config.connect_timeout(Duration::from_secs(2)).connect::<str, String>();
        // In the library's words, which are those of its errors at run time.
        match generous.await {
            Err(error) => Report::unreachable(&server, &error),
            Ok(_) => {
                let facts = ask::facts(&client, namespace).await;
                let (ping, get) = (facts.ping, facts.get);
                let push = facts.push.as_ref().ok().copied();
                Report { server: server.to_string(), checks: findings::of(&facts), ping, get, push }
            }
        }
    });
    runtime.shutdown_background();
    Ok(report)
}

impl Report {
    fn unreachable(server: &Server, error: &headwater::Error) -> Self {
        let said = in_words(server, error).to_string();
        let finding = said.strip_prefix(&format!("{server}: ")).unwrap_or(&said);
        let finding = finding.strip_prefix("redis: ").unwrap_or(finding);
        let check = findings::unreachable(finding);
        let server = server.to_string();
        Self { server, checks: vec![check], ping: None, get: None, push: None }
    }

    fn worst(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.server);
        for Check { name, level, finding, advice } in &self.checks {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {:<8} {name:<11} {finding}", level.word());
            if let Some(advice) = advice {
                let _ = writeln!(text, "{:>21}-> {advice}", "");
            }
        }
        let count = |level| self.checks.iter().filter(|check| check.level == level).count();
        let plural = |count, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        text.push_str(&match self.worst() {
            Level::Ok | Level::Note => "\nNothing to complain about.\n".to_owned(),
            _ => format!(
                "\n{}, {}.\n",
                plural(count(Level::Problem), "problem"),
                plural(count(Level::Warning), "warning")
            ),
        });
        text
    }
}

fn tell(args: &DoctorArgs, report: &Report) -> Exit {
    let told = match args.json {
        true => crate::enrich::print_json(report, true),
        false => crate::exit::print(&report.text()),
    };
    match report.worst() {
        Level::Ok | Level::Note => told,
        Level::Warning | Level::Problem => Exit::Failed,
    }
}
