use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Spares those who ask a store that does not answer the time that it may take: after so many failures in a row it is
/// asked once in a while only, until it answers.
#[derive(Debug)]
pub(super) struct Breaker {
    start: Instant,
    failures: AtomicU32,
    /// In nanoseconds since the start: until then nobody asks.
    closed_until: AtomicU64,
}

/// So many failures in a row are no accident.
const FAILURES: u32 = 5;
/// From one trial to the next.
const PAUSE: Duration = Duration::from_secs(1);

impl Breaker {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, failures: AtomicU32::new(0), closed_until: AtomicU64::new(0) }
    }

    /// Whether somebody who comes at `now` may ask. While the store fails, one at a time is told so.
    pub(super) fn lets_ask(&self, now: Instant) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES {
            return true;
        }
        let now = self.nanos(now);
        let until = self.closed_until.load(Ordering::Relaxed);
        let next = now.saturating_add(nanos(PAUSE));
        now >= until
            && self.closed_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn answered(&self) {
        // Read first: the line stays shared while all is well.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self, now: Instant) {
        let before = self.failures.load(Ordering::Relaxed);
        if before < FAILURES && self.failures.fetch_add(1, Ordering::Relaxed) + 1 == FAILURES {
            let until = self.nanos(now).saturating_add(nanos(PAUSE));
            self.closed_until.store(until, Ordering::Relaxed);
        }
    }

    fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.start))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_failures_in_a_row_one_a_second_may_ask() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        for _ in 0..4 {
            breaker.failed(start);
        }
        assert!(breaker.lets_ask(start));
        breaker.answered();
        for _ in 0..5 {
            assert!(breaker.lets_ask(start));
            breaker.failed(start);
        }
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!breaker.lets_ask(start) && !breaker.lets_ask(at(999)));
        assert!(breaker.lets_ask(at(1_000)) && !breaker.lets_ask(at(1_000)), "one of two");
        breaker.failed(at(1_005));
        assert!(!breaker.lets_ask(at(1_999)) && breaker.lets_ask(at(2_000)));
        breaker.answered();
        assert!(breaker.lets_ask(at(2_000)) && breaker.lets_ask(at(2_000)));
    }
}
