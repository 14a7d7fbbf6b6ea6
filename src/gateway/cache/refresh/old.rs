use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ETAG, LAST_MODIFIED};
use pingora_cache::key::{CacheHashKey, HashBinary};
use pingora_cache::{CacheKey, CacheMeta, HitStatus, HttpCache, NoCacheReason};
use pingora_core::Result;

use crate::cache::rules::{VaryOf, vary_of};
use crate::cache::{Cache, STORAGE, lock};

/// A stored answer that is out of date, with the leave to put another in its place. Those that need a fresh one wait for that.
pub(super) struct Old(HttpCache);

impl Old {
    /// What requests with these headers find for a key; `None` where it is fresh or gone by now, or somebody fetches another.
    pub(super) async fn find(cache: &Arc<Cache>, key: &CacheKey, headers: &HeaderMap) -> Option<Self> {
        let mut old = Self(HttpCache::new());
        let lock = (!cache.lock_wait.is_zero()).then(lock);
        old.0.enable(&STORAGE, None, None, lock, None);
        old.0.set_cache_key(key.clone());
        loop {
            let (meta, body) = old.0.cache_lookup().await.ok()??;
            let asked = old.0.cache_key().variance_bin();
            match (asked, variance(cache, &meta, headers)) {
                // Another variant may stand where requests look first.
                (None, Some(variance)) if !old.0.cache_vary_lookup(variance, &meta) => {}
                (Some(asked), _) if Some(asked) != meta.variance() => return None,
                _ if meta.is_fresh(SystemTime::now()) => return None,
                _ => {
                    old.0.cache_found(meta, body, HitStatus::Expired);
                    return (!old.0.is_cache_locked()).then_some(old);
                }
            }
        }
    }

    pub(super) fn key(&self) -> &CacheKey {
        self.0.cache_key()
    }

    pub(super) fn meta(&self) -> Option<&CacheMeta> {
        self.0.maybe_cache_meta()
    }

    pub(super) fn has_validator(&self) -> bool {
        let has =
            |meta: &CacheMeta| [ETAG, LAST_MODIFIED].iter().any(|name| meta.headers().contains_key(name));
        self.meta().is_some_and(has)
    }

    /// Gives it another head.
    pub(super) async fn renew(&mut self, mut meta: CacheMeta) -> Result<()> {
        if let Some(variance) = self.meta().and_then(CacheMeta::variance) {
            meta.set_variance(variance);
        }
        self.0.revalidate_cache_meta(meta).await.map(drop)
    }

    /// Begins to put another in its place, for requests with these headers.
    pub(super) async fn replace(
        &mut self,
        meta: CacheMeta,
        cache: &Cache,
        headers: &HeaderMap,
    ) -> Result<()> {
        let variance = variance(cache, &meta, headers);
        self.0.set_cache_meta(meta);
        self.0.update_variance(variance);
        self.0.set_miss_handler().await
    }

    /// Adds a piece to the body of the other.
    pub(super) async fn write(&mut self, piece: Bytes) -> Result<()> {
        match self.0.miss_handler() {
            Some(handler) => handler.write_body(piece, false).await,
            None => Ok(()),
        }
    }

    /// The other is whole.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.0.finish_miss_handler().await
    }
}

impl Drop for Old {
    /// Others may fetch what this one did not.
    fn drop(&mut self) {
        self.0.release_write_lock(NoCacheReason::UpstreamError);
    }
}

/// The variant of an answer that these headers ask for, if it has variants.
fn variance(cache: &Cache, meta: &CacheMeta, headers: &HeaderMap) -> Option<HashBinary> {
    match vary_of(meta.headers()) {
        VaryOf::Fields(fields) if !fields.is_empty() => Some(cache.variance(&fields, headers)),
        _ => None,
    }
}
