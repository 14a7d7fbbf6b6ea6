//! What is known of an endpoint's work, in atomics that all threads share.

mod ewma;
mod pick_rate;
mod state;

pub(crate) use state::LoadState;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use tokio::time::Instant;

use crate::types::Weight;

use ewma::PeakEwma;
use pick_rate::PickRate;

/// The work that an endpoint has and how it has done lately, shared by all threads and kept over reloads.
#[derive(Debug)]
pub(crate) struct Load {
    /// From where the other times are counted: a while before the load was made, so that what another process measured
    /// before that has a time, too.
    origin: Instant,
    in_flight: AtomicU32,
    /// So many requests may be in flight. It is changed seldom, as are weight and slow start.
    limit: AtomicU32,
    /// How many requests may begin while the endpoint is on trial; [`NO_TRIAL`] while it is not.
    probes: AtomicU32,
    weight: AtomicU32,
    /// When the slow start began, in nanoseconds plus one; zero for none.
    warming_since: AtomicU64,
    /// How long a slow start takes, in nanoseconds.
    slow_start: AtomicU64,
    rate: PickRate,
    latency: PeakEwma,
    picks: AtomicU64,
    failures: AtomicU64,
    pool: Arc<PoolLoad>,
}

/// The work of all endpoints of a pool together.
#[derive(Debug, Default)]
pub(crate) struct PoolLoad {
    /// Written together, and by all threads.
    counts: CachePadded<PoolCounts>,
}

#[derive(Debug, Default)]
struct PoolCounts {
    in_flight: AtomicU32,
    picks: AtomicU64,
}

/// The full share of a weight of one, in the unit in which shares are counted.
pub(crate) const FULL_SHARE: u64 = 1000;
/// The number of probes of an endpoint that is not on trial.
const NO_TRIAL: u32 = u32::MAX;
/// Nothing that happened longer before a load was made matters to it.
const PAST: Duration = Duration::from_secs(24 * 3600);
/// A slow start begins with this share of the full one.
const FLOOR: f64 = 0.1;

/// How a request was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    Usually,
    /// To find out whether the endpoint has recovered.
    AsProbe,
}

impl PoolLoad {
    pub(crate) fn in_flight(&self) -> u32 {
        self.counts.in_flight.load(Ordering::Relaxed)
    }

    /// Picks of all its endpoints since the start, those included that have left it.
    pub(crate) fn picks(&self) -> u64 {
        self.counts.picks.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) {
        self.counts.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    pub(crate) fn new(
        weight: Weight,
        limit: u32,
        slow_start: Duration,
        pool: Arc<PoolLoad>,
        now: Instant,
    ) -> Self {
        Self {
            origin: now.checked_sub(PAST).unwrap_or(now),
            in_flight: AtomicU32::new(0),
            limit: AtomicU32::new(limit),
            probes: AtomicU32::new(NO_TRIAL),
            weight: AtomicU32::new(weight.get().into()),
            warming_since: AtomicU64::new(0),
            slow_start: AtomicU64::new(nanos_of(slow_start)),
            rate: PickRate::new(),
            latency: PeakEwma::new(),
            picks: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            pool,
        }
    }

    /// Nanoseconds since the origin: the clock of all that is counted by time.
    pub(crate) fn nanos(&self, now: Instant) -> u64 {
        nanos_of(now.saturating_duration_since(self.origin))
    }

    // === Requests ===

    /// Counts a request in, if there is room for it.
    ///
    /// This and [`end`](Self::end) are sequentially consistent with the count of those that wait for room: either a
    /// request that ends sees that somebody waits, or the one that begins to wait sees the room.
    pub(crate) fn try_begin(&self) -> Option<Begun> {
        let limit = self.limit.load(Ordering::Relaxed);
        let one_more = |count: u32| (count < limit).then_some(count + 1);
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        self.pool.begin();
        let begun = self.take_probe();
        if begun.is_none() {
            self.end();
        }
        begun
    }

    fn take_probe(&self) -> Option<Begun> {
        let one_less = |probes: u32| (probes != NO_TRIAL).then(|| probes.checked_sub(1)).flatten();
        match self.probes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => Some(Begun::AsProbe),
            Err(NO_TRIAL) => Some(Begun::Usually),
            Err(_) => None,
        }
    }

    /// Lets one request at a time in, whatever older ones there are.
    pub(crate) fn begin_trial(&self) {
        self.probes.store(1, Ordering::SeqCst);
    }

    pub(crate) fn end_trial(&self) {
        self.probes.store(NO_TRIAL, Ordering::SeqCst);
    }

    pub(crate) fn is_on_trial(&self) -> bool {
        self.probes.load(Ordering::SeqCst) != NO_TRIAL
    }

    /// Lets the next probe in, if the trial goes on.
    pub(crate) fn return_probe(&self) {
        let one_more = |probes: u32| (probes != NO_TRIAL).then_some(1);
        // Not on trial any more: then nothing is owed.
        let _ = self.probes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
    }

    /// Counts that the endpoint was picked.
    pub(crate) fn note_pick(&self, now: Instant) {
        self.rate.note(self.nanos(now));
        self.picks.fetch_add(1, Ordering::Relaxed);
        self.pool.counts.picks.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.pool.end();
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn pool(&self) -> &PoolLoad {
        &self.pool
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight() < self.limit.load(Ordering::Relaxed) && self.probes.load(Ordering::Relaxed) != 0
    }

    /// Whether more is in flight than may be, since the limit was lowered.
    pub(crate) fn is_beyond_limit(&self) -> bool {
        self.in_flight() > self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Picks since the start.
    pub(crate) fn picks(&self) -> u64 {
        self.picks.load(Ordering::Relaxed)
    }

    /// Failures since the start.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Picks of the last half second, in 1024ths.
    pub(crate) fn recent_picks(&self, now: Instant) -> u64 {
        self.rate.recent(self.nanos(now))
    }

    // === Weight ===

    pub(crate) fn weight(&self) -> u16 {
        self.weight.load(Ordering::Relaxed) as u16
    }

    pub(crate) fn set_weight(&self, weight: Weight) {
        self.weight.store(weight.get().into(), Ordering::Relaxed);
    }

    /// How long slow starts take from now on, and one that is running.
    pub(crate) fn set_slow_start(&self, slow_start: Duration) {
        self.slow_start.store(nanos_of(slow_start), Ordering::Relaxed);
        if slow_start.is_zero() {
            self.stop_warming();
        }
    }

    /// Begins a slow start.
    pub(crate) fn warm_up(&self, now: Instant) {
        if self.slow_start.load(Ordering::Relaxed) != 0 {
            self.warming_since.store(self.nanos(now) + 1, Ordering::Relaxed);
        }
    }

    /// Ends a slow start before its time.
    pub(crate) fn stop_warming(&self) {
        self.warming_since.store(0, Ordering::Relaxed);
    }

    /// How much of its full share the endpoint gets: 0.1 rising to 1.0.
    pub(crate) fn warmth(&self, now: Instant) -> f64 {
        match self.warming_since.load(Ordering::Relaxed) {
            0 => 1.0,
            since => {
                let passed = self.nanos(now).saturating_sub(since - 1) as f64;
                // Not by a zero, which would be no number.
                let whole = self.slow_start.load(Ordering::Relaxed).max(1) as f64;
                (passed / whole).clamp(FLOOR, 1.0)
            }
        }
    }

    /// The weight as slow start leaves it, in thousandths.
    pub(crate) fn share(&self, now: Instant) -> u64 {
        let full = u64::from(self.weight()) * FULL_SHARE;
        if self.warming_since.load(Ordering::Relaxed) == 0 {
            return full;
        }
        ((full as f64 * self.warmth(now)) as u64).max(1)
    }

    // === Latency ===

    /// Notes how long an attempt took; a failure counts as long as it is told to.
    pub(crate) fn observe(&self, latency: Duration, now: Instant) {
        self.latency.observe(latency, self.nanos(now));
    }

    pub(crate) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets all latencies, so that the endpoint begins as one that nobody knows.
    pub(crate) fn forget_latency(&self) {
        self.latency.forget();
    }

    /// The latency to be expected, in seconds. It fades from the last sample on, also while requests that go on for
    /// long are in flight.
    pub(crate) fn latency(&self, now: Instant) -> Option<f64> {
        self.latency.faded(self.nanos(now))
    }
}

fn nanos_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(limit: u32, slow_start: u64) -> (Load, Instant) {
        let now = Instant::now();
        let weight = "10".parse().unwrap();
        (Load::new(weight, limit, Duration::from_secs(slow_start), Arc::default(), now), now)
    }

    #[test]
    fn no_request_beyond_the_limit() {
        let (load, _) = load(2, 0);
        assert_eq!([load.try_begin(), load.try_begin()], [Some(Begun::Usually); 2]);
        assert!(!load.has_room() && load.try_begin().is_none());
        load.end();
        assert!(load.has_room());
        assert_eq!((load.in_flight(), load.pool().in_flight()), (1, 1));
    }

    #[test]
    fn a_slow_start_rises_from_a_tenth_to_the_full_share() {
        let (load, now) = load(1, 10);
        assert_eq!(load.share(now), 10_000);
        load.warm_up(now);
        let share = |seconds: u64| load.share(now + Duration::from_secs(seconds));
        assert_eq!([share(0), share(1), share(5), share(10), share(11)], [1000, 1000, 5000, 10_000, 10_000]);
        load.stop_warming();
        assert_eq!(share(0), 10_000);
    }

    #[test]
    fn limit_and_slow_start_change_at_run_time() {
        let (load, now) = load(2, 10);
        load.warm_up(now);
        let half = now + Duration::from_secs(5);
        load.set_slow_start(Duration::from_secs(50));
        assert_eq!(load.warmth(half), 0.1);
        load.set_slow_start(Duration::ZERO);
        assert_eq!([load.warmth(now), load.warmth(half)], [1.0, 1.0]);
        assert_eq!([load.try_begin(), load.try_begin()], [Some(Begun::Usually); 2]);
        load.set_limit(1);
        assert!(load.is_beyond_limit() && load.try_begin().is_none());
        load.end();
        assert!(!load.is_beyond_limit() && !load.has_room());
        load.set_limit(2);
        assert!(load.has_room());
    }

    #[test]
    fn a_trial_lets_one_request_at_a_time_in_beside_older_ones() {
        let (load, _) = load(10, 0);
        assert_eq!(load.try_begin(), Some(Begun::Usually));
        load.begin_trial();
        assert_eq!([load.try_begin(), load.try_begin()], [Some(Begun::AsProbe), None]);
        assert!(!load.has_room() && load.is_on_trial());
        load.return_probe();
        assert_eq!(load.try_begin(), Some(Begun::AsProbe));
        load.end_trial();
        load.return_probe();
        assert_eq!((load.try_begin(), load.in_flight()), (Some(Begun::Usually), 4));
    }

    #[test]
    fn latency_fades_whatever_is_in_flight() {
        let (load, now) = load(1, 0);
        load.observe(Duration::from_millis(50), now);
        assert_eq!(load.try_begin(), Some(Begun::Usually));
        let later = load.latency(now + Duration::from_secs(10)).unwrap();
        assert!((later - 0.05 * (-1f64).exp()).abs() < 1e-6, "{later}");
    }
}
