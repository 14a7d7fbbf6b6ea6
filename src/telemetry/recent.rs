use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::histogram::{AtomicHistogram, Histogram};

/// The latencies of the last half to whole minute, as far back as somebody has asked for them. Counting takes no lock.
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

    /// Those of the window.
    pub(crate) fn recent(&self, now: Instant) -> Histogram {
        let all = self.counted.read();
        let mut readings = self.readings.lock();
        readings.turn(&all, now.saturating_duration_since(self.began));
        all.since(&readings.older)
    }
}

impl Readings {
    fn turn(&mut self, all: &Histogram, age: Duration) {
        let since = age.saturating_sub(self.newer_since);
        if since < HALF {
            return;
        }
        // What is older than both halves is of no concern, which is all where nobody has asked for long.
        let is_long_ago = since >= 2 * HALF;
        let newer = std::mem::replace(&mut self.newer, all.clone());
        self.older = if is_long_ago { all.clone() } else { newer };
        self.newer_since = age;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_forgotten() {
        let now = Instant::now();
        let latencies = RecentLatencies::new(now);
        let known = |after: Duration| latencies.recent(now + after).len();
        latencies.count(Duration::from_millis(500));
        assert_eq!(known(HALF), 1);
        latencies.count(Duration::from_millis(20));
        assert_eq!(known(HALF), 2);
        assert_eq!(known(2 * HALF), 1);
        latencies.count(Duration::from_millis(20));
        assert_eq!(known(3 * HALF), 1);
        assert_eq!(known(4 * HALF), 0);
        latencies.count(Duration::from_millis(20));
        assert_eq!(known(10 * HALF), 0, "nobody has looked meanwhile");
    }
}
