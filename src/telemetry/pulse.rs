//! What the requests of one configuration came to lately, so that two can be compared.
//!
//! Time is cut into slots, each with its counts and a histogram, and the last of them are kept in a ring. Requests are
//! counted beside the ring, in one of several shards by thread, and go there once their slot is over or somebody asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::histogram::Histogram;

/// Counts requests and failures, and how long they took, over the last five minutes.
///
/// Recording takes a lock that other threads hardly ever want. Takes 140 KiB, however many requests there are.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    shards: Box<[CachePadded<Mutex<Slot>>]>,
    /// The slot of a number is at its remainder by [`SLOTS`].
    ring: Mutex<Box<[Slot]>>,
}

/// What requests came to over a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PulseSummary {
    /// How many ended.
    pub requests: u64,
    /// How many of them with a status of 500 or more.
    pub errors: u64,
    /// The latency that half of them did not exceed, within 2.3 % from 1 µs to two minutes, which is also what longer
    /// ones count as. Zero without requests.
    pub p50: Duration,
    /// The same for 99 of 100.
    pub p99: Duration,
}

/// What came in one stretch of time.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// How many stretches came before it.
    number: u64,
    errors: u64,
    latencies: Histogram,
}

/// How long a slot is.
const SLOT: Duration = Duration::from_secs(10);
/// How many are kept.
const SLOTS: usize = 30;
/// As many threads as this never wait for each other.
const SHARDS: usize = 8;

const _: () = {
    let shards = SHARDS * size_of::<CachePadded<Mutex<Slot>>>();
    assert!(size_of::<Pulse>() + shards + SLOTS * size_of::<Slot>() < 140 * 1024);
};

// === Pulse ===

impl Pulse {
    /// One that has seen nothing.
    pub fn new(now: Instant) -> Self {
        let shard = || CachePadded::new(Mutex::default());
        Self {
            start: now,
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            ring: Mutex::new(vec![Slot::default(); SLOTS].into()),
        }
    }

    /// Counts a request that ended. `now` may be a little behind that of other threads.
    pub fn record(&self, status: u16, latency: Duration, now: Instant) {
        let number = number(self.since_start(now));
        let mut shard = self.shards[shard_of_thread()].lock();
        if number > shard.number {
            self.empty(&mut shard);
            shard.number = number;
        }
        shard.errors += u64::from(status >= 500);
        shard.latencies.count(latency);
    }

    /// What requests came to since `over` ago, or up to ten seconds longer, since whole slots are counted; at most the
    /// last five minutes.
    pub fn summary(&self, over: Duration, now: Instant) -> PulseSummary {
        for shard in &self.shards {
            self.empty(&mut shard.lock());
        }
        let since_start = self.since_start(now);
        let kept_from = (number(since_start) + 1).saturating_sub(SLOTS as u64);
        let from = number(since_start.saturating_sub(over)).max(kept_from);
        let mut sum = Slot::default();
        for slot in self.ring.lock().iter().filter(|slot| slot.number >= from) {
            sum.add(slot);
        }
        PulseSummary {
            requests: sum.latencies.len(),
            errors: sum.errors,
            p50: sum.latencies.percentile(50),
            p99: sum.latencies.percentile(99),
        }
    }

    /// Moves what a shard has counted to the ring.
    fn empty(&self, shard: &mut Slot) {
        let mut ring = self.ring.lock();
        let slot = &mut ring[(shard.number % SLOTS as u64) as usize];
        if slot.number < shard.number {
            *slot = Slot { number: shard.number, ..Slot::default() };
        }
        // Else the shard's own slot has left the ring since it counted last.
        if slot.number == shard.number {
            slot.add(shard);
        }
        *shard = Slot { number: shard.number, ..Slot::default() };
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }
}

impl Slot {
    fn add(&mut self, other: &Self) {
        self.errors += other.errors;
        self.latencies.add(&other.latencies);
    }
}

/// The number of the slot in which a time lies.
fn number(since_start: Duration) -> u64 {
    since_start.as_secs() / SLOT.as_secs()
}

/// Threads take turns, so that as many as there are shards have one each.
fn shard_of_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests;
