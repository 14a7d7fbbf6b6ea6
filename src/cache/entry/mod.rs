mod encoding;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, AGE, CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_cache::key::{CacheHashKey, HashBinary};
use pingora_cache::{CacheKey, CacheMeta};
use pingora_http::ResponseHeader;

use crate::types::{content_length, put_head};

use super::disk;
use super::purges::Names;
use super::rules::{VaryOf, vary_of};
use super::s3fifo::Weigh;
use super::{Purge, purge};
use encoding::copied;

/// An answer as it is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    draft: Draft,
    pub(super) body: Arc<Body>,
    /// What its head says that it depends on.
    vary: VaryOf,
    lines: Option<Box<[u8]>>,
    weight: usize,
}

/// An answer without its body.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// All that it was asked for by; what finds it is but a hash of that.
    key: Box<[u8]>,
    /// The variant that its place is for; `None` for the place where requests look first.
    place: Option<HashBinary>,
    /// The variant that it is.
    variance: Option<HashBinary>,
    head: ResponseHeader,
    times: Times,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    created: SystemTime,
    /// Since when variants that were found from here are valid.
    provenance: SystemTime,
    epoch: SystemTime,
    fresh_until: SystemTime,
    while_revalidate: u32,
    if_error: u32,
}

/// A body in pieces that are handed out as they are.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Which one it is, where it lies in a file too.
    pub(super) id: u64,
    pub(super) pieces: Box<[Bytes]>,
    pub(super) length: usize,
}

/// What an entry takes besides its bytes, about.
const OVERHEAD: usize = 1024;
/// The same of a field.
const FIELD_OVERHEAD: usize = 256;

impl Draft {
    pub(super) fn new(key: &CacheKey, meta: &CacheMeta) -> Self {
        Self {
            key: key.primary_key().into(),
            place: key.variance_bin(),
            variance: meta.variance(),
            head: copied(meta.response_header()),
            times: Times {
                created: meta.created(),
                provenance: meta.provenance(),
                epoch: meta.epoch(),
                fresh_until: meta.fresh_until(),
                while_revalidate: meta.stale_while_revalidate_sec(),
                if_error: meta.stale_if_error_sec(),
            },
        }
    }

    /// The length of the body, as far as the head tells it.
    pub(super) fn promised(&self) -> Option<usize> {
        if self.head.status == StatusCode::NO_CONTENT {
            return Some(0);
        }
        usize::try_from(content_length(&self.head.headers)?).ok()
    }

    /// See [`Entry::lines`].
    fn lines(&self, length: usize) -> Option<Box<[u8]>> {
        if self.promised() != Some(length) {
            return None;
        }
        let mut head = self.head.clone();
        for name in [AGE, CONNECTION, DATE] {
            head.remove_header(&name);
        }
        if head.status == StatusCode::OK {
            head.remove_header(&ACCEPT_RANGES);
            head.append_header(ACCEPT_RANGES, HeaderValue::from_static("bytes")).ok()?;
        }
        let mut lines = Vec::with_capacity(512);
        put_head(&head, &mut lines);
        Some(lines.into())
    }

    /// The same with the length of its body, so that it can be sent in parts, and to clients of HTTP/1.0.
    pub(super) fn with_length(mut self, length: usize) -> Self {
        let head = &mut self.head;
        if head.status != StatusCode::NO_CONTENT && !head.headers.contains_key(CONTENT_LENGTH) {
            // A head without room for it goes in chunks.
            let _ = head.insert_header(CONTENT_LENGTH, length);
        }
        self
    }

    pub(super) fn with_body(self, body: Arc<Body>) -> Entry {
        let (weight, lines) = (self.weight(body.length), self.lines(body.length));
        Entry { vary: vary_of(&self.head.headers), lines, draft: self, body, weight }
    }

    /// What it takes of memory with a body of this length, about.
    pub(super) fn weight(&self, length: usize) -> usize {
        // Names are kept as they are written, and as they are looked for; and all once more in lines.
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            3 * name.as_str().len() + 2 * value.len() + FIELD_OVERHEAD
        };
        let fields: usize = self.head.headers.iter().map(field).sum();
        OVERHEAD + self.key.len() + fields + length
    }

    /// Whether it is what a key asks for, and not only something that shares its hash.
    pub(super) fn is_of(&self, key: &CacheKey) -> bool {
        *self.key == *key.primary_key() && self.place == key.variance_bin()
    }

    /// Whether operators mean it.
    pub(super) fn is_meant(&self, purge: &Purge) -> bool {
        purge.is_for(&self.key, &self.head.headers)
    }

    /// What operators may know it by.
    pub(super) fn names(&self) -> Names {
        purge::names(&self.key, &self.head.headers)
    }

    /// The name of its file.
    pub(super) fn name(&self) -> u128 {
        disk::name(&self.key, self.place)
    }

    /// The same in Pingora's form.
    pub(super) fn meta(&self) -> CacheMeta {
        let Self { place, variance, head, times, .. } = self;
        let Times { created, provenance, epoch, fresh_until, while_revalidate, if_error } = *times;
        // Pingora takes the time of creation for the provenance of what it is given; of variants it looks at the former,
        // of what stands where requests look first at the latter.
        let since = if place.is_some() { created } else { provenance };
        let mut meta = CacheMeta::new(fresh_until, since, while_revalidate, if_error, head.clone());
        meta.set_epoch_override(epoch);
        if let Some(variance) = variance {
            meta.set_variance(*variance);
        }
        meta
    }
}

impl Entry {
    /// Whether it stands where requests for a key look first.
    pub(super) fn is_first_of(&self, key: &[u8]) -> bool {
        *self.draft.key == *key && self.draft.place.is_none()
    }

    pub(super) fn head(&self) -> &ResponseHeader {
        &self.draft.head
    }

    /// The head in the lines of HTTP/1.1 as clients get it that ask by GET, but for its end and for what tells of age and
    /// connection; `None` where it does not tell the length of the body.
    pub(super) fn lines(&self) -> Option<&[u8]> {
        self.lines.as_deref()
    }

    pub(super) fn vary(&self) -> &VaryOf {
        &self.vary
    }

    pub(super) fn variance(&self) -> Option<HashBinary> {
        self.draft.variance
    }

    pub(super) fn fresh_until(&self) -> SystemTime {
        self.draft.times.fresh_until
    }

    /// So long after that it may be given while another is fetched.
    pub(super) fn while_revalidate(&self) -> Duration {
        Duration::from_secs(u64::from(self.draft.times.while_revalidate))
    }

    /// From when its age counts.
    pub(super) fn epoch(&self) -> SystemTime {
        self.draft.times.epoch
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }
}

impl Weigh for Entry {
    fn weight(&self) -> usize {
        self.weight
    }
}
