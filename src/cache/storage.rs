//! The caches as Pingora sees them: one storage for as long as the process lives, which finds the cache in the key.

use std::any::Any;
use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora_cache::key::CacheHashKey;
use pingora_cache::lock::{CacheKeyLockImpl, CacheLock};
use pingora_cache::predictor::{CacheablePredictor, Predictor};
use pingora_cache::storage::{HandleHit, HandleMiss, MissFinishType, PurgeTarget};
use pingora_cache::trace::SpanHandle;
use pingora_cache::{
    CacheKey, CacheMeta, HitHandler, MissHandler, NoCacheReason, PurgeOutcome, PurgeType, Storage,
};
use pingora_core::{Error, ErrorType, Result};

use super::Cache;
use super::entry::{Body, Draft, Entry};
use super::store::place;

/// What Pingora is given to store in.
pub(crate) static STORAGE: Attached = Attached;

/// Who fetches what, so that others wait for it. Keys are of their cache alone, so one is enough for all.
pub(crate) static LOCK: LazyLock<Box<CacheLock>> = LazyLock::new(|| CacheLock::new_boxed(LOCK_AGE));

/// A fetch that takes longer is not waited for any more, and another may begin.
const LOCK_AGE: Duration = Duration::from_secs(30);

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

fn cache_of(key: &CacheKey) -> Result<&Arc<Cache>> {
    let unattached = || Error::explain(ErrorType::InternalError, "a key without its cache");
    key.extensions.get::<Arc<Cache>>().ok_or_else(unattached)
}

fn find(cache: &Cache, key: &CacheKey) -> Option<Arc<Entry>> {
    cache.store.memory.get(place(key)).filter(|entry| entry.is_of(key))
}

#[async_trait]
impl Storage for Attached {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let entry = find(cache_of(key)?, key);
        Ok(entry.map(|entry| {
            let meta = entry.meta();
            let left = entry.body.length;
            let hit: HitHandler = Box::new(Hit { body: entry.body.clone(), piece: 0, offset: 0, left });
            (meta, hit)
        }))
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<MissHandler> {
        let draft = Draft::new(key, meta);
        let cache = cache_of(key)?.clone();
        Ok(Box::new(Fill {
            removals: cache.store.removals(key.primary_bin()),
            cache,
            key: key.clone(),
            promised: draft.promised(),
            draft: Some(draft),
            pieces: Vec::new(),
            last: BytesMut::new(),
            length: 0,
            is_too_long: false,
        }))
    }

    /// Pingora purges only where it is asked to, which it is not.
    async fn purge(&'static self, _: PurgeTarget<'_>, _: PurgeType, _: &SpanHandle) -> Result<PurgeOutcome> {
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<bool> {
        let cache = cache_of(key)?;
        let Some(known) = find(cache, key) else { return Ok(false) };
        let entry = Draft::new(key, meta).with_body(known.body.clone());
        // What came meanwhile is newer, and its body another.
        let is_same = |there: &Entry| Arc::ptr_eq(&there.body, &known.body);
        Ok(cache.store.memory.replace(place(key), is_same, Arc::new(entry)))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// A stored body that is read.
#[derive(Debug)]
struct Hit {
    body: Arc<Body>,
    piece: usize,
    /// Where in the piece.
    offset: usize,
    left: usize,
}

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        let Some(piece) = self.body.pieces.get(self.piece).filter(|_| self.left > 0) else {
            return Ok(None);
        };
        let end = piece.len().min(self.offset.saturating_add(self.left));
        let bytes = piece.slice(self.offset..end);
        self.left -= bytes.len();
        self.piece += 1;
        self.offset = 0;
        Ok(Some(bytes))
    }

    async fn finish(
        self: Box<Self>,
        _: &'static (dyn Storage + Sync),
        _: &CacheKey,
        _: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let end = end.unwrap_or(self.body.length).min(self.body.length);
        if start >= end {
            return Error::e_explain(ErrorType::InternalError, "a range beyond the stored body");
        }
        let mut before = 0;
        let is_beyond = |piece: &Bytes| {
            before += piece.len();
            before > start
        };
        self.piece = self.body.pieces.iter().position(is_beyond).unwrap_or(0);
        self.offset = start - (before - self.body.pieces[self.piece].len());
        self.left = end - start;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// An answer on its way into a cache.
struct Fill {
    cache: Arc<Cache>,
    key: CacheKey,
    draft: Option<Draft>,
    /// The length that the head tells.
    promised: Option<usize>,
    pieces: Vec<Bytes>,
    last: BytesMut,
    length: usize,
    is_too_long: bool,
    /// What had been removed when it began.
    removals: u32,
}

/// What is stored is stored in pieces of this size. Those that come may be small, or hold on to large buffers.
const PIECE: usize = 64 * 1024;
/// The same where nobody knows how much comes.
const SHORT_PIECE: usize = 16 * 1024;

impl Fill {
    fn add(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.last.capacity() == self.last.len() {
                self.seal();
                let left = self.promised.map_or(SHORT_PIECE, |promised| promised.saturating_sub(self.length));
                self.last = BytesMut::with_capacity(left.max(data.len()).min(PIECE));
            }
            let (now, later) = data.split_at(data.len().min(self.last.capacity() - self.last.len()));
            self.last.extend_from_slice(now);
            self.length += now.len();
            data = later;
        }
    }

    fn seal(&mut self) {
        if !self.last.is_empty() {
            let last = mem::take(&mut self.last);
            let is_full = last.capacity() - last.len() <= last.len() / 8;
            self.pieces.push(if is_full { last.freeze() } else { Bytes::copy_from_slice(&last) });
        }
    }
}

#[async_trait]
impl HandleMiss for Fill {
    async fn write_body(&mut self, data: Bytes, _: bool) -> Result<()> {
        if self.is_too_long {
            return Ok(());
        }
        if self.length + data.len() > self.cache.max_object {
            // An error would be told in the log of this process, and this is none.
            self.is_too_long = true;
            self.pieces = Vec::new();
            self.last = BytesMut::new();
            PREDICTOR.mark_uncacheable(&self.key, NoCacheReason::ResponseTooLarge);
            return Ok(());
        }
        self.add(&data);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<MissFinishType> {
        let is_whole = self.promised.is_none_or(|promised| promised == self.length);
        let is_out_of_date = self.cache.store.removals(self.key.primary_bin()) != self.removals;
        let is_fit = is_whole && !self.is_too_long && !is_out_of_date;
        if let Some(draft) = self.draft.take().filter(|_| is_fit) {
            self.seal();
            let body = Body { pieces: mem::take(&mut self.pieces).into(), length: self.length };
            let entry = draft.with_body(Arc::new(body));
            self.cache.store.memory.insert(place(&self.key), Arc::new(entry));
        }
        Ok(MissFinishType::Created(self.length))
    }
}

#[cfg(test)]
mod tests;
