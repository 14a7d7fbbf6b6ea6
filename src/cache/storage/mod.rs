//! The caches as Pingora sees them: one storage for as long as the process lives, which finds the cache in the key.

mod fill;
mod hit;

use std::any::Any;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora_cache::key::CacheHashKey;
use pingora_cache::lock::{CacheKeyLockImpl, CacheLock};
use pingora_cache::predictor::Predictor;
use pingora_cache::storage::PurgeTarget;
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheKey, CacheMeta, HitHandler, MissHandler, PurgeOutcome, PurgeType, Storage};
use pingora_core::{Error, ErrorType, Result};

use super::Cache;
use super::disk::{Disk, Found};
use super::entry::{Draft, Entry};
use super::store::{Attachment, place, target_hash};
use fill::Fill;
use hit::Hit;

/// What Pingora is given to store in.
pub(crate) static STORAGE: Attached = Attached;

/// Who fetches what, so that others wait for it. Keys are of their cache alone, so one is enough for all.
pub(crate) static LOCK: LazyLock<Box<CacheLock>> = LazyLock::new(|| CacheLock::new_boxed(LOCK_AGE));

/// A fetch that takes longer is not waited for any more, and another may begin: its client may be slow, and with it the fetch.
const LOCK_AGE: Duration = Duration::from_secs(5);

/// What is known not to be storable, so that nobody waits for it.
pub(crate) static PREDICTOR: LazyLock<Predictor<16>> = LazyLock::new(|| Predictor::new(KNOWN_KEYS, None));

/// In each of its shards.
const KNOWN_KEYS: usize = 2048;

/// Those as Pingora asks for them.
pub(crate) fn lock() -> &'static CacheKeyLockImpl {
    &**LOCK
}

/// The storage of whatever cache a key brings along.
#[derive(Debug)]
pub(crate) struct Attached;

fn attachment(key: &CacheKey) -> Result<&Attachment> {
    let unattached = || Error::explain(ErrorType::InternalError, "a key without its cache");
    key.extensions.get::<Attachment>().ok_or_else(unattached)
}

fn cache_of(key: &CacheKey) -> Result<&Arc<Cache>> {
    Ok(&attachment(key)?.cache)
}

fn find(cache: &Cache, key: &CacheKey) -> Option<Arc<Entry>> {
    cache.store.memory.get(place(key)).filter(|entry| entry.draft().is_of(key))
}

/// Which body an answer from a file has; with it the answer is found again when its head is to be another.
#[derive(Clone, Copy, Debug)]
struct BodyId(u64);

fn held(entry: &Entry) -> (CacheMeta, HitHandler) {
    (entry.draft().meta(), Box::new(Hit::new(entry.body.clone())))
}

/// What lies on the disk. What is short enough is in memory from now on.
async fn find_in_files(cache: &Cache, disk: &Disk, key: &CacheKey) -> Option<(CacheMeta, HitHandler)> {
    let (removals, target) = (&cache.store.removals, target_hash(key.primary_bin()));
    let since = removals.now();
    let found = disk.find(key).await?;
    let is_still_there = |draft: &Draft| !removals.has_hit(target, since, || draft.names());
    match found {
        Found::Whole(draft, body) if body.length <= cache.most_in_memory => {
            let entry = cache.store.memory.add(place(key), Arc::new(draft.with_body(body)));
            if !is_still_there(entry.draft()) {
                cache.store.memory.remove(place(key));
                return None;
            }
            entry.draft().is_of(key).then(|| held(&entry))
        }
        Found::Whole(draft, body) => is_still_there(&draft).then(|| held(&draft.with_body(body))),
        Found::Long(draft, body) => {
            let mut meta = draft.meta();
            meta.extensions_mut().insert(BodyId(body.id()));
            is_still_there(&draft).then(|| (meta, Box::new(body) as HitHandler))
        }
    }
}

#[async_trait]
impl Storage for Attached {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let cache = cache_of(key)?;
        if let Some(entry) = find(cache, key) {
            return Ok(Some(held(&entry)));
        }
        match &cache.disk {
            Some(disk) => Ok(find_in_files(cache, disk, key).await),
            None => Ok(None),
        }
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<MissHandler> {
        Ok(Box::new(Fill::begin(attachment(key)?, key, Draft::new(key, meta)).await))
    }

    /// Pingora purges only where it is asked to, which it is not.
    async fn purge(&'static self, _: PurgeTarget<'_>, _: PurgeType, _: &SpanHandle) -> Result<PurgeOutcome> {
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<bool> {
        let cache = cache_of(key)?;
        let draft = Draft::new(key, meta);
        let known = find(cache, key);
        let id = known.as_ref().map(|known| known.body.id);
        let id = id.or_else(|| meta.extensions().get::<BodyId>().map(|BodyId(id)| *id));
        if let (Some(disk), Some(id)) = (&cache.disk, id) {
            disk.renew(key, id, &draft);
        }
        let Some(known) = known else { return Ok(id.is_some()) };
        let entry = draft.with_length(known.body.length).with_body(known.body.clone());
        // What came meanwhile is newer, and its body another.
        let is_same = |there: &Entry| Arc::ptr_eq(&there.body, &known.body);
        Ok(cache.store.memory.replace(place(key), is_same, Arc::new(entry)))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

#[cfg(test)]
mod tests;
