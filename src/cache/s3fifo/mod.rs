//! What is kept while there is room for it: shards of their own locks, one budget of bytes over all of them.

mod queues;
mod shard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

use shard::Shard;

/// What can be kept: its weight in bytes is what it takes of the budget.
pub(crate) trait Weigh {
    fn weight(&self) -> usize;
}

/// Values by keys that are hashes already, the upper half of one that those share which belong together. What was asked for more than once outlives what was not (S3-FIFO); a hit takes
/// a shared lock and copies nothing.
#[derive(Debug)]
pub(crate) struct S3Fifo<V> {
    shards: Box<[RwLock<Shard<V>>]>,
    bytes: AtomicUsize,
    budget: usize,
    /// The shard that gives something up next.
    hand: AtomicUsize,
    /// Values that were given up for others.
    evictions: AtomicU64,
}

/// The most shards there are, and the least that each has to itself.
const MOST_SHARDS: usize = 64;
const LEAST_SHARD: usize = 1 << 20;

impl<V: Weigh> S3Fifo<V> {
    pub(crate) fn new(budget: usize) -> Self {
        let shards = (budget / LEAST_SHARD).clamp(1, MOST_SHARDS).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            bytes: AtomicUsize::new(0),
            budget,
            hand: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: u128) -> &RwLock<Shard<V>> {
        // The map within a shard takes the low bits.
        &self.shards[(key >> 64) as usize & (self.shards.len() - 1)]
    }

    pub(crate) fn get(&self, key: u128) -> Option<Arc<V>> {
        self.shard(key).read().get(key)
    }

    /// The value without a word that it was asked for.
    pub(crate) fn peek(&self, key: u128) -> Option<Arc<V>> {
        self.shard(key).read().peek(key).cloned()
    }

    /// Keeps a value unless there is one with its key, and returns the one that is there now.
    pub(crate) fn add(&self, key: u128, value: Arc<V>) -> Arc<V> {
        if !self.has_room(value.weight()) {
            return value;
        }
        let mut shard = self.shard(key).write();
        if let Some(known) = shard.peek(key) {
            return known.clone();
        }
        let (added, _) = shard.insert(key, value.clone());
        drop(shard);
        self.bytes.fetch_add(added, Ordering::Relaxed);
        self.keep_to(self.budget, |_| ());
        value
    }

    /// Keeps a value in place of the one with its key, if there is room for it at all and it is due: as long as that is asked
    /// and answered, nothing with its key is removed.
    pub(crate) fn insert_if_due(&self, key: u128, value: Arc<V>, is_due: impl FnOnce() -> bool) -> bool {
        self.put(key, value, is_due, |_| ())
    }

    /// Keeps a value in place of the one with its key, if there is room for it at all.
    pub(crate) fn insert(&self, key: u128, value: Arc<V>) -> bool {
        self.put(key, value, || true, |_| ())
    }

    /// The same, with word of the keys whose values are given up for it.
    pub(crate) fn insert_and_tell(&self, key: u128, value: Arc<V>, on_evict: impl FnMut(u128)) -> bool {
        self.put(key, value, || true, on_evict)
    }

    fn put(
        &self,
        key: u128,
        value: Arc<V>,
        is_due: impl FnOnce() -> bool,
        on_evict: impl FnMut(u128),
    ) -> bool {
        if !self.has_room(value.weight()) {
            self.remove(key);
            return false;
        }
        let mut shard = self.shard(key).write();
        if !is_due() {
            return false;
        }
        let (added, removed) = shard.insert(key, value);
        drop(shard);
        self.bytes.fetch_add(added, Ordering::Relaxed);
        self.bytes.fetch_sub(removed, Ordering::Relaxed);
        self.keep_to(self.budget, on_evict);
        true
    }

    /// Gives values up until the others have no more than so many bytes, and tells their keys.
    pub(crate) fn shrink_to(&self, bytes: usize, on_evict: impl FnMut(u128)) {
        self.keep_to(bytes.min(self.budget), on_evict);
    }

    /// Puts a value in the place of one that is still there, and leaves what came meanwhile.
    pub(crate) fn replace(&self, key: u128, is_meant: impl Fn(&V) -> bool, value: Arc<V>) -> bool {
        let mut shard = self.shard(key).write();
        if !shard.peek(key).is_some_and(|known| is_meant(known)) {
            return false;
        }
        let (added, removed) = shard.insert(key, value);
        drop(shard);
        self.bytes.fetch_add(added, Ordering::Relaxed);
        self.bytes.fetch_sub(removed, Ordering::Relaxed);
        self.keep_to(self.budget, |_| ());
        true
    }

    pub(crate) fn remove(&self, key: u128) -> bool {
        let removed = self.shard(key).write().remove(key);
        self.bytes.fetch_sub(removed.unwrap_or(0), Ordering::Relaxed);
        removed.is_some()
    }

    /// The keys of those that share this upper half.
    pub(crate) fn group(&self, upper: u64) -> Vec<u128> {
        self.shard(u128::from(upper) << 64).read().group(upper).collect()
    }

    pub(crate) fn has_group(&self, upper: u64) -> bool {
        self.shard(u128::from(upper) << 64).read().group(upper).next().is_some()
    }

    /// Removes those that share this upper half; whether there were any.
    pub(crate) fn remove_group(&self, upper: u64) -> bool {
        let mut shard = self.shard(u128::from(upper) << 64).write();
        let keys: Vec<u128> = shard.group(upper).collect();
        let bytes: usize = keys.iter().filter_map(|key| shard.remove(*key)).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        !keys.is_empty()
    }

    /// Removes all that is meant, and says what that was.
    pub(crate) fn remove_if(&self, is_meant: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        let mut removed = Vec::new();
        for shard in &self.shards {
            let (values, bytes) = shard.write().remove_if(&is_meant);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            removed.extend(values);
        }
        removed
    }

    /// Whether there is room for something of this weight at all.
    pub(crate) fn has_room(&self, weight: usize) -> bool {
        weight <= self.budget / 2
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many values were given up for others so far.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Shards give up one value each in turn until all is within so many bytes.
    fn keep_to(&self, most: usize, mut on_evict: impl FnMut(u128)) {
        let mut fruitless = 0;
        while self.bytes() > most && fruitless < self.shards.len() {
            let hand = self.hand.fetch_add(1, Ordering::Relaxed) & (self.shards.len() - 1);
            let evicted = self.shards[hand].write().evict();
            fruitless = if evicted.is_none() { fruitless + 1 } else { 0 };
            if let Some((key, freed)) = evicted {
                self.bytes.fetch_sub(freed, Ordering::Relaxed);
                self.evictions.fetch_add(1, Ordering::Relaxed);
                on_evict(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
