use clap::Parser;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  One instance, nothing to set up; open two tabs of http://127.0.0.1:8080
      cargo run -p headwater-presence-example
  Two instances that share a Redis; open a tab of each
      cargo run -p headwater-presence-example -- --redis redis://127.0.0.1 --port 8081
      cargo run -p headwater-presence-example -- --redis redis://127.0.0.1 --port 8082";

/// A web page that shows who is online across all instances of this server.
#[derive(Debug, Parser)]
#[command(name = "headwater-presence-example", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The Redis that instances share; without one, this instance is alone
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
    /// Where to listen; 0.0.0.0 lets phones of the same network in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// 0 takes any that is free; the address is printed
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// How this instance is called on the page; the address, if not told
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How long the guests of an instance stay that died; the same on all instances
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Duration,
    /// How long a guest stays whose page is gone, in case it is only loaded again
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) linger: Duration,
}

impl Arguments {
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}
