use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use tokio::time::Instant;

use crate::filters::expiring::{Expiring, Tag, Tagger};
use crate::hooks::{BuildError, FilterCx, KeyParts, KeySpec, RequestView};

use super::AuthCacheSettings;
use super::answer::Granted;
use super::question::texts;

/// Which requests may pass without a question, for a while.
pub(super) struct Known {
    tags: Tagger,
    granted: Expiring<Arc<Granted>>,
    /// In what requests are alike; `None` for all that the service is told.
    key: Option<Vec<KeySpec>>,
    ipv6_prefix: u8,
}

impl Known {
    pub(super) fn new(settings: AuthCacheSettings, ipv6_prefix: u8) -> Result<Self, BuildError> {
        let (ttl, size) = (settings.checked_ttl()?, settings.checked_size()?);
        let tags = Tagger::new().map_err(|_| BuildError::new("the system has no randomness"))?;
        let key = settings.key.map(|key| key.into_iter().collect());
        Ok(Self { tags, granted: Expiring::new(ttl, size), key, ipv6_prefix })
    }

    /// The tag of a request; `None` for one that lacks a part of its key.
    pub(super) fn tag(
        &self,
        request: &RequestView<'_>,
        cx: &FilterCx<'_>,
        question: &Request<Bytes>,
    ) -> Option<Tag> {
        let Some(key) = &self.key else { return Some(self.tags.tag(texts(question))) };
        let digest = |key: &KeySpec| key.digest(KeyParts::of(request, cx), self.ipv6_prefix);
        let digests = key.iter().map(digest).collect::<Option<Vec<_>>>()?;
        Some(self.tags.tag(digests.iter().map(<[u8; 16]>::as_slice)))
    }

    pub(super) fn get(&self, tag: &Tag, now: Instant) -> Option<Arc<Granted>> {
        self.granted.get(tag, now)
    }

    pub(super) fn put(&self, tag: Tag, granted: Arc<Granted>, now: Instant) {
        if granted.may_be_kept {
            self.granted.put(tag, granted, now);
        }
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("key", &self.key).finish_non_exhaustive()
    }
}
