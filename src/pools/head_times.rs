use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::RecentLatencies;

use super::pool::Pool;

/// How long the heads of a pool's answers have taken in the last half to whole minute. Kept from when it is first asked for.
///
/// Whoever counts or asks takes no lock: once a second one of those that ask works the percentile out for all.
#[derive(Debug)]
pub(super) struct HeadTimes {
    began: Instant,
    times: RecentLatencies,
    /// When the next one works it out, in nanoseconds from `began`.
    due: AtomicU64,
    samples: AtomicU64,
    p95: AtomicU64,
}

const PAUSE: Duration = Duration::from_secs(1);

impl HeadTimes {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            times: RecentLatencies::new(now),
            due: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            p95: AtomicU64::new(0),
        }
    }

    fn count(&self, took: Duration) {
        self.times.count(took);
    }

    /// What 95 of 100 do not exceed, if there are at least so many samples.
    fn p95(&self, min_samples: u32, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.began);
        let due = self.due.load(Ordering::Relaxed);
        if nanos(age) >= due {
            let next = nanos(age + PAUSE);
            if self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                let recent = self.times.recent(now);
                self.samples.store(recent.len(), Ordering::Relaxed);
                self.p95.store(nanos(recent.percentile(95)), Ordering::Relaxed);
            }
        }
        let is_enough = self.samples.load(Ordering::Relaxed) >= u64::from(min_samples);
        is_enough.then(|| Duration::from_nanos(self.p95.load(Ordering::Relaxed)))
    }
}

impl Pool {
    /// Notes how long the head of an answer has taken that a hedge could have been sent for.
    pub(crate) fn note_head_time(&self, took: Duration, now: Instant) {
        self.head_times(now).count(took);
    }

    /// What 95 of 100 of those did not exceed lately, if there are at least so many.
    pub(crate) fn head_time_p95(&self, min_samples: u32, now: Instant) -> Option<Duration> {
        self.head_times(now).p95(min_samples, now)
    }

    fn head_times(&self, now: Instant) -> &HeadTimes {
        self.lineage.head_times.get_or_init(|| Box::new(HeadTimes::new(now)))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of the window that is looked back.
    const HALF: Duration = Duration::from_secs(30);

    fn is_about(found: Option<Duration>, millis: u64) -> bool {
        let expected = Duration::from_millis(millis);
        found.is_some_and(|found| found.abs_diff(expected) < expected / 10)
    }

    #[test]
    fn the_percentile_is_known_once_there_are_enough() {
        let now = Instant::now();
        let times = HeadTimes::new(now);
        (0..94).for_each(|_| times.count(Duration::from_millis(10)));
        assert_eq!(times.p95(100, now), None);
        (0..6).for_each(|_| times.count(Duration::from_millis(200)));
        assert_eq!(times.p95(100, now), None, "it was worked out a moment ago");
        assert!(is_about(times.p95(100, now + PAUSE), 200));
        assert_eq!(times.p95(101, now + 2 * PAUSE), None);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let now = Instant::now();
        let times = HeadTimes::new(now);
        (0..10).for_each(|_| times.count(Duration::from_millis(500)));
        assert!(is_about(times.p95(10, now), 500));
        assert!(is_about(times.p95(10, now + HALF), 500));
        (0..10).for_each(|_| times.count(Duration::from_millis(20)));
        assert!(is_about(times.p95(20, now + HALF + PAUSE), 500));
        assert!(is_about(times.p95(10, now + 2 * HALF), 20));
        assert_eq!(times.p95(11, now + 2 * HALF + PAUSE), None);
        assert_eq!(times.p95(1, now + 6 * HALF), None);
    }
}
