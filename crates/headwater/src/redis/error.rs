//! The one place where errors of the client crate become ours.

use crate::{Error, ErrorKind};
use redis::{ErrorKind as Foreign, RedisError, ServerErrorKind};

/// What a failed call says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// The server answered, if only to refuse this call.
    Answers,
    /// The server answers, but cannot serve anybody just now.
    Unfit,
    /// Nothing came back in time.
    Silent,
    /// The connection is gone.
    Broken,
}

/// How the server is, judged by an error.
pub(super) fn health(error: &RedisError) -> Health {
    match error.kind() {
        _ if error.is_timeout() => Health::Silent,
        Foreign::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        ) => Health::Unfit,
        Foreign::Server(_) => Health::Answers,
        Foreign::Extension if is_refused_login(error) => Health::Broken,
        Foreign::Extension | Foreign::UnexpectedReturnType | Foreign::Client => Health::Answers,
        _ => Health::Broken,
    }
}

/// Turns an error of the client crate into ours. The message never holds a key.
pub(super) fn from_redis(error: RedisError) -> Error {
    let (kind, message) = meaning(&error);
    Error::new(kind, message).with_source(error)
}

fn meaning(error: &RedisError) -> (ErrorKind, &'static str) {
    use ErrorKind::{InvalidConfig, Timeout, Unavailable, Unexpected};
    match error.kind() {
        _ if error.is_timeout() => (Timeout, "no answer in time"),
        _ if error.is_connection_refusal() => (Unavailable, "connection refused"),
        Foreign::AuthenticationFailed => (Unavailable, LOGIN),
        Foreign::Extension if is_refused_login(error) => (Unavailable, LOGIN),
        Foreign::Io if is_about_certificates(error) => (Unavailable, CERTIFICATE),
        Foreign::Io if is_about_records(error) => {
            (Unavailable, "what answers there does not speak TLS")
        }
        Foreign::Io => (Unavailable, "the connection was lost or cannot be made"),
        Foreign::Parse => (Unavailable, NOT_REDIS),
        Foreign::InvalidClientConfig if is_about_tls(error) => {
            (InvalidConfig, "TLS is not compiled in: switch on the feature `redis-tls`")
        }
        Foreign::InvalidClientConfig => {
            (InvalidConfig, "the address or the settings make no sense")
        }
        Foreign::RESP3NotSupported => (InvalidConfig, "the server is older than Redis 6"),
        Foreign::MasterNameNotFoundBySentinel => {
            (Unavailable, "no sentinel knows a working master of that name")
        }
        Foreign::NoValidReplicasFoundBySentinel | Foreign::EmptySentinelList => {
            (Unavailable, "no sentinel names a server")
        }
        Foreign::ClusterConnectionNotFound => {
            (Unavailable, "no node of the cluster can be reached")
        }
        Foreign::Server(kind) => (Unavailable, of_server(kind, error)),
        Foreign::Extension => (Unavailable, of_code(error)),
        Foreign::UnexpectedReturnType => {
            (Unexpected, "a reply of another type than the command has")
        }
        _ => (Unavailable, "the client gave up"),
    }
}

const LOGIN: &str = "the server refused the user or the password";
const CERTIFICATE: &str = "a certificate was refused: it is missing, or of an authority that is \
    not trusted, or does not name this host";
const NOT_REDIS: &str = "what answers there does not speak the Redis protocol";

fn of_server(kind: ServerErrorKind, error: &RedisError) -> &'static str {
    match kind {
        ServerErrorKind::ReadOnly => "the server is a read-only replica",
        ServerErrorKind::BusyLoading => "the server is still loading its data",
        ServerErrorKind::MasterDown => "the server has lost its master",
        ServerErrorKind::ClusterDown => "the cluster does not serve this slot",
        ServerErrorKind::NoPerm => "the user may not run this command",
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => {
            "the cluster is moving this slot"
        }
        ServerErrorKind::CrossSlot => "a command spans slots of the cluster",
        _ => of_code(error),
    }
}

/// What the server calls its refusal.
pub(super) fn code(error: &RedisError) -> Option<&str> {
    refused_in_script(error).or(error.code())
}

fn of_code(error: &RedisError) -> &'static str {
    match code(error) {
        Some("READONLY") => "the server is a read-only replica",
        Some("OOM") => "the server's memory is full and it may not evict (maxmemory, noeviction)",
        Some("MISCONF") => "the server refuses writes because it cannot save to disk",
        Some("WRONGTYPE") => "another type of value is stored under the key",
        Some("NOREPLICAS") => "the server has too few replicas to accept writes",
        Some("BUSY") => "the server is busy with a script",
        _ => "the server refused the command",
    }
}

/// The code of what refused a call within a script: Redis before 7 has it in the text only, as
/// `ERR Error running script (...): -CODE text`, or `@user_script: LINE: -CODE text` if the script
/// returned the refusal.
fn refused_in_script(error: &RedisError) -> Option<&str> {
    let text = error.detail()?;
    let is_of_script =
        error.code() == Some("@user_script:") || text.starts_with("Error running script");
    text.split_once(": -").filter(|_| is_of_script)?.1.split_whitespace().next()
}

fn is_refused_login(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

fn is_about_certificates(error: &RedisError) -> bool {
    error.to_string().to_lowercase().contains("certificate")
}

/// What is no TLS record was received.
fn is_about_records(error: &RedisError) -> bool {
    error.to_string().contains("corrupt message")
}

fn is_about_tls(error: &RedisError) -> bool {
    let text = error.to_string();
    text.contains("TLS") || text.contains("tls")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn server(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("parses");
        match value {
            redis::Value::ServerError(error) => error.into(),
            other => unreachable!("{other:?}"),
        }
    }

    fn seen(error: RedisError) -> (ErrorKind, Health, String) {
        let health = health(&error);
        let error = from_redis(error);
        assert!(std::error::Error::source(&error).is_some());
        (error.kind(), health, error.to_string())
    }

    #[test]
    fn trouble_with_the_connection() {
        let io = |kind: io::ErrorKind| RedisError::from(io::Error::from(kind));
        let (kind, health, _) = seen(io(io::ErrorKind::TimedOut));
        assert_eq!((kind, health), (ErrorKind::Timeout, Health::Silent));
        let (kind, health, text) = seen(io(io::ErrorKind::ConnectionRefused));
        assert_eq!((kind, health), (ErrorKind::Unavailable, Health::Broken));
        assert!(text.contains("refused"), "{text}");
        let (kind, health, _) = seen(io(io::ErrorKind::BrokenPipe));
        assert_eq!((kind, health), (ErrorKind::Unavailable, Health::Broken));
    }

    #[test]
    fn trouble_with_the_set_up() {
        let general = |kind, text| RedisError::from((kind, text));
        let (kind, _, text) = seen(general(Foreign::AuthenticationFailed, "no"));
        assert_eq!(kind, ErrorKind::Unavailable);
        assert!(text.contains("password"), "{text}");
        let (kind, _, text) = seen(general(Foreign::InvalidClientConfig, "can't connect with TLS"));
        assert_eq!(kind, ErrorKind::InvalidConfig);
        assert!(text.contains("redis-tls"), "{text}");
        let (kind, ..) = seen(general(Foreign::InvalidClientConfig, "bad url"));
        assert_eq!(kind, ErrorKind::InvalidConfig);
        let (_, health, text) = seen(general(Foreign::Parse, "bad"));
        assert_eq!(health, Health::Broken);
        assert!(text.contains("does not speak"), "{text}");
        let (_, _, text) = seen(general(Foreign::MasterNameNotFoundBySentinel, "no"));
        assert!(text.contains("sentinel"), "{text}");
    }

    #[test]
    fn refusals_of_the_server() {
        for (line, health, part) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", Health::Answers, "memory"),
            ("READONLY You can't write against a read only replica.", Health::Answers, "replica"),
            ("LOADING Redis is loading the dataset in memory", Health::Unfit, "loading"),
            ("MASTERDOWN Link with MASTER is down", Health::Unfit, "master"),
            ("CLUSTERDOWN Hash slot not served", Health::Unfit, "slot"),
            ("NOAUTH Authentication required.", Health::Broken, "password"),
            ("WRONGPASS invalid username-password pair", Health::Broken, "password"),
            ("NOPERM this user has no permissions", Health::Answers, "may not"),
            ("MISCONF Redis is configured to save RDB snapshots", Health::Answers, "disk"),
            ("WRONGTYPE Operation against a key", Health::Answers, "another type"),
            ("ERR unknown command", Health::Answers, "refused the command"),
            (
                "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not allowed",
                Health::Answers,
                "memory",
            ),
            ("@user_script: 24: -OOM command not allowed", Health::Answers, "memory"),
            (
                "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't write",
                Health::Answers,
                "replica",
            ),
        ] {
            let (kind, seen_health, text) = seen(server(line));
            assert_eq!((kind, seen_health), (ErrorKind::Unavailable, health), "{line}");
            assert!(text.contains(part), "{line}: {text}");
        }
    }
}
