//! What the server has said about a target so far: which documents are in it, each as of when.
//!
//! Nothing here waits or knows keys. A response goes in, and what it means comes out. Servers differ:
//! the service and `hidane` send what changed; Google's emulator sends `RESET` and all documents again
//! after each change. Both are compared with what is known.

use crate::firestore::read::nanos;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_response::ResponseType;
use ::firestore::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    Document, DocumentChange, ExistenceFilter, ListenResponse, TargetChange,
};
use ::firestore::gcloud_sdk::google::rpc;
use ::firestore::gcloud_sdk::prost_types::Timestamp;
use std::collections::HashMap;

/// The number of the target that is watched, on each stream.
pub(super) const TARGET: i32 = 1;

/// What a response means.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    /// A document was made or changed.
    Changed(Document),
    /// A document is not in the target any more, or changed in a way that is not known.
    Left(String),
    /// A document was deleted, at the latest at this time.
    Deleted(String, Option<Timestamp>),
    /// Any document may have changed, in ways that are not known.
    Everything,
    /// Whatever changed until now has been said; a stream that begins with this token goes on from
    /// here.
    Consistent(Vec<u8>),
    /// What is known does not fit what the server counts: it has to be told anew.
    Mismatch,
    /// The server has ended the target.
    Removed(Option<rpc::Status>),
}

/// A document that is known to be in the target.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Its last change. A document without one differs from itself.
    changed: Option<u64>,
    /// The last round in which it was named.
    round: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct View {
    /// What the names of the documents begin with; they are kept without it.
    prefix: String,
    known: HashMap<Box<str>, Seen>,
    /// Whether all documents of the target are known.
    is_whole: bool,
    /// Grows whenever the server begins to tell all of them.
    round: u32,
    /// Whether it is about to tell all of them.
    is_telling: bool,
    pub(super) is_current: bool,
}

impl View {
    pub(super) fn new(prefix: String) -> Self {
        Self {
            prefix,
            known: HashMap::new(),
            is_whole: false,
            round: 0,
            is_telling: false,
            is_current: false,
        }
    }

    /// A stream begins: from a token, or else with all documents.
    pub(super) fn begin(&mut self, from_token: bool) {
        self.is_current = false;
        self.is_telling = false;
        if !from_token {
            self.tell_all();
        } else if !self.is_whole {
            // Part of a telling may be in it that broke off, and of which nothing was said.
            self.known.clear();
        }
    }

    fn tell_all(&mut self) {
        self.is_telling = true;
        self.is_current = false;
        self.round = self.round.wrapping_add(1);
    }

    pub(super) fn hear(&mut self, response: ListenResponse) -> Vec<News> {
        match response.response_type {
            Some(ResponseType::TargetChange(change)) => self.target(change),
            Some(ResponseType::DocumentChange(change)) => {
                self.changed(change).into_iter().collect()
            }
            Some(ResponseType::DocumentDelete(gone)) if is_ours(&gone.removed_target_ids) => {
                let deleted = |name| News::Deleted(name, gone.read_time);
                self.gone(gone.document).map(deleted).into_iter().collect()
            }
            Some(ResponseType::DocumentRemove(gone)) if is_ours(&gone.removed_target_ids) => {
                self.gone(gone.document).map(News::Left).into_iter().collect()
            }
            Some(ResponseType::Filter(filter)) if filter.target_id == TARGET => {
                self.mismatch(&filter).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn target(&mut self, change: TargetChange) -> Vec<News> {
        let mut news = Vec::new();
        // None named are all.
        if !change.target_ids.is_empty() && !is_ours(&change.target_ids) {
            return news;
        }
        match change.target_change_type() {
            TargetChangeType::Reset => self.tell_all(),
            TargetChangeType::Current => {
                self.is_current = true;
                if std::mem::take(&mut self.is_telling) {
                    self.sweep(&mut news);
                }
            }
            TargetChangeType::Remove => return vec![News::Removed(change.cause)],
            TargetChangeType::Add | TargetChangeType::NoChange => {}
        }
        // A token from the middle of a telling would skip what has not been told yet.
        if self.is_current && !change.resume_token.is_empty() {
            news.push(News::Consistent(change.resume_token));
        }
        news
    }

    /// All documents have been told: what was not among them is gone.
    fn sweep(&mut self, news: &mut Vec<News>) {
        let (prefix, round) = (&self.prefix, self.round);
        let is_whole = std::mem::replace(&mut self.is_whole, true);
        self.known.retain(|id, seen| {
            let stays = seen.round == round;
            if !stays && is_whole {
                news.push(News::Left(format!("{prefix}{id}")));
            }
            stays
        });
        if !is_whole {
            news.push(News::Everything);
        }
    }

    fn changed(&mut self, change: DocumentChange) -> Option<News> {
        let document = change.document?;
        if is_ours(&change.removed_target_ids) {
            return self.gone(document.name).map(News::Left);
        }
        if !is_ours(&change.target_ids) {
            return None;
        }
        let id = document.name.strip_prefix(&self.prefix)?;
        let seen = Seen { changed: document.update_time.and_then(nanos), round: self.round };
        let before = match self.known.get_mut(id) {
            Some(known) => Some(std::mem::replace(known, seen)),
            None => self.known.insert(id.into(), seen),
        };
        let is_same = before.is_some_and(|b| b.changed.is_some() && b.changed == seen.changed);
        // Without the whole, all is taken for changed at the end of the telling.
        let is_moot = self.is_telling && !self.is_whole;
        (!is_same && !is_moot).then_some(News::Changed(document))
    }

    /// The name of a document that is not in the target any more, if it can have been. It need not be
    /// known: it may have come and gone between two responses, and somebody may have read it then.
    fn gone(&mut self, name: String) -> Option<String> {
        self.known.remove(name.strip_prefix(&self.prefix)?);
        Some(name)
    }

    fn mismatch(&self, filter: &ExistenceFilter) -> Option<News> {
        let count = usize::try_from(filter.count).unwrap_or(0);
        let fits = self.is_whole && count == self.known.len();
        // While all are told, the end of the telling will show.
        (!fits && !self.is_telling).then_some(News::Mismatch)
    }
}

fn is_ours(ids: &[i32]) -> bool {
    ids.contains(&TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::firestore::gcloud_sdk::google::firestore::v1::{DocumentDelete, DocumentRemove};

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn document(id: &str, changed: i64) -> Document {
        Document { name: format!("p/{id}"), update_time: at(changed), ..Document::default() }
    }

    fn response(what: ResponseType) -> ListenResponse {
        ListenResponse { response_type: Some(what) }
    }

    fn has(id: &str, changed: i64) -> ListenResponse {
        response(ResponseType::DocumentChange(DocumentChange {
            document: Some(document(id, changed)),
            target_ids: vec![TARGET],
            removed_target_ids: Vec::new(),
        }))
    }

    fn turned(kind: TargetChangeType, ids: &[i32], token: &[u8]) -> ListenResponse {
        response(ResponseType::TargetChange(TargetChange {
            target_change_type: kind as i32,
            target_ids: ids.to_vec(),
            resume_token: token.to_vec(),
            ..TargetChange::default()
        }))
    }

    fn counted(count: i32) -> ListenResponse {
        let filter = ExistenceFilter { target_id: TARGET, count, unchanged_names: None };
        response(ResponseType::Filter(filter))
    }

    fn all(view: &mut View, responses: impl IntoIterator<Item = ListenResponse>) -> Vec<News> {
        responses.into_iter().flat_map(|response| view.hear(response)).collect()
    }

    /// A view that has been told of `a` and `b`.
    fn told() -> View {
        let mut view = View::new("p/".to_owned());
        view.begin(false);
        let current = turned(TargetChangeType::Current, &[TARGET], b"1");
        let news = all(&mut view, [has("a", 1), has("b", 1), current]);
        assert_eq!(news, [News::Everything, News::Consistent(b"1".to_vec())]);
        view
    }

    #[test]
    fn a_reset_tells_what_changed_and_what_is_gone() {
        let mut view = told();
        let begun = turned(TargetChangeType::Reset, &[TARGET], b"2");
        assert_eq!(view.hear(begun), [], "a token of a telling is no place to go on from");
        let news = all(&mut view, [has("a", 1), has("c", 2)]);
        assert_eq!(news, [News::Changed(document("c", 2))]);
        let news = all(&mut view, [turned(TargetChangeType::Current, &[TARGET], b"3")]);
        assert_eq!(news, [News::Left("p/b".into()), News::Consistent(b"3".to_vec())]);
    }

    #[test]
    fn a_stream_that_goes_on_from_a_token_keeps_what_is_known() {
        let mut view = told();
        view.begin(true);
        assert_eq!(all(&mut view, [has("b", 1), has("b", 2)]), [News::Changed(document("b", 2))]);
        let news = all(&mut view, [turned(TargetChangeType::NoChange, &[], b"2")]);
        assert_eq!(news, [], "it has not caught up");
        let news = all(&mut view, [turned(TargetChangeType::Current, &[TARGET], b"3"), counted(2)]);
        assert_eq!(news, [News::Consistent(b"3".to_vec())]);
    }

    #[test]
    fn a_view_that_began_from_a_token_knows_that_it_is_not_whole() {
        let mut view = View::new("p/".to_owned());
        view.begin(true);
        let current = turned(TargetChangeType::Current, &[TARGET], b"1");
        let news = all(&mut view, [has("a", 1), current]);
        assert_eq!(news, [News::Changed(document("a", 1)), News::Consistent(b"1".to_vec())]);
        assert_eq!(view.hear(counted(1)), [News::Mismatch]);
        let reset = turned(TargetChangeType::Reset, &[TARGET], b"");
        let current = turned(TargetChangeType::Current, &[TARGET], b"2");
        let news = all(&mut view, [reset, has("a", 1), has("b", 1), current, counted(2)]);
        assert_eq!(news, [News::Everything, News::Consistent(b"2".to_vec())]);
    }

    #[test]
    fn a_telling_that_broke_off_hides_no_change() {
        let mut view = View::new("p/".to_owned());
        view.begin(true);
        let reset = turned(TargetChangeType::Reset, &[TARGET], b"");
        assert_eq!(all(&mut view, [reset, has("a", 1)]), []);
        view.begin(true);
        assert_eq!(view.hear(has("a", 1)), [News::Changed(document("a", 1))]);
    }

    #[test]
    fn a_count_that_differs_is_a_mismatch() {
        let mut view = told();
        assert_eq!(view.hear(counted(2)), []);
        assert_eq!(view.hear(counted(1)), [News::Mismatch]);
        view.begin(false);
        assert_eq!(view.hear(counted(1)), [], "all are about to be told");
        let current = turned(TargetChangeType::Current, &[TARGET], b"");
        assert_eq!(all(&mut view, [has("a", 1), current]), [News::Left("p/b".into())]);
    }

    #[test]
    fn documents_leave_by_deletion_and_out_of_sight() {
        let mut view = told();
        let deleted = |id: &str, target| {
            response(ResponseType::DocumentDelete(DocumentDelete {
                document: format!("p/{id}"),
                removed_target_ids: vec![target],
                read_time: at(5),
            }))
        };
        let removed = response(ResponseType::DocumentRemove(DocumentRemove {
            document: "p/b".to_owned(),
            removed_target_ids: vec![TARGET],
            read_time: at(5),
        }));
        assert_eq!(view.hear(deleted("a", TARGET + 1)), [], "another target's");
        let news = all(&mut view, [deleted("a", TARGET), removed, deleted("x", TARGET)]);
        let gone = |id: &str| News::Deleted(format!("p/{id}"), at(5));
        assert_eq!(news, [gone("a"), News::Left("p/b".into()), gone("x")]);
        assert_eq!(view.hear(counted(0)), []);
        let mut left = has("a", 7);
        if let Some(ResponseType::DocumentChange(change)) = &mut left.response_type {
            change.removed_target_ids = std::mem::take(&mut change.target_ids);
        }
        assert_eq!(view.hear(left), [News::Left("p/a".into())]);
    }

    #[test]
    fn the_end_of_the_target_is_told_and_that_of_another_is_not() {
        let mut view = told();
        assert_eq!(view.hear(turned(TargetChangeType::Remove, &[TARGET + 1], b"")), []);
        let news = view.hear(turned(TargetChangeType::Remove, &[], b""));
        assert_eq!(news, [News::Removed(None)]);
    }
}
