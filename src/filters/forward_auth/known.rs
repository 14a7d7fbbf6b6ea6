use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use tokio::time::Instant;

use crate::filters::expiring::{Expiring, Tag, Tagger};
use crate::filters::headers::are_alike;
use crate::filters::shown::parameters_named;
use crate::hooks::{BuildError, FilterCx, KeyParts, KeySpec, RequestView};
use crate::types::cookies;

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

    /// The tag of a request; `None` for one that lacks a part of its key, or has one twice: of the two, the service and an
    /// endpoint could go by different ones.
    pub(super) fn tag(
        &self,
        request: &RequestView<'_>,
        cx: &FilterCx<'_>,
        question: &Request<Bytes>,
    ) -> Option<Tag> {
        let Some(key) = &self.key else { return Some(self.tags.tag(texts(question))) };
        if !key.iter().all(|key| stands_once(key, request)) {
            return None;
        }
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

/// Whether nobody could take another part of the request for this one.
fn stands_once(key: &KeySpec, request: &RequestView<'_>) -> bool {
    let headers = request.headers();
    match key {
        KeySpec::Header(name) => headers.iter().filter(|(found, _)| are_alike(name, found)).nth(1).is_none(),
        KeySpec::Cookie(name) => cookies(headers, name).nth(1).is_none(),
        KeySpec::Query(name) => parameters_named(name, request.query().unwrap_or_default()).nth(1).is_none(),
        _ => true,
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("key", &self.key).finish_non_exhaustive()
    }
}
