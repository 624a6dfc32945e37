//! `correctness`: how often each cache gives a wrong answer, asks too often, or never answers.
//!
//! Nothing is left to luck where it can be forced. Sources are gated: a load reads its value and
//! then waits until the case lets it go on, so a race happens in each try in the order that the
//! case is about. Nor does a hang depend on how long one waits: the cases run on a clock that
//! stands still and jumps when no task can go on any more (see [`stage`]). The rows that say *at
//! random* are the exception: real threads, whatever happens happens.
//!
//! It is fair to rivals: each case asks for what a user would expect and counts only what harms
//! one. A rival that loads twice where we load once has a violation only in the rows about loads.

mod absent;
mod cancel;
mod insert;
mod invalidate;
mod panic;
mod reentrant;
mod source;
mod stage;
mod stampede;
mod unpolled;

use super::Bench;
use crate::contenders::{CRATES, Contender, TwoTiers, for_each_contender};
use crate::harness::{Cell, Options, Row, Table, Watchdog};
use stage::Tally;

pub(super) const BENCH: Bench = Bench {
    name: "correctness",
    about: "races, stampedes, cancelled and failing loads: violations counted (ours: 0)",
    crates: CRATES,
    run,
};

const LEGEND: &str = "Violations, in as many tries as stand behind the row's name: 0 is \
    right. Hung: never answered, though nothing was left to wait for.";

/// One situation, and what counts as a violation in it.
trait Case {
    /// What happens, and what is counted, in a few words.
    const NAME: &'static str;
    /// How often it is tried.
    const TRIES: u64;
    /// How often it is tried in a quick run.
    const QUICK_TRIES: u64;
    /// What a try is.
    const UNIT: &'static str = "tries";

    /// Tries it with one contender.
    fn run<C: Contender>(&self, tries: u64, seed: u64) -> Tally;
}

fn run(options: &Options) -> Table {
    let mut table = Table::new("Correctness: violations", LEGEND);
    table.push(row(&invalidate::Afterwards, options));
    table.push(row(&invalidate::Meanwhile, options));
    table.push(row(&invalidate::AtRandom, options));
    table.push(row(&insert::Insert, options));
    table.push(row(&stampede::OneKey, options));
    table.push(row(&stampede::Mixed, options));
    table.push(row(&stampede::Failing, options));
    table.push(row(&cancel::LoadsAgain, options));
    table.push(row(&cancel::Stranded, options));
    table.push(row(&cancel::AtRandom, options));
    table.push(row(&unpolled::Latecomer, options));
    table.push(row(&unpolled::Waiter, options));
    table.push(row(&panic::Callers, options));
    table.push(row(&panic::Afterwards, options));
    table.push(row(&absent::Flood, options));
    table.push(row(&reentrant::Own, options));
    table.push(row(&reentrant::Crossed, options));
    table
}

fn row<T: Case>(case: &T, options: &Options) -> Row {
    let mut cells = for_each_contender!(cell(case, options));
    cells.insert(1, cell::<TwoTiers>(case, options));
    let detail = format!("{} {}", options.scale(T::TRIES, T::QUICK_TRIES), T::UNIT);
    Row { name: T::NAME.to_owned(), detail: Some(detail), cells }
}

fn cell<C: Contender>(case: &impl Case, options: &Options) -> (&'static str, Cell) {
    (C::NAME, tally::<C, _>(case, options))
}

fn tally<C: Contender, T: Case>(case: &T, options: &Options) -> Cell {
    let _watchdog = Watchdog::watch(format!("{:?} with {}", T::NAME, C::NAME));
    let tally = case.run::<C>(options.scale(T::TRIES, T::QUICK_TRIES), options.seed);
    Cell::count(tally.violations + tally.hung, tally.note())
}
