//! The same algorithm where several processes count together: Redis decides, by its own clock.

use std::sync::Arc;
use std::time::Duration;

use crate::hooks::BuildError;
use crate::stores::{Redis, Reply, Script, StoreError};
use crate::types::{LimitName, Rate};

use super::Decision;
use super::gcra::greatest_common_divisor;

/// A limit that is kept in a store.
#[derive(Debug)]
pub(super) struct Cluster {
    store: Arc<Redis>,
    script: Script,
    /// What the names of its keys begin with.
    prefix: String,
    ticks: Ticks,
}

/// A rate and a burst in whole numbers that the script can work with: its numbers are exact up to 2^53.
///
/// A tick is the largest unit in which both a microsecond and the time from one request to the next are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    per_micro: u64,
    interval: u64,
    burst: u64,
}

const LARGEST: u128 = 1 << 53;

impl Cluster {
    /// A limit under a name that all processes use which count together. Those whose rate is another count on their own.
    ///
    /// # Errors
    /// When the rate and the burst are beyond what the store can reckon with.
    pub(super) fn new(
        store: Arc<Redis>,
        name: &LimitName,
        rate: Rate,
        burst: u32,
        patience: Duration,
    ) -> Result<Self, BuildError> {
        let ticks = Ticks::of(rate, burst, patience).ok_or_else(|| {
            BuildError::new(format!("`{rate}` with a burst of {burst} cannot be counted exactly in a store"))
                .at("rate")
                .with_help("write a rounder rate, or a smaller `burst`")
        })?;
        let script = Script::new(include_str!("cluster.lua"));
        Ok(Self { store, script, prefix: format!("evener:rate_limit:{name}:{rate}:"), ticks })
    }

    /// Decides on a request of the key that would wait up to `patience` for its turn.
    ///
    /// # Errors
    /// When the store does not answer in time; the request may have been counted.
    pub(super) async fn take(&self, key: [u8; 16], patience: Duration) -> Result<Decision, StoreError> {
        self.run("take", key, patience).await
    }

    /// Says what would be decided on a request of the key that does not wait, and counts nothing.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub(super) async fn look(&self, key: [u8; 16]) -> Result<Decision, StoreError> {
        self.run("look", key, Duration::ZERO).await
    }

    /// Counts a request of the key that has passed already.
    ///
    /// # Errors
    /// When the store does not answer in time; the request may have been counted.
    pub(super) async fn charge(&self, key: [u8; 16]) -> Result<(), StoreError> {
        self.run("charge", key, Duration::ZERO).await.map(drop)
    }

    async fn run(&self, what: &str, key: [u8; 16], patience: Duration) -> Result<Decision, StoreError> {
        let key = format!("{}{:032x}", self.prefix, u128::from_be_bytes(key));
        let Ticks { per_micro, interval, burst } = self.ticks;
        let tolerance = interval * (burst - 1);
        let numbers = [interval, per_micro, tolerance, self.ticks.within(patience)];
        let [interval, per_micro, tolerance, patience] = numbers.map(|number| number.to_string());
        let arguments = [&interval, &per_micro, &tolerance, &patience, what].map(str::as_bytes);
        let read = |reply| self.ticks.decision(reply);
        self.store.run(&self.script, key.as_bytes(), &arguments, read).await
    }

    pub(super) fn store(&self) -> &Redis {
        &self.store
    }
}

impl Ticks {
    fn of(rate: Rate, burst: u32, patience: Duration) -> Option<Self> {
        let (count, period) = (u128::from(rate.count()) * 1000, rate.per().as_nanos());
        let common = greatest_common_divisor(count, period);
        let (per_micro, interval) = (count / common, period / common);
        let most_owed = interval.checked_mul(u128::from(burst) + 1)?;
        let patience = patience.as_micros().checked_mul(per_micro)?;
        if most_owed.checked_add(patience)? >= LARGEST {
            return None;
        }
        let whole = |number| u64::try_from(number).ok();
        Some(Self { per_micro: whole(per_micro)?, interval: whole(interval)?, burst: u64::from(burst) })
    }

    /// So many whole ticks are within the time, which is no longer than the patience that it was made with.
    fn within(self, time: Duration) -> u64 {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX).saturating_mul(self.per_micro)
    }

    /// The time that so many ticks take, rounded up to a nanosecond.
    fn duration(self, ticks: u64) -> Duration {
        let nanos = (u128::from(ticks) * 1000).div_ceil(u128::from(self.per_micro));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What the script has said: whether it passes, after how many ticks, and what its key owes.
    fn decision(self, reply: Reply) -> Option<Decision> {
        let Reply::List(items) = reply else { return None };
        let [Reply::Number(passes), Reply::Number(wait), Reply::Number(owed)] = items[..] else {
            return None;
        };
        let (wait, owed) = (u64::try_from(wait).ok()?, u64::try_from(owed).ok()?);
        let (wait, reset) = (self.duration(wait), self.duration(owed));
        match passes {
            1 => {
                let left = (self.interval * self.burst).saturating_sub(owed) / self.interval;
                Some(Decision::Allowed { wait, remaining: u32::try_from(left).ok()?, reset })
            }
            0 => Some(Decision::Limited { retry_after: wait, reset }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(rate: &str, burst: u32) -> Option<Ticks> {
        Ticks::of(rate.parse().unwrap(), burst, Duration::ZERO)
    }

    #[test]
    fn rates_become_whole_numbers() {
        let cases = [
            ("100/s", (1, 10_000)),
            ("3/s", (3, 1_000_000)),
            ("7/h", (7, 3_600_000_000)),
            ("1000000/s", (1, 1)),
            ("3000000/s", (3, 1)),
            ("10/250ns", (40, 1)),
        ];
        for (rate, (per_micro, interval)) in cases {
            assert_eq!(ticks(rate, 9), Some(Ticks { per_micro, interval, burst: 9 }), "{rate}");
        }
    }

    #[test]
    fn what_the_store_cannot_reckon_with_is_refused() {
        assert!(ticks("999999937/h", 2_000_000).is_some());
        assert_eq!(ticks("999999937/h", 3_000_000), None);
        let patient = Ticks::of("999999937/h".parse().unwrap(), 1, Duration::from_secs(60));
        assert_eq!(patient, None);
        assert_eq!(ticks("4294967291/365d", u32::MAX), None);
    }

    #[test]
    fn answers_are_read_and_nonsense_is_none() {
        let ticks = ticks("3/s", 2).unwrap();
        let decision = |numbers: [i64; 3]| ticks.decision(Reply::List(numbers.map(Reply::Number).into()));
        let third = Duration::from_nanos(333_333_334);
        let (wait, none) = (Duration::ZERO, Duration::ZERO);
        assert_eq!(decision([1, 0, 1_000_000]), Some(Decision::Allowed { wait, remaining: 1, reset: third }));
        let waited = Decision::Allowed { wait: third, remaining: 0, reset: Duration::from_secs(1) };
        assert_eq!(decision([1, 1_000_000, 3_000_000]), Some(waited));
        let limited = Decision::Limited { retry_after: third, reset: Duration::from_nanos(666_666_667) };
        assert_eq!(decision([0, 1_000_000, 2_000_000]), Some(limited));
        assert_eq!(decision([1, 0, 0]), Some(Decision::Allowed { wait, remaining: 2, reset: none }));
        assert_eq!((decision([2, 0, 0]), decision([1, -1, 0])), (None, None));
        for reply in [Reply::Nothing, Reply::List(Vec::new()), Reply::Text(b"1".as_slice().into())] {
            assert_eq!(ticks.decision(reply), None);
        }
    }
}
