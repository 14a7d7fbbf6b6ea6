use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use pingora_cache::key::HashBinary;
use pingora_http::ResponseHeader;

use super::Cache;
use super::entry::Entry;
use super::rules::VaryOf;

/// A stored answer that is fresh.
#[derive(Debug)]
pub(crate) struct Found {
    entry: Arc<Entry>,
    pub(crate) age: Duration,
    /// How long it is still fresh.
    pub(crate) left: Duration,
}

impl Cache {
    /// The answer that stands where requests for a key look first, if it is fresh and the one that these headers ask for.
    /// Others may know more.
    pub(crate) fn find(&self, key: &[u8], headers: &HeaderMap, now: SystemTime) -> Option<Found> {
        let primary = self.primary(key);
        let entry = self.store.memory.get(u128::from_be_bytes(primary))?;
        if !entry.is_first_of(key) || entry.variance() != self.variance_of(&entry, headers)? {
            return None;
        }
        let left = entry.fresh_until().duration_since(now).ok()?;
        let age = now.duration_since(entry.epoch()).unwrap_or_default();
        Some(Found { entry, age, left })
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
