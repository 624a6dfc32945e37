//! Processes of their own on one Redis.

use crate::server::Server;
use crate::stranger::{Kinds, lives_with_strangers};
use headwater::presence::{BoxPresence, Locks, RedisPresence, Sessions};
use headwater::redis::{RedisConfig, RedisRoster};

async fn kinds(url: &str) -> Kinds<RedisRoster<str, String>> {
    let config = RedisConfig::new(url).expect("a URL");
    let roster = RedisRoster::connect_lazy(config.clone()).expect("it makes sense");
    let store = config.connect_store().await.expect("it is there");
    let entries = BoxPresence::new(RedisPresence::new(&store));
    Kinds::new(roster, Locks::redis(&store), entries, Sessions::redis(&store))
}

fn server() -> (Server, String) {
    let server = Server::start();
    let url = server.url();
    (server, url)
}

lives_with_strangers!(kinds, server());
