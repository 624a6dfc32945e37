use super::feed;
use super::topic::{Told, Topic};
use crate::Result;
use crate::presence::RosterStore;
use crate::presence::roster::Inner;
use crate::sync::Arc;
use futures_util::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream of what happens in a topic: see [`Roster::watch`](crate::presence::Roster::watch). It
/// ends when the roster is closed; errors do not end it (see [`Event`](super::Event)).
///
/// ```
/// use futures_util::StreamExt;
/// use headwater::presence::{Event, MemoryRoster, Roster};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let roster = Roster::new(MemoryRoster::<str, String>::new());
/// let mut watch = roster.watch("room 1")?;
/// assert!(matches!(watch.next().await, Some(Ok(Event::Snapshot { .. }))));
/// let phone = roster.join("room 1", "ada", "phone".to_owned()).await?;
/// assert_eq!(watch.next().await.unwrap()?, Event::Online("ada".to_owned()));
/// assert!(matches!(watch.next().await, Some(Ok(Event::Join(_)))));
/// # roster.close().await
/// # }).unwrap();
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Watch<S: RosterStore> {
    roster: Arc<Inner<S>>,
    topic: Arc<Topic<S>>,
    number: u64,
}

impl<S: RosterStore> Watch<S> {
    pub(crate) fn begin(roster: &Arc<Inner<S>>, topic: &str) -> Result<Self> {
        feed::start(roster)?;
        let (topic, number) = roster.topics.enter(roster, topic);
        Ok(Self { roster: Arc::clone(roster), topic, number })
    }

    pub(crate) fn topic(&self) -> Arc<str> {
        Arc::clone(&self.topic.name)
    }
}

impl<S: RosterStore> Stream for Watch<S> {
    type Item = Told<S>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Told<S>>> {
        self.topic.poll(self.number, context.waker())
    }
}

impl<S: RosterStore> Drop for Watch<S> {
    fn drop(&mut self) {
        self.roster.topics.exit(&self.roster, &self.topic, self.number);
    }
}

impl<S: RosterStore> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
