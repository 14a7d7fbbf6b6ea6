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
use crate::types::Counter;

/// Counts requests and failures, and how long they took, over the last five minutes.
///
/// Recording takes a lock that other threads hardly ever want. Takes 140 KiB, however many requests there are.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    shards: Box<[CachePadded<Mutex<Slot>>]>,
    kept: Mutex<Kept>,
    of_edge: Counter,
}

/// What shards have handed in.
#[derive(Debug)]
struct Kept {
    /// The slot of a number is at its remainder by [`SLOTS`].
    ring: Box<[Slot]>,
    all: Tally,
}

/// What requests came to, counted up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Those with a status of 500 or more.
    pub(crate) errors: u64,
    /// Those with a status of 400 to 499.
    pub(crate) client_errors: u64,
    /// Those that the edge answered with an error of its own, whatever its status.
    pub(crate) of_edge: u64,
    pub(crate) latencies: Histogram,
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
    tally: Tally,
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
            kept: Mutex::new(Kept { ring: vec![Slot::default(); SLOTS].into(), all: Tally::default() }),
            of_edge: Counter::default(),
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
        shard.tally.errors += u64::from(status >= 500);
        shard.tally.client_errors += u64::from((400..500).contains(&status));
        shard.tally.latencies.count(latency);
    }

    /// Counts an answer that was an error of the edge's own; it is recorded besides.
    pub(crate) fn count_of_edge(&self) {
        self.of_edge.count();
    }

    /// All that was ever recorded.
    pub(crate) fn tally(&self) -> Tally {
        self.collect();
        Tally { of_edge: self.of_edge.get(), ..self.kept.lock().all.clone() }
    }

    /// What requests came to since `over` ago, or up to ten seconds longer, since whole slots are counted; at most the
    /// last five minutes.
    pub fn summary(&self, over: Duration, now: Instant) -> PulseSummary {
        self.collect();
        let since_start = self.since_start(now);
        let kept_from = (number(since_start) + 1).saturating_sub(SLOTS as u64);
        let from = number(since_start.saturating_sub(over)).max(kept_from);
        let mut sum = Tally::default();
        for slot in self.kept.lock().ring.iter().filter(|slot| slot.number >= from) {
            sum.add(&slot.tally);
        }
        PulseSummary {
            requests: sum.latencies.len(),
            errors: sum.errors,
            p50: sum.latencies.percentile(50),
            p99: sum.latencies.percentile(99),
        }
    }

    /// Moves what all shards have counted to where it is kept.
    fn collect(&self) {
        self.shards.iter().for_each(|shard| self.empty(&mut shard.lock()));
    }

    /// The same for one of them.
    fn empty(&self, shard: &mut Slot) {
        let mut kept = self.kept.lock();
        kept.all.add(&shard.tally);
        let slot = &mut kept.ring[(shard.number % SLOTS as u64) as usize];
        if slot.number < shard.number {
            *slot = Slot { number: shard.number, ..Slot::default() };
        }
        // Else the shard's own slot has left the ring since it counted last.
        if slot.number == shard.number {
            slot.tally.add(&shard.tally);
        }
        *shard = Slot { number: shard.number, ..Slot::default() };
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }
}

impl Tally {
    /// What came since an `earlier` one of the same pulse.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            errors: self.errors.saturating_sub(earlier.errors),
            client_errors: self.client_errors.saturating_sub(earlier.client_errors),
            of_edge: self.of_edge.saturating_sub(earlier.of_edge),
            latencies: self.latencies.since(&earlier.latencies),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.errors += other.errors;
        self.client_errors += other.client_errors;
        self.of_edge += other.of_edge;
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
