//! One page's WebSocket: it is told what happens in the room, and is in the room itself, as one
//! connection of the roster, from its join to its leave or end.

use crate::server::House;
use crate::wire::{Guest, Heard, Name, Told};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::StreamExt;
use headwater::presence::{Connection, RosterStore, Watch};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};

/// The only topic.
const ROOM: &str = "lobby";
/// How often a page is told that the link is alive.
const BEAT: Duration = Duration::from_secs(10);
/// How long a page may be silent.
const SILENCE: Duration = Duration::from_secs(35);
/// How long a page may take no message. What it misses meanwhile waits in its watch's buffer.
const SEND: Duration = Duration::from_secs(20);
/// How many messages of a page may make no sense.
const MISTAKES: u32 = 8;

/// Why a visit ends: the code and words of the closing frame; nobody is there to read it if `None`.
type End = Option<(u16, &'static str)>;
const RESTART: End = Some((1012, "the server ends"));
const BUSY: End = Some((1013, "the store does not answer"));
const POLICY: End = Some((1008, "too many mistakes"));
const TOO_LONG: End = Some((1009, "a message was too long"));

struct Visit<S: RosterStore> {
    house: Arc<House<S>>,
    socket: WebSocket,
    watch: Watch<S>,
    seat: Option<Seat<S>>,
    mistakes: u32,
    heard_at: Instant,
}

/// A page that is in the room.
struct Seat<S: RosterStore> {
    connection: Connection<S>,
    guest: Guest,
}

/// Serves a page until it, the server or the link ends.
pub(crate) async fn visit<S>(mut socket: WebSocket, house: Arc<House<S>>)
where
    S: RosterStore<Key = str, Value = Guest>,
{
    let Ok(watch) = house.roster.watch(ROOM) else {
        // The server has just ended.
        return close(&mut socket, RESTART).await;
    };
    let heard_at = Instant::now();
    let mut visit = Visit { house, socket, watch, seat: None, mistakes: 0, heard_at };
    let Err(end) = visit.run().await;
    if let Some(Seat { connection, .. }) = visit.seat.take() {
        // If it fails, it expires. Where the server ends, nobody would see to it that linger does.
        let _ = match end {
            RESTART => connection.leave_now().await,
            _ => connection.leave().await,
        };
    }
    close(&mut visit.socket, end).await;
}

async fn close(socket: &mut WebSocket, end: End) {
    let Some((code, reason)) = end else { return };
    let frame = CloseFrame { code, reason: reason.into() };
    let _ = timeout(Duration::from_secs(1), socket.send(Message::Close(Some(frame)))).await;
}

impl<S> Visit<S>
where
    S: RosterStore<Key = str, Value = Guest>,
{
    async fn run(&mut self) -> Result<std::convert::Infallible, End> {
        self.tell(&Told::Welcome {
            instance: self.house.instance.clone(),
            store: self.house.store,
            ttl_ms: self.house.ttl.as_millis() as u64,
            beat_ms: BEAT.as_millis() as u64,
        })
        .await?;
        let mut closing = self.house.closing.clone();
        let mut beats = interval(BEAT);
        loop {
            tokio::select! {
                _ = closing.changed() => return Err(RESTART),
                message = self.socket.recv() => self.hear(message).await?,
                _ = beats.tick() => self.beat().await?,
                told = self.watch.next() => {
                    let told = match told.ok_or(RESTART)? {
                        Ok(event) => Told::of(event),
                        Err(error) => Some(Told::Trouble { message: error.to_string() }),
                    };
                    if let Some(told) = told {
                        self.tell(&told).await?;
                    }
                }
            }
        }
    }

    async fn tell(&mut self, told: &Told) -> Result<(), End> {
        let text = serde_json::to_string(told).map_err(|_| None)?;
        let sent = timeout(SEND, self.socket.send(Message::Text(text.into()))).await;
        sent.ok().and_then(Result::ok).ok_or(None)
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.heard_at.elapsed() > SILENCE {
            return Err(None);
        }
        self.tell(&Told::Beat).await
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard_at = Instant::now();
        let heard = match message {
            Some(Ok(Message::Text(text))) => Heard::read(&text),
            Some(Ok(Message::Binary(_))) => Err("not understood: bytes".to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Close(_))) | None => return Err(None),
            Some(Err(_)) => return Err(TOO_LONG),
        };
        let done = match heard {
            Ok(heard) => self.act(heard).await?,
            Err(mistake) => Err(mistake),
        };
        let Err(message) = done else { return Ok(()) };
        self.mistakes += 1;
        self.tell(&Told::Error { message }).await?;
        if self.mistakes < MISTAKES { Ok(()) } else { Err(POLICY) }
    }

    /// Does what a page asks for; the inner error is its mistake.
    async fn act(&mut self, heard: Heard) -> Result<Result<(), String>, End> {
        match (heard, self.seat.take()) {
            (Heard::Join { name, device, away }, None) => {
                let guest = Guest { device, away, instance: self.house.instance.clone() };
                self.join(&name, guest).await?;
            }
            (Heard::Away { away }, Some(mut seat)) => {
                seat.guest.away = away;
                let updated = seat.connection.update(seat.guest.clone()).await;
                self.seat = Some(seat);
                updated.map_err(|_| BUSY)?;
            }
            (Heard::Leave {}, Some(seat)) => {
                seat.connection.leave().await.map_err(|_| BUSY)?;
                self.tell(&Told::You { connection: None }).await?;
            }
            (Heard::Beat {}, seat) => self.seat = seat,
            (Heard::Join { .. }, seat) => {
                self.seat = seat;
                return Ok(Err("you are here already".to_owned()));
            }
            (Heard::Away { .. } | Heard::Leave {}, None) => {
                return Ok(Err("you are not here".to_owned()));
            }
        }
        Ok(Ok(()))
    }

    async fn join(&mut self, name: &Name, guest: Guest) -> Result<(), End> {
        let name = name.to_string();
        let joined = self.house.roster.join(ROOM, &name, guest.clone()).await;
        let connection = joined.map_err(|_| BUSY)?;
        let id = connection.id().to_string();
        self.seat = Some(Seat { connection, guest });
        self.tell(&Told::You { connection: Some(id) }).await
    }
}
