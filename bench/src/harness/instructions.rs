//! Instructions instead of time: what no other work on the machine can disturb.
//!
//! The program starts itself again under valgrind's `callgrind`, as a child that makes everything ready
//! and then calls [`counted`]: only what runs in there is counted. Loops and whatever else the bench
//! adds to an operation are counted too, for all contenders alike.

use super::table::{Cell, Row};
use crate::processes;
use std::hint::black_box;
use std::io;
use std::process::{Child, Command, Output, Stdio};
use std::thread::available_parallelism;

/// What begins the number in what callgrind says in the end.
const COLLECTED: &str = "Collected :";

/// A contender, and the arguments of the child in which it works.
pub(crate) type Run = (&'static str, Vec<String>);

/// Does `work`, and has its instructions counted, if callgrind watches.
///
/// It is found by its name, so it must stay a function of its own.
#[inline(never)]
pub(crate) fn counted(work: &mut dyn FnMut()) {
    work();
    // Without anything after it, the call would be a jump that leaves this function behind.
    black_box(());
}

/// The row of the instructions that each of `runs` takes for one of its `operations`: how many times as
/// many as `baseline` does. As many run at once as there are processors, since they do not disturb each
/// other's count.
///
/// The error says why there is none.
pub(crate) fn row(
    name: &str,
    role: &str,
    runs: &[Run],
    operations: usize,
    baseline: &str,
) -> Result<Row, String> {
    let at_once = available_parallelism().map_or(1, usize::from);
    let mut counts = Vec::with_capacity(runs.len());
    for some in runs.chunks(at_once) {
        let children: Vec<_> = some.iter().map(|(_, arguments)| start(role, arguments)).collect();
        let wait = |child: io::Result<Child>| child.and_then(Child::wait_with_output);
        // All of them, before anything is made of one: none is left behind.
        let ended: Vec<_> = children.into_iter().map(wait).collect();
        for ((contender, _), ended) in some.iter().zip(ended) {
            let ended = ended.map_err(|error| missing(&error))?;
            let count = collected(&ended).map_err(|said| format!("{contender}: {said}"))?;
            counts.push((*contender, count as f64 / operations as f64));
        }
    }
    let base = counts.iter().find(|(contender, _)| *contender == baseline).map(|(_, base)| *base);
    let base = base.ok_or_else(|| format!("{baseline} does not take part"))?;
    let cell = |(contender, count)| (contender, Cell::instructions(count, count / base));
    Ok(Row { name: name.to_owned(), detail: None, cells: counts.into_iter().map(cell).collect() })
}

fn start(role: &str, arguments: &[String]) -> io::Result<Child> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*harness*instructions*counted*");
    processes::again(&mut valgrind, role, arguments);
    valgrind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
}

fn missing(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no valgrind: `apt-get install valgrind`".to_owned(),
        _ => format!("valgrind cannot be started: {error}"),
    }
}

/// What callgrind counted.
fn collected(ended: &Output) -> Result<u64, String> {
    let said = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        return Err(format!("under valgrind: {}\n{said}", ended.status));
    }
    let count = said.lines().find_map(|line| line.split_once(COLLECTED));
    match count.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(0) | None => Err(format!("valgrind counted nothing\n{said}")),
        Some(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn ended(code: i32, said: &str) -> Output {
        let status = ExitStatus::from_raw(code);
        Output { status, stdout: Vec::new(), stderr: said.as_bytes().to_vec() }
    }

    #[test]
    fn the_count_is_what_callgrind_says_in_the_end() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(&ended(0, said)), Ok(123_456));
    }

    #[test]
    fn a_child_that_failed_or_was_not_counted_has_no_count() {
        assert!(collected(&ended(256, "==7== Collected : 5")).is_err());
        assert!(collected(&ended(0, "==7== Collected : 0")).is_err());
        assert!(collected(&ended(0, "")).is_err());
    }

    #[test]
    fn who_has_no_valgrind_is_told_what_to_install() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        assert!(missing(&error).contains("install valgrind"));
    }
}
