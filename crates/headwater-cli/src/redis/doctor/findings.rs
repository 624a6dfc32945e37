//! What the facts about a server mean for a tier on it.

use super::Spread;
use super::ask::{Facts, Refusal};
use super::info::Info;
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// Good to know.
    Note,
    /// Works, but worse than it could, or not always.
    Warning,
    /// Does not work.
    Problem,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) finding: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, finding: impl Into<String>) -> Self {
        Self { name, level, finding: finding.into(), advice: None }
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Of a server that does not answer as one.
pub(super) fn unreachable(finding: &str) -> Check {
    let advice = if finding.contains("password") {
        "check user and password: redis://USER:PASSWORD@HOST:PORT/DB, or HEADWATER_REDIS_PASSWORD"
    } else if finding.contains("does not speak") {
        "check the port; for a server with TLS give rediss://"
    } else if finding.contains("TLS") {
        "build with `cargo build --release --features redis-tls`"
    } else {
        "check host and port, and whether the server runs and lets this machine connect"
    };
    Check::new("connection", Level::Problem, finding).advice(advice)
}

/// All findings, in the order in which they are told.
pub(super) fn of(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    match &facts.info {
        Ok(info) if !info.is_empty() => {
            checks.extend([version(info), role(info), memory(info), eviction(info)]);
            checks.extend(cluster(info, facts.cluster_state.as_deref()));
            checks.extend(clients(info));
        }
        info => {
            let why = info.as_ref().err().map_or("an empty reply", String::as_str);
            let finding = format!("unknown: the server does not answer INFO ({why})");
            checks.push(Check::new("server", Level::Warning, finding).advice(
                "let the user run INFO for version, role and memory to be checked (ACL: +info)",
            ));
        }
    }
    checks.extend([rights(&facts.refused), latency("latency", facts.ping, facts.get)]);
    checks.push(news(&facts.push));
    checks
}

fn version(info: &Info) -> Check {
    const NAME: &str = "version";
    let redis = info.text("redis_version").unwrap_or("unknown");
    if let Some(valkey) = info.text("valkey_version") {
        return Check::new(NAME, Level::Ok, format!("Valkey {valkey}"));
    }
    for (field, other) in [("dragonfly_version", "Dragonfly"), ("garnet_version", "Garnet")] {
        if let Some(version) = info.text(field) {
            return Check::new(NAME, Level::Warning, format!("{other} {version}"))
                .advice("headwater is tested with Redis 6.2 to 8 and Valkey");
        }
    }
    let finding = format!("Redis {redis}");
    let mut numbers = redis.split('.').map_while(|part| part.parse::<u32>().ok());
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if number < (6, 2) {
        Check::new(NAME, Level::Problem, finding).advice("headwater needs Redis 6.2 or newer")
    } else if number.0 > 8 {
        Check::new(NAME, Level::Warning, finding).advice("headwater is tested up to Redis 8")
    } else {
        Check::new(NAME, Level::Ok, finding)
    }
}

fn role(info: &Info) -> Check {
    const NAME: &str = "role";
    if info.text("redis_mode") == Some("sentinel") {
        return Check::new(NAME, Level::Problem, "a sentinel, which holds no data")
            .advice("give the URL of the master that it names");
    }
    match info.text("role") {
        Some("master") => Check::new(NAME, Level::Ok, "master, takes writes"),
        Some("slave") => {
            let master = match (info.text("master_host"), info.text("master_port")) {
                (Some(host), Some(port)) => format!("{host}:{port}"),
                _ => "its master".to_owned(),
            };
            let finding = "a replica: nothing can be stored, and what is read may be behind";
            Check::new(NAME, Level::Problem, finding).advice(format!("connect to {master}"))
        }
        other => Check::new(NAME, Level::Warning, format!("role {}", other.unwrap_or("unknown"))),
    }
}

/// From so much on, in per cent, memory counts as full.
const FULL: u64 = 95;

fn is_full(info: &Info) -> bool {
    let (used, limit) = (info.number("used_memory"), info.number("maxmemory"));
    matches!((used, limit), (Some(used), Some(limit)) if limit > 0 && used * 100 >= limit * FULL)
}

fn memory(info: &Info) -> Check {
    const NAME: &str = "memory";
    let used = info.number("used_memory").unwrap_or(0);
    match info.number("maxmemory") {
        None => Check::new(NAME, Level::Note, format!("{} used, limit unknown", size(used))),
        Some(0) => {
            let finding = format!("{} used, no limit (maxmemory 0)", size(used));
            Check::new(NAME, Level::Note, finding)
                .advice("a limit keeps it from taking all of the machine: CONFIG SET maxmemory 1gb")
        }
        Some(limit) => {
            let share = used * 100 / limit;
            let finding = format!("{} of {} used ({share} %)", size(used), size(limit));
            Check::new(NAME, Level::Ok, finding)
        }
    }
}

fn eviction(info: &Info) -> Check {
    const NAME: &str = "eviction";
    let policy = info.text("maxmemory_policy").unwrap_or("unknown");
    let advice = "for a cache: CONFIG SET maxmemory-policy allkeys-lfu";
    let has_limit = info.number("maxmemory").is_some_and(|limit| limit > 0);
    let (keys, expiring) = info.keys();
    let ending = keys - expiring.min(keys);
    if !has_limit {
        return Check::new(NAME, Level::Ok, format!("{policy}; never needed without a limit"));
    }
    if policy == "noeviction" {
        return match is_full(info) {
            true => Check::new(NAME, Level::Problem, "noeviction, and memory is full: no writes")
                .advice(format!("{advice}, or more memory")),
            false => {
                let finding = "noeviction: once memory is full, nothing more can be stored";
                Check::new(NAME, Level::Warning, finding).advice(advice)
            }
        };
    }
    if !policy.starts_with("volatile-") || ending == 0 {
        return Check::new(NAME, Level::Ok, policy);
    }
    let finding = format!("{policy}: {ending} of {keys} keys have no TTL and are never evicted");
    match (expiring, is_full(info)) {
        (0, true) => Check::new(NAME, Level::Problem, format!("{finding}; memory is full")),
        _ => Check::new(NAME, Level::Warning, finding),
    }
    .advice(format!("{advice}, or give the others a TTL"))
}

fn cluster(info: &Info, state: Option<&str>) -> Option<Check> {
    const NAME: &str = "cluster";
    if info.text("cluster_enabled") != Some("1") {
        return None;
    }
    Some(match state {
        Some("ok") => Check::new(NAME, Level::Problem, "a node of a cluster, which is well")
            .advice("this program talks to one server only; in the library, RedisConfig::cluster"),
        state => {
            let finding = format!("a node of a cluster in state `{}`", state.unwrap_or("unknown"));
            Check::new(NAME, Level::Problem, finding)
                .advice("see CLUSTER INFO and CLUSTER NODES: slots are not served")
        }
    })
}

/// Only if there are many.
fn clients(info: &Info) -> Option<Check> {
    let (now, most) = (info.number("connected_clients")?, info.number("maxclients")?);
    (now * 10 >= most * 9).then(|| {
        Check::new("clients", Level::Warning, format!("{now} of {most} connections are taken"))
            .advice("raise maxclients, or find who keeps them: CLIENT LIST")
    })
}

fn rights(refused: &[Refusal]) -> Check {
    const NAME: &str = "operations";
    let Some(first) = refused.first() else {
        return Check::new(NAME, Level::Ok, "reads, writes and scripts work");
    };
    let denied: Vec<_> =
        refused.iter().filter(|refusal| refusal.code == "NOPERM").map(|r| r.command).collect();
    if denied == ["SCAN"] {
        return Check::new(
            NAME,
            Level::Warning,
            "the user may not run SCAN: `clear` does not work",
        )
        .advice("ACL SETUSER ... +scan");
    }
    if !denied.is_empty() {
        let finding = format!("the user may not run {} here", denied.join(", "));
        return Check::new(NAME, Level::Problem, finding).advice(
            "ACL SETUSER ... +@read +@write +@scripting, with the keys of the namespace: \
             ~NS:* ~{NS:* ~!{NS:*",
        );
    }
    let finding = format!("{} is refused: {}", first.command, first.said);
    let check = Check::new(NAME, Level::Problem, finding);
    match first.code.as_str() {
        "OOM" => check.advice("memory is full: see eviction"),
        "READONLY" => check.advice("a replica: see role"),
        "MISCONF" => check.advice(
            "it cannot save to disk: repair that, or for a cache CONFIG SET \
             stop-writes-on-bgsave-error no",
        ),
        "NOREPLICAS" => check.advice("see min-replicas-to-write"),
        "MOVED" | "CLUSTERDOWN" => check.advice("see cluster"),
        _ => check,
    }
}

/// In microseconds: look-ups are given up after 250 ms.
const LATE: f64 = 250_000.0;
const SLOW: f64 = 10_000.0;

fn latency(name: &'static str, ping: Option<Spread>, get: Option<Spread>) -> Check {
    let (Some(ping), Some(get)) = (ping, get) else {
        return Check::new(name, Level::Warning, "not measured, because PING or GET failed");
    };
    let finding = format!("PING {}, GET {} (p50 / p99)", shown(ping), shown(get));
    if get.p99_us >= LATE {
        Check::new(name, Level::Warning, finding)
            .advice("look-ups are given up after 250 ms and go to the source; see SLOWLOG GET")
    } else if get.p50_us >= SLOW {
        Check::new(name, Level::Warning, finding)
            .advice("far away or busy: is it worth asking before the source? see SLOWLOG GET")
    } else {
        Check::new(name, Level::Ok, finding)
    }
}

fn news(push: &Result<Spread, String>) -> Check {
    const NAME: &str = "tracking";
    match push {
        Ok(spread) => {
            let finding =
                format!("from a write to its news elsewhere {} (p50 / p99)", shown(*spread));
            Check::new(NAME, Level::Ok, finding)
        }
        Err(why) => {
            let finding = format!("CLIENT TRACKING does not work ({why})");
            Check::new(NAME, Level::Warning, finding).advice(
                "memory in front then hears only of what headwater changes, by messages; allow it \
                 (RESP3, ACL: +client|tracking) to hear of all",
            )
        }
    }
}

fn shown(Spread { p50_us, p99_us }: Spread) -> String {
    let time = |micros: f64| match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        _ => format!("{:.1} ms", micros / 1_000.0),
    };
    format!("{} / {}", time(p50_us), time(p99_us))
}

fn size(bytes: u64) -> String {
    match bytes {
        ..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &[&str]) -> Info {
        Info::parse(&lines.join("\n"))
    }

    #[test]
    fn versions_that_are_not_tested_are_told() {
        let level = |line: &str| version(&info(&[line])).level;
        assert_eq!(level("redis_version:6.0.16"), Level::Problem);
        assert_eq!(level("redis_version:6.2.0"), Level::Ok);
        assert_eq!(level("redis_version:8.4.1"), Level::Ok);
        assert_eq!(level("redis_version:9.0.0"), Level::Warning);
        assert_eq!(level("valkey_version:9.1.0"), Level::Ok);
        assert_eq!(level("dragonfly_version:df-v1.2"), Level::Warning);
    }

    #[test]
    fn roles_that_cannot_store_are_problems() {
        let replica = info(&["role:slave", "master_host:10.0.0.1", "master_port:7"]);
        let check = role(&replica);
        assert_eq!(
            (check.level, check.advice.as_deref()),
            (Level::Problem, Some("connect to 10.0.0.1:7"))
        );
        assert_eq!(role(&info(&["redis_mode:sentinel"])).level, Level::Problem);
        assert_eq!(role(&info(&["role:master"])).level, Level::Ok);
    }

    #[test]
    fn a_full_memory_matters_by_what_may_be_evicted() {
        let level = |policy: &str, used: u64, keys: &str| {
            let used = format!("used_memory:{used}");
            let policy = format!("maxmemory_policy:{policy}");
            eviction(&info(&["maxmemory:1000", &used, &policy, keys])).level
        };
        assert_eq!(level("noeviction", 10, ""), Level::Warning);
        assert_eq!(level("noeviction", 990, ""), Level::Problem);
        assert_eq!(level("allkeys-lru", 990, "db0:keys=9,expires=0"), Level::Ok);
        assert_eq!(level("volatile-lru", 990, "db0:keys=9,expires=9"), Level::Ok);
        assert_eq!(level("volatile-lru", 10, "db0:keys=9,expires=0"), Level::Warning);
        assert_eq!(level("volatile-lru", 990, "db0:keys=9,expires=1"), Level::Warning);
        assert_eq!(level("volatile-ttl", 990, "db0:keys=9,expires=0"), Level::Problem);
        let unlimited = info(&["maxmemory:0", "maxmemory_policy:noeviction"]);
        assert_eq!(eviction(&unlimited).level, Level::Ok);
        assert_eq!(memory(&unlimited).level, Level::Note);
    }

    #[test]
    fn many_clients_are_told() {
        assert!(clients(&info(&["connected_clients:10", "maxclients:100"])).is_none());
        assert!(clients(&info(&["connected_clients:90", "maxclients:100"])).is_some());
    }

    #[test]
    fn slow_servers_are_told() {
        let spread = |p50_us: f64, p99_us: f64| Some(Spread { p50_us, p99_us });
        let level = |get| latency("latency", spread(1.0, 1.0), get).level;
        assert_eq!(level(spread(100.0, 900.0)), Level::Ok);
        assert_eq!(level(spread(20_000.0, 30_000.0)), Level::Warning);
        assert_eq!(level(spread(100.0, 300_000.0)), Level::Warning);
        assert_eq!(level(None), Level::Warning);
    }
}
