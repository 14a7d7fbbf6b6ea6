use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often each latency occurred. Below 32 units of about a microsecond each unit has a bucket of its own, above them
/// each power of two has 16, so that the middle of a bucket is within 3.2 % of all that it counts.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: [u32; BUCKETS],
}

/// A histogram that many threads count into. It never begins anew: what came since a moment is what
/// [`Histogram::since`] makes of two readings.
#[derive(Debug)]
pub(crate) struct AtomicHistogram {
    buckets: [AtomicU32; BUCKETS],
}

/// A unit is 2 to so many nanoseconds.
const UNIT_BITS: u32 = 10;
/// Each power of two is cut into 2 to so many buckets.
const CUT_BITS: u32 = 4;
const CUTS: usize = 1 << CUT_BITS;
/// Latencies of 2 to so many units count as a little less than that: 137 s.
const LARGEST_BITS: u32 = 27;
const BUCKETS: usize = (LARGEST_BITS - CUT_BITS + 1) as usize * CUTS;

impl Histogram {
    pub(crate) fn count(&mut self, latency: Duration) {
        self.buckets[bucket(latency)] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// How many latencies were counted.
    pub(crate) fn len(&self) -> u64 {
        self.buckets.iter().map(|count| u64::from(*count)).sum()
    }

    /// How many of them are surely longer than `limit`.
    pub(crate) fn count_over(&self, limit: Duration) -> u64 {
        self.buckets[bucket(limit) + 1..].iter().map(|count| u64::from(*count)).sum()
    }

    /// What was counted after an `earlier` reading of the same counter.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|index| self.buckets[index].wrapping_sub(earlier.buckets[index])),
        }
    }

    /// About the smallest latency that so many of 100 do not exceed; zero when there is none.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.len() * percent).div_ceil(100);
        let mut seen = 0;
        let reaches_rank = |count: &u32| {
            seen += u64::from(*count);
            *count > 0 && seen >= rank
        };
        self.buckets.iter().position(reaches_rank).map_or(Duration::ZERO, middle)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS] }
    }
}

impl AtomicHistogram {
    pub(crate) fn count(&self, latency: Duration) {
        self.buckets[bucket(latency)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub(crate) fn read(&self) -> Histogram {
        Histogram { buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)) }
    }
}

impl Default for AtomicHistogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS] }
    }
}

fn bucket(latency: Duration) -> usize {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    let units = (nanos >> UNIT_BITS).min((1 << LARGEST_BITS) - 1);
    // The first two powers of two, and all below them, need no cut.
    let shift = (units | 1).ilog2().saturating_sub(CUT_BITS);
    shift as usize * CUTS + (units >> shift) as usize
}

/// The middle of a bucket's latencies.
fn middle(bucket: usize) -> Duration {
    let shift = (bucket / CUTS).saturating_sub(1);
    let units = (bucket - shift * CUTS) as u64;
    Duration::from_nanos((2 * units + 1) << shift << (UNIT_BITS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for units in 0..1_u64 << 16 {
            let bucket = bucket(Duration::from_nanos(units << UNIT_BITS));
            assert!(bucket == last || bucket == last + 1, "{units}: {bucket} after {last}");
            last = bucket;
        }
        let last = bucket(Duration::from_nanos((1 << (LARGEST_BITS + UNIT_BITS)) - 1));
        assert_eq!((last, bucket(Duration::MAX)), (BUCKETS - 1, BUCKETS - 1));
    }

    #[test]
    fn the_middle_of_a_bucket_is_in_it_and_near_its_ends() {
        for index in 0..BUCKETS {
            let middle = middle(index);
            assert_eq!(bucket(middle), index, "{middle:?}");
            for factor in [0.97, 1.03] {
                let near = bucket(middle.mul_f64(factor));
                assert!(near.abs_diff(index) <= 1, "{middle:?} is in {index}, next to it is {near}");
            }
        }
    }

    #[test]
    fn what_came_since_a_reading_is_told() {
        let counter = AtomicHistogram::default();
        let millis = Duration::from_millis;
        counter.count(millis(10));
        let before = counter.read();
        (0..5).for_each(|_| counter.count(millis(10)));
        (0..3).for_each(|_| counter.count(millis(500)));
        let since = counter.read().since(&before);
        assert_eq!((before.len(), since.len()), (1, 8));
        assert_eq!([9, 11, 400, 600].map(|limit| since.count_over(millis(limit))), [8, 3, 3, 0]);
        assert_eq!(since.count_over(Duration::MAX), 0);
    }
}
