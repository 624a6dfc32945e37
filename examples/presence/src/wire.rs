//! What the page and the server say to each other: JSON, one object per message.

use headwater::presence::{ConnectionId, Event, Member, Reason};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Characters in a name.
const NAME: usize = 40;
/// Bytes in a message, far above what the longest name needs.
pub(crate) const MESSAGE: usize = 1_024;

/// What a connection says about itself: the roster's values.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Guest {
    pub(crate) device: Device,
    /// Whether its page is out of sight.
    pub(crate) away: bool,
    /// The server instance that it is connected to.
    pub(crate) instance: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Device {
    Laptop,
    Desktop,
    Phone,
    Tablet,
}

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Heard {
    Join {
        name: Name,
        device: Device,
        #[serde(default)]
        away: bool,
    },
    Away {
        away: bool,
    },
    Leave {},
    /// The answer to a beat.
    Beat {},
}

impl Heard {
    /// # Errors
    /// What is wrong with it, in words for its sender.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > MESSAGE {
            return Err(format!("a message may have {MESSAGE} bytes"));
        }
        serde_json::from_str(text).map_err(|error| format!("not understood: {error}"))
    }
}

/// A name that is fit to be shown: trimmed, not empty, not long, of characters that can be seen.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let name = name.trim();
        if name.is_empty() {
            return Err("a name may not be empty");
        }
        if name.chars().count() > NAME {
            return Err("a name may have 40 characters");
        }
        if name.chars().any(char::is_control) {
            return Err("a name may not have control characters");
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Told {
    /// The first message.
    Welcome {
        instance: String,
        store: &'static str,
        ttl_ms: u64,
        beat_ms: u64,
    },
    /// By which connection the page is here; none after it left.
    You {
        connection: Option<String>,
    },
    /// The page's message was not understood or makes no sense.
    Error {
        message: String,
    },
    /// The store does not answer: what the page shows may be old, until the next snapshot.
    Trouble {
        message: String,
    },
    /// Says that the link is alive; wants the same in return.
    Beat,
    /// Forget what was before.
    Snapshot {
        reason: &'static str,
        members: Vec<Seen>,
    },
    Online {
        name: String,
    },
    Join(Seen),
    Update(Seen),
    Leave {
        name: String,
        connection: String,
    },
    Expire {
        name: String,
        connection: String,
    },
    Offline {
        name: String,
    },
}

/// A connection as all pages see it.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    name: String,
    connection: String,
    #[serde(flatten)]
    guest: Guest,
}

impl From<Member<String, Guest>> for Seen {
    fn from(member: Member<String, Guest>) -> Self {
        let Member { key, connection, value } = member;
        Self { name: key, connection: connection.to_string(), guest: value }
    }
}

impl Told {
    /// `None` for what a page need not know.
    pub(crate) fn of(event: Event<String, Guest>) -> Option<Self> {
        let gone = |name: String, id: ConnectionId| (name, id.to_string());
        Some(match event {
            Event::Snapshot { members, reason } => {
                let members = members.into_iter().map(Seen::from).collect();
                Self::Snapshot { reason: word(reason), members }
            }
            Event::Online(name) => Self::Online { name },
            Event::Offline(name) => Self::Offline { name },
            Event::Join(member) => Self::Join(member.into()),
            Event::Update(member) => Self::Update(member.into()),
            Event::Leave(name, id) => {
                let (name, connection) = gone(name, id);
                Self::Leave { name, connection }
            }
            Event::Expire(name, id) => {
                let (name, connection) = gone(name, id);
                Self::Expire { name, connection }
            }
            _ => return None,
        })
    }
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Begin => "begin",
        Reason::Resync => "resync",
        Reason::Lagged(_) => "lagged",
    }
}
