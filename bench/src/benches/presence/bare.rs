//! What one would send by hand.

use headwater::redis::client::Pipeline;

/// Connections in one request, as REDIS has them at best.
pub(super) const BATCH: usize = 1_000;
const ENDS: &str = "bare:ends";
const LIFE_MS: u64 = 3_600_000;

/// The end of a life, as a score. It need not be right.
const END: u64 = 1_800_000_000_000;

/// Members of a sorted set, by one command.
pub(super) fn add(members: &[String]) -> Pipeline {
    scored(members, false)
}

/// As [`add`], but only those that are there.
pub(super) fn touch(members: &[String]) -> Pipeline {
    scored(members, true)
}

fn scored(members: &[String], only_present: bool) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("ZADD").arg(ENDS);
    if only_present {
        pipeline.arg("XX");
    }
    // A new score each time, as the end of a life is.
    let end = END + fastrand::u64(..1_000_000);
    for member in members {
        pipeline.arg(end).arg(member);
    }
    pipeline.ignore();
    pipeline
}

/// One Redis key per connection.
pub(super) fn set(members: &[String], value: &str) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(members.len());
    for member in members {
        pipeline.cmd("SET").arg(key(member)).arg(value).arg("PX").arg(LIFE_MS).ignore();
    }
    pipeline
}

pub(super) fn expire(members: &[String]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(members.len());
    for member in members {
        pipeline.cmd("PEXPIRE").arg(key(member)).arg(LIFE_MS).ignore();
    }
    pipeline
}

fn key(member: &str) -> String {
    format!("bare:{member}")
}

/// A connection, its name, its value, its key, and the log.
pub(super) fn join(members: &[String], value: &str) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(5 * members.len());
    for member in members {
        pipeline.cmd("ZADD").arg("bare:z").arg(END).arg(member).ignore();
        pipeline.cmd("ZADD").arg("bare:l").arg(0).arg(member).ignore();
        pipeline.cmd("HSET").arg("bare:h").arg(member).arg(value).ignore();
        pipeline.cmd("ZADD").arg("bare:k").arg("GT").arg(END).arg(key(member)).ignore();
        pipeline.cmd("XADD").arg("bare:s").arg("MAXLEN").arg("~").arg(10_000).arg("*");
        pipeline.arg("s").arg(member).arg("v").arg(value).ignore();
    }
    pipeline
}

pub(super) fn forget_joined() -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("UNLINK").arg(&["bare:z", "bare:l", "bare:h", "bare:k", "bare:s"]).ignore();
    pipeline
}
