//! Asking a server: what it says about itself, what it lets this user do, and how long that takes.

use super::Spread;
use super::info::Info;
use headwater::redis::client::aio::MultiplexedConnection;
use headwater::redis::client::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError,
    RedisResult, Value, cmd,
};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const ROUND_TRIPS: usize = 200;
const PUSHES: usize = 20;
/// For one answer, or one push.
const PATIENCE: Duration = Duration::from_secs(2);
/// The probes' own life, should they not be removed.
const PROBE_LIFE: &str = "60000";
const VALUE: &[u8] = &[b'x'; 200];

/// What is known of a server that answers.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) info: Result<Info, String>,
    /// Of `CLUSTER INFO`, from a server that is part of a cluster.
    pub(super) cluster_state: Option<String>,
    /// What is needed and was refused.
    pub(super) refused: Vec<Refusal>,
    pub(super) ping: Option<Spread>,
    pub(super) get: Option<Spread>,
    /// From a write to the news of it on another connection.
    pub(super) push: Result<Spread, String>,
}

/// A command that was refused, and how.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) command: &'static str,
    /// `NOPERM`, `OOM`, `READONLY`; empty for one without a code.
    pub(super) code: String,
    pub(super) said: String,
}

/// Finds out all of it. Writes below `namespace`, and removes that again.
pub(super) async fn facts(client: &Client, namespace: &str) -> Facts {
    match connect(client, AsyncConnectionConfig::new()).await {
        Ok(connection) => Asking { connection, probe: probe_name(namespace) }.facts(client).await,
        Err(error) => {
            let info = Err(said(&error));
            let push = Err(String::new());
            Facts { info, cluster_state: None, refused: Vec::new(), ping: None, get: None, push }
        }
    }
}

/// A name in the namespace that no entry has.
fn probe_name(namespace: &str) -> Vec<u8> {
    let escape = |c: char| match c {
        '%' | ':' | '{' | '}' => format!("%{:02X}", c as u32),
        other => other.to_string(),
    };
    let namespace: String = namespace.chars().map(escape).collect();
    format!("{namespace}:%doctor-{:x}", std::process::id()).into_bytes()
}

struct Asking {
    connection: MultiplexedConnection,
    probe: Vec<u8>,
}

impl Asking {
    async fn facts(mut self, client: &Client) -> Facts {
        let info = self.ask::<String>(&cmd("INFO")).await;
        let info = info.map(|text| Info::parse(&text)).map_err(|error| said(&error));
        let refused = self.refused().await;
        let ping = self.spread(&cmd("PING")).await;
        let mut get = cmd("GET");
        get.arg(&self.probe);
        let get = self.spread(&get).await;
        let push = self.push(client).await;
        let _ = self.ask::<Value>(cmd("UNLINK").arg(&self.probe)).await;
        let is_cluster = info.as_ref().is_ok_and(|info| info.text("cluster_enabled") == Some("1"));
        let cluster_state = if is_cluster { self.cluster_state().await } else { None };
        Facts { info, cluster_state, refused, ping, get, push }
    }

    async fn ask<T>(&mut self, command: &Cmd) -> RedisResult<T>
    where
        T: headwater::redis::client::FromRedisValue,
    {
        let asked = command.query_async(&mut self.connection);
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Tries everything that a tier does.
    async fn refused(&mut self) -> Vec<Refusal> {
        let probe = &self.probe;
        let script = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";
        let with = |name: &str, args: &[&[u8]]| {
            let mut command = cmd(name);
            args.iter().for_each(|arg| {
                command.arg(*arg);
            });
            command
        };
        let life = PROBE_LIFE.as_bytes();
        let tries: [(&str, Cmd); 8] = [
            ("SET", with("SET", &[probe, VALUE, b"PX", life])),
            ("GET", with("GET", &[probe])),
            ("MGET", with("MGET", &[probe])),
            ("PTTL", with("PTTL", &[probe])),
            ("EVAL", with("EVAL", &[script.as_bytes(), b"1", probe, VALUE, life])),
            ("EVALSHA", with("EVALSHA", &[&[b'0'; 40], b"1", probe])),
            ("SCAN", with("SCAN", &[b"0", b"COUNT", b"1"])),
            ("UNLINK", with("UNLINK", &[probe])),
        ];
        let mut refused = Vec::new();
        for (name, command) in tries {
            if let Err(error) = self.ask::<Value>(&command).await
                && error.code() != Some("NOSCRIPT")
            {
                let code = error.code().unwrap_or_default().to_owned();
                refused.push(Refusal { command: name, code, said: said(&error) });
            }
        }
        refused
    }

    /// Times of a command, if it works.
    async fn spread(&mut self, command: &Cmd) -> Option<Spread> {
        let mut times = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            self.ask::<Value>(command).await.ok()?;
            times.push(began.elapsed());
        }
        Some(Spread::of(times))
    }

    async fn cluster_state(&mut self) -> Option<String> {
        let text = self.ask::<String>(cmd("CLUSTER").arg("INFO")).await.ok()?;
        Info::parse(&text).text("cluster_state").map(str::to_owned)
    }

    /// Has the server announce writes on a second connection, as the library does.
    async fn push(&mut self, client: &Client) -> Result<Spread, String> {
        let (sender, mut pushes) = unbounded_channel();
        let listening = AsyncConnectionConfig::new().set_push_sender(sender);
        let info = client.get_connection_info().clone();
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let listener = Client::open(info.set_redis_settings(login)).map_err(|e| said(&e))?;
        let mut listener = connect(&listener, listening).await.map_err(|e| said(&e))?;
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(&self.probe);
        let tracked = timeout(PATIENCE, tracking.query_async::<Value>(&mut listener)).await;
        tracked.unwrap_or_else(|_| Err(late())).map_err(|e| said(&e))?;
        let mut times = Vec::with_capacity(PUSHES);
        for _ in 0..PUSHES {
            times.push(self.announced(&mut pushes).await?);
        }
        Ok(Spread::of(times))
    }

    /// From a write to the news of it.
    async fn announced(
        &mut self,
        pushes: &mut UnboundedReceiver<PushInfo>,
    ) -> Result<Duration, String> {
        let mut set = cmd("SET");
        set.arg(&self.probe).arg(VALUE).arg("PX").arg(PROBE_LIFE);
        let began = Instant::now();
        self.ask::<Value>(&set).await.map_err(|error| said(&error))?;
        let heard = async {
            while let Some(push) = pushes.recv().await {
                if push.kind == PushKind::Invalidate {
                    return Ok(began.elapsed());
                }
            }
            Err("the connection for news was lost".to_owned())
        };
        let silence = || Err(format!("no news of a write within {PATIENCE:?}"));
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| silence())
    }
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        Self { p50_us: at(50), p99_us: at(99) }
    }
}

async fn connect(
    client: &Client,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let config = config.set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// What an error says, without the client's own words before it.
fn said(error: &RedisError) -> String {
    match (error.kind(), error.code(), error.detail()) {
        (ErrorKind::Io, ..) | (_, None, _) | (_, _, None) => error.to_string(),
        (_, Some(code), Some(detail)) => format!("{code} {detail}"),
    }
}
