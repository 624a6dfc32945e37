//! How long documents live that have no source: two fields beside what else they hold.
//!
//! The life of a document begins with its last change, by the server's clock (`update_time`), and
//! lasts for as many milliseconds as its field [`AFTER`] says. Each answer says when it was read by
//! the same clock, so that readers agree to the microsecond, whatever their own clocks say. For those
//! who see only fields (a TTL policy, another program) [`AT`] says the same as a time, give or take
//! what a call takes, because it is computed from an answer that the writer had before. A document
//! that has only [`AT`], which somebody else wrote, ends at it; one that has neither does not end.

use super::time::Stamp;
use super::value::of;
use super::write::Fields;
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use std::time::Duration;

/// The field that says for how long a document lives.
pub(crate) const AFTER: &str = "expires_after_ms";
/// The field that says until when.
pub(crate) const AT: &str = "expires_at";
/// What is longer in milliseconds is without end: some 140,000 years.
const LONG: i64 = 1 << 52;
/// The last second that a timestamp of the protocol has: of the year 9999.
const LAST: i64 = 253_402_300_799;

/// The fields of a life that begins about `now`; none if it has no end.
pub(crate) fn fields(now: Stamp, ttl: Duration) -> Fields {
    fields_kept(now, ttl, Duration::ZERO)
}

/// As [`fields`], of a document that may be collected so much later than it dies.
pub(crate) fn fields_kept(now: Stamp, ttl: Duration, kept: Duration) -> Fields {
    let Some(millis) = millis(ttl) else { return Fields::new() };
    let mut end = (now + ttl + kept).timestamp();
    end.seconds = end.seconds.min(LAST);
    Fields::from([
        (AFTER.to_owned(), of(ValueType::IntegerValue(millis))),
        (AT.to_owned(), of(ValueType::TimestampValue(end))),
    ])
}

/// A life in milliseconds; `None` if it has no end.
pub(crate) fn millis(ttl: Duration) -> Option<i64> {
    i64::try_from(ttl.as_millis()).ok().filter(|millis| *millis < LONG)
}

/// A life in milliseconds, or the longest that there is.
pub(crate) fn whole_millis(ttl: Duration) -> u64 {
    millis(ttl).unwrap_or(LONG).unsigned_abs()
}

/// When a document was changed last.
pub(crate) fn changed(document: &Document) -> Stamp {
    document.update_time.as_ref().map_or(Stamp::START, Stamp::from)
}

/// When a document's life is over; `None` if it has no end.
pub(crate) fn end(document: &Document) -> Option<Stamp> {
    let field = |name| document.fields.get(name).and_then(|value| value.value_type.as_ref());
    match (field(AFTER), field(AT)) {
        (Some(ValueType::IntegerValue(millis)), _) => {
            let millis = u64::try_from(*millis).unwrap_or(0);
            Some(changed(document) + Duration::from_millis(millis))
        }
        (_, Some(ValueType::TimestampValue(time))) => Some(Stamp::from(time)),
        _ => None,
    }
}

/// Takes the fields of a life away.
pub(crate) fn strip(fields: &mut Fields) {
    fields.remove(AFTER);
    fields.remove(AT);
}
