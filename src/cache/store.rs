use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, HeaderName};
use pingora_cache::CacheKey;
use pingora_cache::key::{CacheHashKey, HashBinary};

use super::disk::{self, Disk, MOST_WHOLE};
use super::entry::Entry;
use super::key::target_of;
use super::purges::Names;
use super::refreshes::Refreshes;
use super::removals::Removals;
use super::results::Results;
use super::rules::normalised;
use super::s3fifo::S3Fifo;
use super::{Purge, Purged};
use crate::types::CacheName;

/// A cache as a configuration has it.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) name: CacheName,
    /// What it holds goes on from one configuration to the next.
    pub(crate) store: Arc<Store>,
    pub(crate) disk: Option<Arc<Disk>>,
    /// Answers with longer bodies are not kept.
    pub(crate) max_object: usize,
    /// Those with longer bodies are only on the disk.
    pub(super) most_in_memory: usize,
    /// So many bytes may be held of what is on its way into the cache.
    most_under_way: usize,
    /// How long a request waits for another that fetches what it wants.
    pub(crate) lock_wait: Duration,
    /// So many answers are refreshed at once while clients get the old ones.
    pub(crate) most_refreshes: usize,
}

/// What a cache holds.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) memory: S3Fifo<Entry>,
    /// Nobody can tell which keys meet.
    hasher: RandomState,
    pub(super) removals: Removals,
    pub(super) refreshes: Refreshes,
    /// What it did for requests.
    pub(crate) results: Results,
    /// Bytes that are held of answers on their way.
    under_way: AtomicUsize,
}

/// What a key brings along.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) cache: Arc<Cache>,
    /// When it was made, by the count of removals: before anybody was asked for the answer.
    pub(super) made: u64,
    /// Whether the answer that comes has what it takes to be stored.
    pub(super) is_to_be_stored: Arc<AtomicBool>,
}

/// Whether the answer that comes for a key has room where it is stored, so that it will be if all of it comes.
pub(crate) fn is_to_be_stored(key: &CacheKey) -> bool {
    let attachment = key.extensions.get::<Attachment>();
    attachment.is_some_and(|attachment| attachment.is_to_be_stored.load(Ordering::Relaxed))
}

/// A share of what may be held of answers on their way.
#[derive(Debug)]
pub(super) struct Share {
    cache: Arc<Cache>,
    bytes: usize,
    /// What was taken ahead of need.
    ahead: usize,
}

/// Bodies are held in pieces of this size at most.
pub(super) const LARGEST_PIECE: usize = 64 * 1024;

/// How the answers of a route are cached, and where.
#[derive(Debug)]
pub(crate) struct Caching {
    pub(crate) cache: Arc<Cache>,
    pub(crate) plan: super::Plan,
}

impl Store {
    pub(crate) fn new(memory: usize) -> Self {
        Self {
            memory: S3Fifo::new(memory),
            hasher: RandomState::new(),
            removals: Removals::default(),
            refreshes: Refreshes::default(),
            results: Results::default(),
            under_way: AtomicUsize::new(0),
        }
    }

    fn hash(&self, write: impl FnOnce(&mut DefaultHasher)) -> HashBinary {
        let mut hasher = self.hasher.build_hasher();
        write(&mut hasher);
        let one = hasher.finish();
        // What is kept of what was written has 256 bits (SipHash): with one byte more it tells another 64 of them.
        hasher.write_u8(0);
        (u128::from(one) << 64 | u128::from(hasher.finish())).to_be_bytes()
    }

    /// The hash of a key, in whose upper half is that of its target, with which it begins.
    fn primary(&self, key: &[u8]) -> HashBinary {
        let target = target_of(key);
        let mut hasher = self.hasher.build_hasher();
        hasher.write(target);
        let upper = hasher.finish();
        hasher.write(&key[target.len()..]);
        hasher.write_u8(0);
        (u128::from(upper) << 64 | u128::from(hasher.finish())).to_be_bytes()
    }

    fn remove(&self, key: &[u8]) -> bool {
        let target = target_hash(self.primary(key));
        self.removals.note(target);
        self.memory.remove_group(target)
    }

    fn purge(&self, purge: &Purge) -> Vec<Arc<Entry>> {
        self.removals.note_purge(purge);
        self.memory.remove_if(|entry| entry.draft().is_meant(purge))
    }
}

impl Cache {
    /// A cache of a name; `memory` is the memory of its store, and `None` for `disk` one of memory alone. Nothing is refreshed in
    /// the background.
    pub(crate) fn new(
        name: CacheName,
        store: Arc<Store>,
        memory: usize,
        disk: Option<Arc<Disk>>,
        max_object: usize,
        lock_wait: Duration,
    ) -> Self {
        let most_in_memory = max_object.min(memory / 2);
        let (max_object, most_in_memory) = match disk {
            Some(_) => (max_object, most_in_memory.min(MOST_WHOLE)),
            None => (most_in_memory, most_in_memory),
        };
        // There is always room for one.
        let most_under_way = (memory / 4).max(most_in_memory + LARGEST_PIECE);
        Self { name, store, disk, max_object, most_in_memory, most_under_way, lock_wait, most_refreshes: 0 }
    }

    /// The same where so many answers may be refreshed in the background at once.
    pub(crate) fn with_refreshes(self, most_refreshes: usize) -> Self {
        Self { most_refreshes, ..self }
    }

    /// How many bytes of memory answers take, and may take.
    pub(crate) fn memory(&self) -> (usize, usize) {
        (self.store.memory.bytes(), self.store.memory.budget())
    }

    /// How many answers were given up in memory for others.
    pub(crate) fn evictions(&self) -> u64 {
        self.store.memory.evictions()
    }

    /// Removes what is kept for the target of a key, whatever else its answers depend on.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let was_there = self.store.remove(key);
        if let Some(disk) = &self.disk {
            disk.remove(disk::target(key));
        }
        was_there
    }

    /// Removes what operators mean, and says how many answers that were. What they mean and is on its way is not stored.
    pub(crate) async fn purge(&self, purge: &Purge) -> Purged {
        let removed = self.store.purge(purge);
        let Some(disk) = &self.disk else { return Purged { answers: removed.len(), is_complete: true } };
        let names: HashSet<u128> = removed.iter().map(|entry| entry.draft().name()).collect();
        let Purged { answers, is_complete } = disk.purge(purge, names).await;
        Purged { answers: removed.len() + answers, is_complete }
    }

    /// The key in Pingora's form. It brings the cache along, since Pingora knows of one storage only.
    pub(crate) fn key(self: &Arc<Self>, bytes: Vec<u8>) -> CacheKey {
        let hash = self.primary(&bytes);
        let mut key = CacheKey::new(bytes, String::new());
        key.set_primary_bin_override(hash);
        key.extensions.insert(Attachment {
            cache: self.clone(),
            made: self.store.removals.now(),
            is_to_be_stored: Arc::default(),
        });
        key
    }

    /// The hash by which a key is found.
    pub(super) fn primary(&self, key: &[u8]) -> HashBinary {
        self.store.primary(key)
    }

    /// The variant that a request asks for, of an answer that depends on these fields.
    pub(crate) fn variance(&self, fields: &[HeaderName], headers: &HeaderMap) -> HashBinary {
        let values = fields.iter().map(|name| (name, normalised(headers, name)));
        if self.disk.is_some() {
            // It has to be the same in the next process.
            return lasting_variance(values);
        }
        self.store.hash(|hasher| {
            for (name, value) in values {
                hasher.write_usize(name.as_str().len());
                hasher.write(name.as_str().as_bytes());
                hasher.write_usize(value.as_ref().map_or(usize::MAX, |value| value.len()));
                hasher.write(value.as_deref().unwrap_or_default());
            }
        })
    }
}

impl Share {
    /// Nothing as yet.
    pub(super) fn of(cache: &Arc<Cache>) -> Self {
        Self { cache: cache.clone(), bytes: 0, ahead: 0 }
    }

    /// Takes so many bytes ahead of need, if they are to be had.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        let is_reserved = self.grow(bytes);
        self.ahead += if is_reserved { bytes } else { 0 };
        is_reserved
    }

    /// Takes so many bytes more, if they are to be had.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let known = bytes.min(self.ahead);
        self.ahead -= known;
        let bytes = bytes - known;
        let under_way = &self.cache.store.under_way;
        let most = self.cache.most_under_way;
        let grown = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        let is_grown = under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if is_grown {
            self.bytes += bytes;
        }
        is_grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.cache.store.under_way.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn lasting_variance<'h>(values: impl Iterator<Item = (&'h HeaderName, Option<Cow<'h, [u8]>>)>) -> HashBinary {
    let mut context = Context::new(&SHA256);
    for (name, value) in values {
        for part in [Some(name.as_str().as_bytes()), value.as_deref()] {
            context.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            context.update(part.unwrap_or_default());
        }
    }
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

impl Attachment {
    /// Whether no answer for the target of its key, or with these names, was removed since that was made.
    pub(super) fn is_due(&self, primary: HashBinary, names: impl FnOnce() -> Names) -> bool {
        !self.cache.store.removals.has_hit(target_hash(primary), self.made, names)
    }
}

/// Where an entry is: both are hashes that nobody can foretell.
pub(super) fn place(key: &CacheKey) -> u128 {
    let primary = u128::from_be_bytes(key.primary_bin());
    let variant = key.variance_bin().map_or(0, u128::from_be_bytes);
    // All variants stay with their target.
    primary ^ u128::from(variant as u64)
}

/// The hash of the target in that of a key.
pub(super) fn target_hash(primary: HashBinary) -> u64 {
    (u128::from_be_bytes(primary) >> 64) as u64
}
