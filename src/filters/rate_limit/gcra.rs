//! The generic cell rate algorithm as virtual scheduling (ITU-T I.371, annex A), in exact integers.

use std::time::Duration;

use crate::types::Rate;

/// A rate and a burst as the algorithm needs them.
///
/// Each key has a theoretical arrival time (TAT): when its next request would come if requests came evenly. A
/// request conforms when it is at most `tolerance` early.
///
/// Time is counted in ticks, the largest unit in which both a nanosecond and the time from one request to the
/// next are whole numbers, so that `3/s` is exactly three in a second however long it runs. The largest value,
/// 2^64 ns × 2^32 ticks plus a tolerance of 2^32 × 2^55, is far from the end of a `u128`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    ticks_per_nano: u128,
    interval: u128,
    tolerance: u128,
}

/// A point in time, in ticks since the limiter's first request. Zero for a key that owes nothing.
pub(super) type Tat = u128;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It passes after `wait` ticks, and its key's TAT becomes `tat`.
    Pass { tat: Tat, wait: u128 },
    /// It does not pass; it would after `wait` ticks.
    Stop { wait: u128 },
}

impl Gcra {
    /// `burst` is how many requests pass at once, 1 or more; 0 counts as 1.
    pub(super) fn new(rate: Rate, burst: u32) -> Self {
        let (count, period) = (u128::from(rate.count()), rate.per().as_nanos());
        let common = greatest_common_divisor(count, period);
        let interval = period / common;
        let tolerance = interval * u128::from(burst.saturating_sub(1));
        Self { ticks_per_nano: count / common, interval, tolerance }
    }

    /// The time in ticks; `since_start` counts up to 584 years.
    pub(super) fn ticks(&self, since_start: Duration) -> u128 {
        let nanos = u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX);
        u128::from(nanos) * self.ticks_per_nano
    }

    /// The time that so many ticks take, rounded up to a nanosecond.
    pub(super) fn duration(&self, ticks: u128) -> Duration {
        let nanos = ticks.div_ceil(self.ticks_per_nano);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Decides on a request that comes at `now`, of a key with `tat`, and may wait up to `patience`.
    pub(super) fn step(&self, tat: Tat, now: u128, patience: u128) -> Step {
        let wait = tat.saturating_sub(self.tolerance).saturating_sub(now);
        if wait > patience {
            return Step::Stop { wait };
        }
        Step::Pass { tat: self.charge(tat, 1, now), wait }
    }

    /// The TAT of a key after so many requests that have passed already.
    pub(super) fn charge(&self, tat: Tat, amount: u32, now: u128) -> Tat {
        tat.max(now).saturating_add(self.interval * u128::from(amount))
    }

    /// How long a key with `tat` owes more than its burst.
    pub(super) fn excess(&self, tat: Tat, now: u128) -> u128 {
        tat.saturating_sub(self.tolerance + self.interval).saturating_sub(now)
    }

    /// How many requests of a key with `tat` would pass at once.
    pub(super) fn remaining(&self, tat: Tat, now: u128) -> u32 {
        let room = (now + self.tolerance + self.interval).saturating_sub(tat);
        let burst = self.tolerance + self.interval;
        // At most the burst, which is a u32.
        u32::try_from(room.min(burst) / self.interval).unwrap_or(u32::MAX)
    }
}

pub(super) fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gcra(rate: &str, burst: u32) -> Gcra {
        Gcra::new(rate.parse().unwrap(), burst)
    }

    #[test]
    fn rates_that_do_not_divide_their_period_are_exact() {
        let gcra = gcra("3/s", 1);
        let mut tat = 0;
        let passed = (0..3_000).filter(|millis| {
            let now = gcra.ticks(Duration::from_millis(*millis));
            match gcra.step(tat, now, 0) {
                Step::Pass { tat: next, .. } => {
                    tat = next;
                    true
                }
                Step::Stop { .. } => false,
            }
        });
        // On the grid of milliseconds the request due at 333.3 comes at 334, and so on: 0, 334, 668, 1002, …
        assert_eq!(passed.count(), 9);
        assert_eq!(gcra.duration(gcra.interval), Duration::from_nanos(333_333_334));
        assert_eq!(gcra.duration(gcra.interval * 3), Duration::from_secs(1));
    }

    #[test]
    fn extreme_rates_do_not_overflow() {
        for (rate, burst) in
            [("4294967295/1ns", u32::MAX), ("4294967295/365days", u32::MAX), ("1/365days", u32::MAX)]
        {
            let gcra = gcra(rate, burst);
            let end = gcra.ticks(Duration::MAX);
            let Step::Pass { tat, wait: 0 } = gcra.step(0, end, 0) else { panic!("{rate} is idle") };
            assert_eq!(gcra.remaining(tat, end), u32::MAX - 1);
        }
    }

    /// A bucket of `burst` tokens that fills at the rate, in fractions of a token that are whole numbers.
    struct Bucket {
        level: u128,
        full: u128,
        token: u128,
        fill_per_nano: u128,
        at: u64,
    }

    impl Bucket {
        fn new(rate: Rate, burst: u32) -> Self {
            let token = rate.per().as_nanos();
            let full = token * u128::from(burst);
            Self { level: full, full, token, fill_per_nano: rate.count().into(), at: 0 }
        }

        fn take(&mut self, now: u64) -> Option<u128> {
            self.level = self.full.min(self.level + u128::from(now - self.at) * self.fill_per_nano);
            self.at = now;
            self.level = self.level.checked_sub(self.token)?;
            Some(self.level / self.token)
        }
    }

    proptest! {
        #[test]
        fn decides_as_a_token_bucket_does(
            count in 1_u32..2_000, per_millis in 1_u64..3_000, burst in 1_u32..20,
            gaps in prop::collection::vec((0_u64..4, 0_u64..2_000_000), 1..200),
        ) {
            let rate: Rate = format!("{count}/{per_millis}ms").parse().unwrap();
            let (gcra, mut bucket) = (Gcra::new(rate, burst), Bucket::new(rate, burst));
            let interval = u64::try_from(rate.interval().as_nanos()).unwrap();
            let (mut tat, mut now) = (0, 0);
            for (intervals, extra) in gaps {
                now += intervals * interval + if extra % 3 == 0 { 0 } else { extra };
                let ticks = gcra.ticks(Duration::from_nanos(now));
                match (gcra.step(tat, ticks, 0), bucket.take(now)) {
                    (Step::Pass { tat: next, wait }, Some(left)) => {
                        prop_assert_eq!(wait, 0);
                        prop_assert_eq!(u128::from(gcra.remaining(next, ticks)), left);
                        tat = next;
                    }
                    (Step::Stop { wait }, None) => {
                        let before = gcra.ticks(Duration::from_nanos(now)) + wait - 1;
                        let refused_before = matches!(gcra.step(tat, before, 0), Step::Stop { .. });
                        prop_assert!(refused_before, "would have passed earlier than told");
                        let passes_then = matches!(gcra.step(tat, before + 1, 0), Step::Pass { .. });
                        prop_assert!(passes_then, "does not pass when told");
                    }
                    (step, model) => prop_assert!(false, "{step:?} but the bucket says {model:?}"),
                }
            }
        }
    }
}
