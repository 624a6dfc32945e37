use crate::arguments::Arguments;
use crate::wire::{Guest, MESSAGE};
use crate::{page, visit};
use anyhow::Context;
use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use headwater::presence::{Roster, RosterStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long visits have to end when the server does.
const GRACE: Duration = Duration::from_secs(5);

/// What all visits share.
pub(crate) struct House<S: RosterStore> {
    pub(crate) roster: Roster<S>,
    pub(crate) store: &'static str,
    /// The name of this instance.
    pub(crate) instance: String,
    pub(crate) ttl: Duration,
    /// Changes when the server ends. Each visit holds one, so that their end can be waited for.
    pub(crate) closing: watch::Receiver<()>,
}

/// Serves until `stop`, then has all visits leave, and closes the roster.
pub(crate) async fn serve<S>(
    store: &'static str,
    roster: Roster<S>,
    arguments: &Arguments,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()>
where
    S: RosterStore<Key = str, Value = Guest>,
{
    let address = arguments.address();
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let (close, closing) = watch::channel(());
    let house = Arc::new(House {
        roster: roster.clone(),
        store,
        instance: arguments.name.clone().unwrap_or_else(|| address.to_string()),
        ttl: arguments.ttl,
        closing,
    });
    let mut closing = close.subscribe();
    let server = axum::serve(listener, routes(house))
        .with_graceful_shutdown(async move { drop(closing.changed().await) });
    let server = tokio::spawn(server.into_future());
    println!("listening on http://{address} ({store})");
    stop.await;
    close.send_replace(());
    let ended = async {
        let served = server.await;
        close.closed().await;
        served
    };
    match tokio::time::timeout(GRACE, ended).await {
        Ok(served) => served??,
        Err(_) => eprintln!("not all pages were told in time: their guests expire"),
    }
    roster.close().await.context("not all guests left")
}

fn routes<S>(house: Arc<House<S>>) -> Router
where
    S: RosterStore<Key = str, Value = Guest>,
{
    page::routes().route("/ws", any(enter::<S>)).with_state(house)
}

async fn enter<S>(State(house): State<Arc<House<S>>>, upgrade: WebSocketUpgrade) -> Response
where
    S: RosterStore<Key = str, Value = Guest>,
{
    // What is somewhat too long gets an answer; what is far too long ends the visit.
    let upgrade = upgrade.max_message_size(16 * MESSAGE).max_frame_size(16 * MESSAGE);
    upgrade.on_upgrade(move |socket| visit::visit(socket, house))
}
