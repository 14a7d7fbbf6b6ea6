use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Load;

/// What another process needs to go on with a [`Load`]. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoadState {
    /// The average of latencies as of the last sample.
    pub(crate) latency_ns: Option<u64>,
    /// How long ago that was.
    pub(crate) latency_age_ns: u64,
    /// How far a slow start has come.
    pub(crate) warming_for_ns: Option<u64>,
    pub(crate) picks: u64,
    pub(crate) failures: u64,
}

/// No average is longer: what failures count as at most.
const LONGEST_LATENCY: Duration = Duration::from_secs(300);
/// No count is larger, so that sums of many do not overflow.
const MOST: u64 = 1 << 48;

impl Load {
    pub(crate) fn export(&self, now: Instant) -> LoadState {
        let (average, age) = self.latency.last(self.nanos(now)).unzip();
        LoadState {
            latency_ns: average.map(|seconds| (seconds * 1e9).round() as u64),
            latency_age_ns: age.unwrap_or_default(),
            warming_for_ns: self.warming_for(now),
            picks: self.picks(),
            failures: self.failures(),
        }
    }

    /// Takes over what another process knew. What no process can have meant is cut to what one can.
    pub(crate) fn import(&self, state: &LoadState, now: Instant) {
        let now = self.nanos(now);
        if let Some(average) = state.latency_ns {
            let average = Duration::from_nanos(average).min(LONGEST_LATENCY);
            self.latency.set(average, now.saturating_sub(state.latency_age_ns));
        }
        if let Some(passed) = state.warming_for_ns
            && passed < self.slow_start.load(Ordering::Relaxed)
        {
            self.warming_since.store(now.saturating_sub(passed) + 1, Ordering::Relaxed);
        }
        self.picks.store(state.picks.min(MOST), Ordering::Relaxed);
        self.failures.store(state.failures.min(MOST), Ordering::Relaxed);
    }

    /// How long a slow start has gone on, if one does.
    fn warming_for(&self, now: Instant) -> Option<u64> {
        let since = self.warming_since.load(Ordering::Relaxed).checked_sub(1)?;
        let passed = self.nanos(now).saturating_sub(since);
        (passed < self.slow_start.load(Ordering::Relaxed)).then_some(passed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn load(now: Instant) -> Load {
        Load::new("1".parse().unwrap(), 1, Duration::from_secs(100), Arc::default(), now)
    }

    #[test]
    fn another_process_goes_on_where_this_one_was() {
        let (then, later) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        let old = load(then);
        old.observe(Duration::from_millis(80), then);
        old.warm_up(then);
        old.note_pick(then);
        old.count_failure();
        let new = load(later);
        new.import(&old.export(later), later);
        assert_eq!((new.picks(), new.failures()), (1, 1));
        for passed in [0, 5, 50] {
            let now = later + Duration::from_secs(passed);
            assert_eq!(new.warmth(now), old.warmth(now));
            let (new, old) = (new.latency(now).unwrap(), old.latency(now).unwrap());
            assert!((new - old).abs() < 1e-7, "{new} {old}");
        }
    }

    #[test]
    fn what_nobody_can_have_meant_is_cut() {
        let (now, load) = (Instant::now(), load(Instant::now()));
        load.import(
            &LoadState {
                latency_ns: Some(u64::MAX),
                latency_age_ns: u64::MAX,
                warming_for_ns: Some(u64::MAX),
                picks: u64::MAX,
                failures: u64::MAX,
            },
            now,
        );
        assert!(load.latency(now).unwrap() <= 300.0);
        assert_eq!((load.warmth(now), load.picks(), load.failures()), (1.0, MOST, MOST));
        load.import(&LoadState { latency_ns: Some(0), ..LoadState::default() }, now);
        assert!(load.latency(now).unwrap() > 0.0);
    }
}
