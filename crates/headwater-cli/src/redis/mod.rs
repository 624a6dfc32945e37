//! Redis and Valkey: as a tier, as a source, as a target of `load`, and what may be wrong with one
//! (`doctor`).

mod doctor;
mod load;
mod source;
mod tier;

pub(crate) use doctor::run as run_doctor;
pub(crate) use load::Loader;
pub(crate) use source::open_source;
pub(crate) use tier::Tier;

use crate::json::Json;
use crate::source::url::Server;
use anyhow::{Context, Result, anyhow};
use headwater::redis::client::{
    Client, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind,
};
use headwater::redis::{RedisCache, RedisConfig};
use std::error::Error;

/// Where the password may stand, so that nobody reads it from the list of processes.
const PASSWORD: &str = "HEADWATER_REDIS_PASSWORD";

/// Holds the program's values.
type Cache = RedisCache<str, Json>;

/// How the server is reached. With `namespace` none, keys and values are those of the Go package.
fn config(server: &Server, namespace: Option<&str>) -> Result<RedisConfig> {
    let config = RedisConfig::new(&server.url).map_err(|error| in_words(server, &error))?;
    let config = match password(server) {
        Some(password) => config.password(password),
        None => config,
    };
    Ok(match namespace {
        Some(namespace) => config.namespace(namespace),
        None => config.go_compatible(),
    })
}

/// The same server, to be asked what the library has no words for.
fn client(server: &Server) -> Result<Client> {
    let mut info = server.url.as_str().into_connection_info()?;
    if let Some(password) = password(server) {
        let login = info.redis_settings().clone().set_password(password);
        info = info.set_redis_settings(login);
    }
    Client::open(info).with_context(|| server.to_string())
}

/// The password, if the URL has none.
fn password(server: &Server) -> Option<String> {
    let info = server.url.as_str().into_connection_info().ok()?;
    match info.redis_settings().password() {
        Some(_) => None,
        None => std::env::var(PASSWORD).ok(),
    }
}

/// An error with the server's name, and without what repeats itself.
fn in_words(server: &Server, error: &headwater::Error) -> anyhow::Error {
    match client_error(error).and_then(RedisError::detail) {
        Some(detail) if !is_down(error) => anyhow!("{server}: {error} ({detail})"),
        _ => anyhow!("{server}: {error}"),
    }
}

/// Whether a server may just not be there (yet), or only not ready; and not be a wrong one.
fn is_down(error: &headwater::Error) -> bool {
    let Some(error) = client_error(error) else {
        return error.kind() == headwater::ErrorKind::Timeout;
    };
    let is_foreign = || {
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData)
    };
    let loading = [ServerErrorKind::BusyLoading, ServerErrorKind::MasterDown];
    match error.kind() {
        ErrorKind::Io => !is_foreign(),
        ErrorKind::Server(kind) => loading.contains(&kind),
        _ => error.is_timeout(),
    }
}

fn client_error(error: &headwater::Error) -> Option<&RedisError> {
    error.source()?.downcast_ref()
}

/// Values found so far that are none of ours; the tier counts them as misses.
fn unreadable(cache: &Cache) -> u64 {
    let stats = cache.stats();
    stats.corrupt + stats.other_schema + stats.wrong_type
}
