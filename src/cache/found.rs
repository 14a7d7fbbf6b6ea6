use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use pingora_cache::key::HashBinary;
use pingora_http::ResponseHeader;

use super::Cache;
use super::entry::Entry;
use super::rules::VaryOf;

/// A stored answer that is fresh, or may be given while another is fetched.
#[derive(Debug)]
pub(crate) struct Found {
    entry: Arc<Entry>,
    pub(crate) age: Duration,
    /// How long it is still fresh.
    pub(crate) left: Duration,
    /// For how long it has not been; `None` while it is.
    pub(crate) stale_for: Option<Duration>,
}

impl Cache {
    /// The answer that stands where requests for a key look first, if it is the one that these headers ask for and
    /// fresh, or no older than it may be while another is fetched. Others may know more.
    pub(crate) fn find(&self, key: &[u8], headers: &HeaderMap, now: SystemTime) -> Option<Found> {
        let primary = self.primary(key);
        let entry = self.store.memory.get(u128::from_be_bytes(primary))?;
        if !entry.is_first_of(key) || entry.variance() != self.variance_of(&entry, headers)? {
            return None;
        }
        let (left, stale_for) = match entry.fresh_until().duration_since(now) {
            Ok(left) => (left, None),
            Err(past) => (Duration::ZERO, Some(past.duration())),
        };
        if stale_for.is_some_and(|past| past > entry.while_revalidate()) {
            return None;
        }
        let age = now.duration_since(entry.epoch()).unwrap_or_default();
        Some(Found { entry, age, left, stale_for })
    }

    /// The variant of an answer that these headers ask for, if it has variants; `None` where nobody can tell.
    fn variance_of(&self, entry: &Entry, headers: &HeaderMap) -> Option<Option<HashBinary>> {
        match entry.vary() {
            VaryOf::Everything => None,
            VaryOf::Fields(fields) if fields.is_empty() => Some(None),
            VaryOf::Fields(fields) => Some(Some(self.variance(fields, headers))),
        }
    }
}

impl Found {
    /// The head as it is kept.
    pub(crate) fn head(&self) -> &ResponseHeader {
        self.entry.head()
    }

    /// The head in lines, see [`Entry::lines`].
    pub(crate) fn lines(&self) -> Option<&[u8]> {
        self.entry.lines()
    }

    /// The length of the body.
    pub(crate) fn length(&self) -> usize {
        self.entry.body.length
    }

    /// A piece of the body, by its number.
    pub(crate) fn piece(&self, number: usize) -> Option<&Bytes> {
        self.entry.body.pieces.get(number)
    }
}
