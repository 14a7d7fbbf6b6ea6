mod encoding;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_cache::key::{CacheHashKey, HashBinary};
use pingora_cache::{CacheKey, CacheMeta};
use pingora_http::ResponseHeader;

use super::Purge;
use super::disk;
use super::s3fifo::Weigh;
use encoding::copied;

/// An answer as it is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    draft: Draft,
    pub(super) body: Arc<Body>,
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
        self.head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
        let Self { head, .. } = &self;
        // Names are kept as they are written, and as they are looked for.
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            2 * name.as_str().len() + value.len() + FIELD_OVERHEAD
        };
        let fields: usize = head.headers.iter().map(field).sum();
        let weight = OVERHEAD + self.key.len() + fields + body.length;
        Entry { draft: self, body, weight }
    }

    /// Whether it is what a key asks for, and not only something that shares its hash.
    pub(super) fn is_of(&self, key: &CacheKey) -> bool {
        *self.key == *key.primary_key() && self.place == key.variance_bin()
    }

    /// Whether operators mean it.
    pub(super) fn is_meant(&self, purge: &Purge) -> bool {
        purge.is_for(&self.key, &self.head.headers)
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
