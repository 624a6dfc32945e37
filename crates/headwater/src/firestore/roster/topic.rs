//! A watched topic: its connections as the server told of them, and the log of what changed.

use super::connection::{id, is_lingering, node};
use super::ear::{Logged, Raw};
use crate::Error;
use crate::firestore::life::changed;
use crate::presence::Gone;
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Changes that are kept for slow readers.
const LOG: usize = 10_000;

#[derive(Default)]
pub(super) struct Topic {
    /// What the server calls it.
    pub(super) target: i32,
    pub(super) stage: Stage,
    /// How often the log was begun: after each lost link it is another.
    pub(super) generation: u64,
    members: BTreeMap<String, Document>,
    pub(super) news: News,
    log: VecDeque<Raw>,
    /// How many changes were made before the first of `log`.
    trimmed: u64,
}

#[derive(Default)]
pub(super) enum Stage {
    /// The server has not told of all yet.
    #[default]
    Waiting,
    Known,
    /// The link is lost, or was never there.
    Broken(Error),
}

/// What the server told of since all was consistent.
#[derive(Clone, Default)]
pub(super) struct News {
    /// Whether it tells of all anew: what it does not tell of is gone.
    is_whole: bool,
    /// Whether it has told of all.
    pub(super) is_current: bool,
    sets: HashMap<String, Document>,
    gone: HashSet<String>,
}

impl News {
    /// All is told anew from here on.
    pub(super) fn whole() -> Self {
        Self { is_whole: true, ..Self::default() }
    }

    pub(super) fn set(&mut self, document: Document) {
        let id = id(&document).to_owned();
        self.gone.remove(&id);
        self.sets.insert(id, document);
    }

    pub(super) fn documents(self) -> Vec<Document> {
        self.sets.into_values().collect()
    }

    pub(super) fn gone(&mut self, id: &str) {
        self.sets.remove(id);
        self.gone.insert(id.to_owned());
    }

    /// Whether there is something to take, and it is complete.
    pub(super) fn is_ready(&self) -> bool {
        if self.is_whole {
            self.is_current
        } else {
            !(self.sets.is_empty() && self.gone.is_empty())
        }
    }
}

impl Topic {
    pub(super) fn new(target: i32) -> Self {
        Self { target, news: News::whole(), ..Self::default() }
    }

    /// How many connections there are once the news are taken.
    pub(super) fn expected(&self) -> usize {
        if self.news.is_whole {
            return self.news.sets.len();
        }
        let News { sets, gone, .. } = &self.news;
        let is_new = |id: &&String| !self.members.contains_key(*id);
        let is_known = |id: &&String| self.members.contains_key(*id);
        self.members.len() + sets.keys().filter(is_new).count()
            - gone.iter().filter(is_known).count()
    }

    /// What the news say: connections that are new or changed, the oldest change first, and those that
    /// are gone.
    pub(super) fn differences(&self, news: &News) -> (Vec<Document>, Vec<Document>) {
        let is_new = |(id, document): &(&String, &Document)| {
            self.members.get(*id).is_none_or(|known| known.update_time != document.update_time)
        };
        let mut sets: Vec<Document> =
            news.sets.iter().filter(is_new).map(|(_, document)| document.clone()).collect();
        sets.sort_by_key(changed);
        let is_gone =
            |id: &String| news.gone.contains(id) || (news.is_whole && !news.sets.contains_key(id));
        let gone = self.members.iter().filter(|(id, _)| is_gone(id));
        (sets, gone.map(|(_, document)| document.clone()).collect())
    }

    /// Begins the log anew, with these.
    pub(super) fn begin(&mut self, documents: Vec<Document>) {
        self.generation += 1;
        self.log.clear();
        self.trimmed = 0;
        self.members =
            documents.into_iter().map(|document| (id(&document).to_owned(), document)).collect();
        self.stage = Stage::Known;
    }

    pub(super) fn set(&mut self, document: Document) {
        let id = id(&document).to_owned();
        let before = self.members.insert(id, document.clone());
        let is_new = before.is_none();
        // Under another node it died with its old one, and joined again.
        if let Some(before) = before.filter(|before| node(before) != node(&document)) {
            self.write(Raw::Gone(before, Gone::Expired));
        }
        // That it lingers is no news.
        if is_new || !is_lingering(&document) {
            self.write(Raw::Set(document));
        }
    }

    /// A connection is gone, unless it was already.
    pub(super) fn remove(&mut self, id: &str, why: Gone) {
        if let Some(document) = self.members.remove(id) {
            let why = if is_lingering(&document) { Gone::Left } else { why };
            self.write(Raw::Gone(document, why));
        }
    }

    fn write(&mut self, raw: Raw) {
        if self.log.len() == LOG {
            self.log.pop_front();
            self.trimmed += 1;
        }
        self.log.push_back(raw);
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.members.values()
    }

    pub(super) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<Document>, Option<String>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut rest = self.members.range::<str, _>((after.map_or(Unbounded, Excluded), Unbounded));
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.next().and(page.last()).map(|(id, _)| (*id).clone());
        (page.into_iter().map(|(_, document)| document.clone()).collect(), next)
    }

    pub(super) fn position(&self) -> (u64, u64) {
        (self.generation, self.trimmed + self.log.len() as u64)
    }

    /// What was logged from a position on; `None` if that is not known any more.
    pub(super) fn read(&self, from: (u64, u64), limit: usize) -> Option<Logged> {
        let (generation, from) = from;
        if generation != self.generation || from < self.trimmed {
            return None;
        }
        let skipped = usize::try_from(from - self.trimmed).unwrap_or(usize::MAX);
        let changes: Vec<Raw> = self.log.iter().skip(skipped).take(limit).cloned().collect();
        let at = (generation, from + changes.len() as u64);
        let has_more = at != self.position();
        Some((changes, at, has_more))
    }
}
