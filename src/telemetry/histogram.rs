use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::types::COUNTS;

/// How often each latency occurred, in the buckets of a native histogram of Prometheus with schema 4: each power of two
/// of seconds is cut into 16 of equal ratio, so that the middle of a bucket is within 2.2 % of all that it counts.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: [u64; BUCKETS],
    /// Nanoseconds of all latencies together.
    sum: u64,
}

/// A histogram that many threads count into. It never begins anew: what came since a moment is what
/// [`Histogram::since`] makes of two readings.
#[derive(Debug)]
pub(crate) struct AtomicHistogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// A bucket by its place, and how many latencies more it has.
pub(super) type BucketCount = (u16, u32);

/// How finely native histograms of Prometheus cut a power of two, in its own terms.
pub(crate) const SCHEMA: i32 = 4;
/// At most so many seconds count as zero.
pub(crate) const ZERO: f64 = 1.0 / (1 << SMALLEST_BITS) as f64;
/// Latencies of 2 to minus so many seconds, and all below them, count as zero: a microsecond.
const SMALLEST_BITS: i32 = 20;
/// Latencies of more than 2 to so many seconds count as a little more than that: 128 s.
const LARGEST_BITS: i32 = 7;
/// Each power of two is cut into so many buckets.
const CUTS: usize = 1 << SCHEMA;
/// That of zero, those of the powers of two, and that of all which is longer.
const BUCKETS: usize = (SMALLEST_BITS + LARGEST_BITS) as usize * CUTS + 2;

/// The bounds within a power of two, from itself on: 2 to so many sixteenths.
#[allow(clippy::excessive_precision, reason = "all the digits that are needed for the nearest number")]
const BOUNDS: [f64; CUTS] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_7,
    1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_7,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_6,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_3,
];

impl Histogram {
    pub(crate) fn count(&mut self, latency: Duration) {
        self.buckets[bucket(latency)] += 1;
        self.sum = self.sum.wrapping_add(nanos(latency));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Adds latencies by their buckets, without their sum.
    pub(super) fn add_buckets(&mut self, counted: &[BucketCount]) {
        for (bucket, count) in counted {
            self.buckets[usize::from(*bucket)] += u64::from(*count);
        }
    }

    /// How many latencies were counted.
    pub(crate) fn len(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many of them are surely longer than `limit`.
    pub(crate) fn count_over(&self, limit: Duration) -> u64 {
        self.buckets[bucket(limit) + 1..].iter().sum()
    }

    /// What was counted after an `earlier` reading of the same counter.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|index| self.buckets[index].wrapping_sub(earlier.buckets[index])),
            sum: self.sum.wrapping_sub(earlier.sum),
        }
    }

    /// All of them together; of no use where their sum is more than 584 years.
    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// How many were at most [`ZERO`].
    pub(crate) fn zeros(&self) -> u64 {
        self.buckets[0]
    }

    /// The others by bucket of a native histogram: its number, which is how many 16ths of a power of two from one second on
    /// its upper bound is, and how many latencies it has, if any.
    pub(crate) fn native_buckets(&self) -> impl Iterator<Item = (i32, u64)> {
        let numbered = self.buckets.iter().enumerate().skip(1).filter(|(_, count)| **count > 0);
        numbered.map(|(index, count)| (index as i32 - SMALLEST_BITS * CUTS as i32, *count))
    }

    /// How many were at most 2 to so many seconds.
    ///
    /// # Panics
    /// Outside of -20 to 7.
    pub(crate) fn count_to(&self, bits: i32) -> u64 {
        let index = usize::try_from(bits + SMALLEST_BITS).map(|octaves| octaves * CUTS);
        #[expect(clippy::expect_used, reason = "the caller names a bound that there is")]
        let index = index.ok().filter(|index| *index < BUCKETS - 1).expect("a power of two of the range");
        self.buckets[..=index].iter().sum()
    }

    /// About the smallest latency that so many of 100 do not exceed; zero when there is none.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.len() * percent).div_ceil(100);
        let mut seen = 0;
        let reaches_rank = |count: &u64| {
            seen += *count;
            *count > 0 && seen >= rank
        };
        self.buckets.iter().position(reaches_rank).map_or(Duration::ZERO, middle)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum: 0 }
    }
}

impl AtomicHistogram {
    pub(crate) fn count(&self, latency: Duration) {
        if !COUNTS {
            return;
        }
        self.buckets[bucket(latency)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos(latency), Ordering::Relaxed);
    }

    /// What was counted until now.
    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }

    /// Whether nothing was counted yet; as dear as two counts.
    pub(super) fn is_empty(&self) -> bool {
        self.mark() == (0, 0)
    }

    /// Whether nothing was counted since an earlier reading; as dear as two counts.
    pub(super) fn is_still(&self, earlier: &Histogram) -> bool {
        self.mark() == (earlier.buckets[0], earlier.sum)
    }

    /// What changes with every latency: the sum does, but for those that took no time.
    fn mark(&self) -> (u64, u64) {
        (self.buckets[0].load(Ordering::Relaxed), self.sum.load(Ordering::Relaxed))
    }

    /// Brings an earlier reading up to now, and tells what was counted since.
    pub(super) fn advance(&self, earlier: &mut Histogram) -> Box<[BucketCount]> {
        // Read first: what is counted meanwhile may be told now, and makes another reading in any case.
        earlier.sum = self.sum.load(Ordering::Relaxed);
        let mut counted = Vec::new();
        for (index, (bucket, before)) in self.buckets.iter().zip(&mut earlier.buckets).enumerate() {
            let count = bucket.load(Ordering::Relaxed);
            let more = count.wrapping_sub(std::mem::replace(before, count));
            if more > 0 {
                counted.push((index as u16, u32::try_from(more).unwrap_or(u32::MAX)));
            }
        }
        counted.into_boxed_slice()
    }
}

impl Default for AtomicHistogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// The first bucket whose upper bound, which belongs to it, is not below the latency.
fn bucket(latency: Duration) -> usize {
    // Both steps are exact for latencies of the range, or rounded once: a bound is in the bucket below it.
    let units = nanos(latency) as f64 * f64::from(1 << SMALLEST_BITS) / 1e9;
    if units <= 1.0 {
        return 0;
    }
    let bits = units.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as usize - EXPONENT_BIAS;
    let mantissa = f64::from_bits(bits & MANTISSA | 1.0_f64.to_bits());
    let cut = BOUNDS.partition_point(|bound| *bound < mantissa);
    (exponent * CUTS + cut).min(BUCKETS - 1)
}

/// Of a number's bits (IEEE 754, binary64).
const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_BIAS: usize = 1023;

/// The middle of a bucket's latencies, by ratio where there is one.
fn middle(bucket: usize) -> Duration {
    if bucket == 0 {
        return Duration::from_secs_f64(ZERO / 2.0);
    }
    let sixteenths = bucket as f64 - 0.5;
    Duration::from_secs_f64((sixteenths / CUTS as f64 - f64::from(SMALLEST_BITS)).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The upper bound of a bucket, in nanoseconds.
    fn bound(bucket: usize) -> f64 {
        (bucket as f64 / CUTS as f64 - f64::from(SMALLEST_BITS)).exp2() * 1e9
    }

    #[test]
    fn a_latency_is_in_the_bucket_that_ends_with_it() {
        for index in 0..BUCKETS - 1 {
            let at = bound(index).floor() as u64;
            assert_eq!(bucket(Duration::from_nanos(at)), index, "{at} ns");
            assert_eq!(bucket(Duration::from_nanos(at + 1)), index + 1, "{} ns", at + 1);
        }
        assert_eq!((bucket(Duration::ZERO), bucket(Duration::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn powers_of_two_are_bounds() {
        for (seconds, index) in [(1, 320), (2, 336), (64, 416), (128, 432)] {
            assert_eq!(bucket(Duration::from_secs(seconds)), index);
            assert_eq!(bucket(Duration::from_secs(seconds) + Duration::from_nanos(1)), index + 1);
        }
    }

    #[test]
    fn the_middle_of_a_bucket_is_in_it_and_near_its_ends() {
        for index in 1..BUCKETS - 1 {
            let middle = middle(index).as_nanos() as f64;
            let (from_lower, to_upper) = (middle / bound(index - 1), bound(index) / middle);
            // A nanosecond is left to rounding, of a thousand at least.
            assert!(from_lower < 1.023 && to_upper < 1.023, "{index}: {from_lower} {to_upper}");
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
        assert_eq!(since.sum(), millis(1550));
    }

    #[test]
    fn prometheus_gets_the_same_counts() {
        let mut histogram = Histogram::default();
        for micros in [0, 1, 500_000, 500_000, 500_001, 1_000_000, 200_000_000] {
            histogram.count(Duration::from_micros(micros));
        }
        // Half a second and a second are bounds.
        let native: Vec<_> = histogram.native_buckets().collect();
        assert_eq!(native, [(-318, 1), (-16, 2), (-15, 1), (0, 1), (113, 1)]);
        assert_eq!(histogram.zeros(), 1);
        assert_eq!([-20, -2, -1, 0, 7].map(|bits| histogram.count_to(bits)), [1, 2, 4, 6, 6]);
    }
}
