use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::histogram::{AtomicHistogram, Histogram};

/// Latencies since the beginning, and those of the last half to whole minute.
///
/// Counting takes no lock. What is recent is known as far back as somebody has asked for it, or has
/// [turned](Self::turn) the window: whoever keeps this does so at least every half minute.
#[derive(Debug)]
pub(crate) struct RecentLatencies {
    began: Instant,
    counted: AtomicHistogram,
    readings: Mutex<Readings>,
}

/// What had been counted when the halves of the window began.
#[derive(Debug, Default)]
struct Readings {
    older: Histogram,
    newer: Histogram,
    newer_since: Duration,
}

/// Half of the window.
const HALF: Duration = Duration::from_secs(30);

impl RecentLatencies {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, counted: AtomicHistogram::default(), readings: Mutex::default() }
    }

    pub(crate) fn count(&self, latency: Duration) {
        self.counted.count(latency);
    }

    /// All since the beginning.
    pub(crate) fn all(&self) -> Histogram {
        self.counted.read()
    }

    /// Those of the window.
    pub(crate) fn recent(&self, now: Instant) -> Histogram {
        let all = self.all();
        let mut readings = self.readings.lock();
        readings.turn(&all, now.saturating_duration_since(self.began));
        all.since(&readings.older)
    }

    /// Lets the window go on, where nobody asks.
    pub(crate) fn turn(&self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        let mut readings = self.readings.lock();
        if readings.is_due(age) {
            readings.turn(&self.all(), age);
        }
    }
}

impl Readings {
    fn is_due(&self, age: Duration) -> bool {
        age.saturating_sub(self.newer_since) >= HALF
    }

    fn turn(&mut self, all: &Histogram, age: Duration) {
        if !self.is_due(age) {
            return;
        }
        // What is older than both halves is of no concern, which is all where nobody has asked for long.
        let is_long_ago = age.saturating_sub(self.newer_since) >= 2 * HALF;
        let newer = std::mem::replace(&mut self.newer, all.clone());
        self.older = if is_long_ago { all.clone() } else { newer };
        self.newer_since = age;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_in_the_sum_alone() {
        let now = Instant::now();
        let latencies = RecentLatencies::new(now);
        let known = |after: Duration| (latencies.all().len(), latencies.recent(now + after).len());
        latencies.count(Duration::from_millis(500));
        assert_eq!(known(HALF), (1, 1));
        latencies.count(Duration::from_millis(20));
        assert_eq!(known(HALF), (2, 2));
        assert_eq!(known(2 * HALF), (2, 1));
        latencies.count(Duration::from_millis(20));
        assert_eq!(known(3 * HALF), (3, 1));
        latencies.turn(now + 4 * HALF);
        assert_eq!(known(4 * HALF), (3, 0));
        latencies.count(Duration::from_millis(20));
        assert_eq!(known(10 * HALF), (4, 0), "nobody has looked meanwhile");
    }
}
