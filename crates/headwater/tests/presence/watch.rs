//! What watchers are told, replayed, under trouble with Redis. `HEADWATER_WATCH_SECONDS` makes it go on
//! for longer than two seconds.

use crate::replay::replayed;
use crate::server::Server;
use headwater::presence::Roster;
use headwater::redis::{RedisConfig, RedisRoster};
use std::time::Duration;

fn process(server: &Server) -> Roster<RedisRoster<str, String>> {
    let config = RedisConfig::new(&server.url()).expect("a URL");
    let store = RedisRoster::connect_lazy(config).expect("it makes sense").with_shards(2);
    let builder = Roster::builder(store).ttl(Duration::from_secs(3)).watch_buffer(256);
    builder.build().expect("it makes sense")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replayed_is_what_is_there_under_every_trouble() {
    let seconds = std::env::var("HEADWATER_WATCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(2));
    let mut server = Server::start();
    let processes = [process(&server), process(&server), process(&server)];
    let trouble = async |steps| match steps % 1_000 {
        200 => drop(server.tell("FLUSHALL")),
        400 => drop(server.tell("CLIENT KILL TYPE normal")),
        600 => drop(server.tell("XTRIM headwater%roster:room/0 MAXLEN 0")),
        800 => {
            server.freeze();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.thaw();
        }
        999 => {
            server.kill();
            server.restart();
        }
        _ => {}
    };
    let steps = replayed(&processes, span, trouble).await;
    assert!(steps > 10, "{steps} steps");
}
