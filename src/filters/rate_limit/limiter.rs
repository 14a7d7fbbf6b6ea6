use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hooks::KeySeed;
use crate::types::Rate;

use super::gcra::{Gcra, Step, Tat};
use super::table::{Spread, Table};

mod export;

/// Decides for each of many keys whether its next request keeps to a rate.
///
/// Exact for every key that it knows (the generic cell rate algorithm in whole numbers): over any time `t` no
/// key gets more than `burst + rate × t` requests. Shared by all threads; a decision takes one short lock on
/// one of up to 1024 shards. Memory grows with the keys, 43 bytes each at most when all are in use, and is kept
/// once it has grown.
///
/// It holds at most so many keys as it was told; being sharded it may begin to evict a few per cent earlier.
/// Keys that are back at rest are forgotten first, which changes nothing. Past that, the key with the smallest
/// debt of a sample gives way, and gets a full burst again if it comes back: a flood of keys can make the
/// limiter forget those who kept to the rate, but hardly those who are over it.
#[derive(Debug)]
pub struct Limiter {
    gcra: Gcra,
    shards: Box<[CachePadded<Mutex<Table>>]>,
    spread: Spread,
    seed: KeySeed,
    /// Time zero: the first decision's.
    start: OnceLock<Instant>,
}

/// What a [`Limiter`] says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is within the rate and has been counted.
    Allowed {
        /// How long it must wait first; zero unless the caller offered to wait.
        wait: Duration,
        /// How many more would pass at once.
        remaining: u32,
        /// When, from now on, the whole burst would be there again.
        reset: Duration,
    },
    /// It is over the rate and has not been counted.
    Limited {
        /// When, from now on, one request would pass; longer than zero.
        retry_after: Duration,
        /// When, from now on, the whole burst would be there again.
        reset: Duration,
    },
}

/// Below this many keys a shard fills too unevenly to be worth the shard.
const KEYS_PER_SHARD: usize = 4096;
const MOST_SHARDS: usize = 1024;

impl Limiter {
    /// A limiter that lets `burst` requests of each key pass at once and `rate` in the long run, for up to `keys`
    /// keys at a time. A `burst` of 0 counts as 1, and so does a `keys` of 0.
    pub fn new(rate: Rate, burst: u32, keys: usize) -> Self {
        let spread = Spread::random();
        let count = (keys / KEYS_PER_SHARD).next_power_of_two().min(MOST_SHARDS);
        let shard = || CachePadded::new(Mutex::new(Table::new(keys / count, spread)));
        let shards = std::iter::repeat_with(shard).take(count).collect();
        Self { gcra: Gcra::new(rate, burst), shards, spread, seed: KeySeed::random(), start: OnceLock::new() }
    }

    /// Decides on a request that does not wait. `now` may be a little behind that of other threads.
    pub fn decide(&self, key: u128, now: Instant) -> Decision {
        self.decide_within(key, now, Duration::ZERO)
    }

    /// Decides on a request that would wait up to `patience` for its turn. When it is allowed its turn is
    /// taken, even if it goes away before.
    pub fn decide_within(&self, key: u128, now: Instant, patience: Duration) -> Decision {
        let (now, patience) = (self.ticks(now), self.gcra.ticks(patience));
        let mut table = self.shard(key).lock();
        let (tat, place) = table.find(key);
        match self.gcra.step(tat, now, patience) {
            Step::Pass { tat, wait } => {
                table.store(place, key, tat, now);
                drop(table);
                self.allowed(tat, wait, now)
            }
            Step::Stop { wait } => {
                drop(table);
                self.limited(tat, wait, now)
            }
        }
    }

    /// Says what [`decide`](Self::decide) would, and counts nothing.
    pub fn look(&self, key: u128, now: Instant) -> Decision {
        let now = self.ticks(now);
        let (tat, _) = self.shard(key).lock().find(key);
        match self.gcra.step(tat, now, 0) {
            Step::Pass { .. } => self.allowed(tat, 0, now),
            Step::Stop { wait } => self.limited(tat, wait, now),
        }
    }

    /// Counts what has passed already, such as requests or bytes, even if its key is over the rate. Returns for how long
    /// nothing more may pass so that any time `t` sees at most `burst + rate × t`, and the last amount beyond that.
    pub fn charge(&self, key: u128, amount: u32, now: Instant) -> Duration {
        self.charge_within(key, amount, now, Duration::MAX).unwrap_or(Duration::MAX)
    }

    /// The same for what has not passed yet: where it would be for longer than `patience`, `None` is returned and nothing counted.
    pub fn charge_within(
        &self,
        key: u128,
        amount: u32,
        now: Instant,
        patience: Duration,
    ) -> Option<Duration> {
        let now = self.ticks(now);
        let mut table = self.shard(key).lock();
        let (tat, place) = table.find(key);
        let tat = self.gcra.charge(tat, amount, now);
        let pause = self.gcra.duration(self.gcra.excess(tat, now));
        if pause > patience {
            return None;
        }
        if tat > 0 {
            table.store(place, key, tat, now);
        }
        drop(table);
        Some(pause)
    }

    fn ticks(&self, now: Instant) -> u128 {
        self.gcra.ticks(now.saturating_duration_since(*self.start.get_or_init(|| now)))
    }

    fn allowed(&self, tat: Tat, wait: u128, now: u128) -> Decision {
        Decision::Allowed {
            wait: self.gcra.duration(wait),
            remaining: self.gcra.remaining(tat, now),
            reset: self.gcra.duration(tat.saturating_sub(now)),
        }
    }

    fn limited(&self, tat: Tat, wait: u128, now: u128) -> Decision {
        let reset = self.gcra.duration(tat.saturating_sub(now));
        Decision::Limited { retry_after: self.gcra.duration(wait), reset }
    }

    /// The hasher of this limiter, seeded at random, for keys that clients may choose.
    pub fn hasher(&self) -> &KeySeed {
        &self.seed
    }

    /// How many keys are held. Locks every shard in turn; for tests and status pages.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().used()).sum()
    }

    /// The bytes that the keys take. Locks every shard in turn; for tests and status pages.
    pub fn allocated_bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(|shard| shard.lock().allocated()).sum();
        tables + size_of_val(&*self.shards)
    }

    fn shard(&self, key: u128) -> &Mutex<Table> {
        // The count is a power of two; tables use the upper bits, shards the lower ones.
        let index = self.spread.of(key) as usize & (self.shards.len() - 1);
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests;
