use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NativeHistogram, NativeHistogramBuckets, NoLabelSet,
};

use crate::telemetry::histogram::{Histogram, SCHEMA, ZERO};

use super::families::Family;

/// Writes families, one after the other.
pub(super) struct Writer<'a>(pub(super) DescriptorEncoder<'a>);

/// Writes the series of one family.
pub(super) struct Series<'a> {
    encoder: MetricEncoder<'a>,
    labels: &'static [&'static str],
}

/// The bounds of classic histograms: powers of two of a second, which the buckets of native ones meet.
const CLASSIC_BITS: std::ops::RangeInclusive<i32> = -10..=6;

impl Writer<'_> {
    /// Begins a family; all of its series have to be written at once.
    pub(super) fn family(&mut self, family: &'static Family) -> Result<Series<'_>, fmt::Error> {
        let Family { name, kind, unit, labels, help } = family;
        let encoder = self.0.encode_descriptor(name, help, unit.as_ref(), *kind)?;
        Ok(Series { encoder, labels })
    }

    /// A family without labels.
    pub(super) fn gauge(
        &mut self,
        family: &'static Family,
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        self.family(family)?.gauge([], value)
    }
}

impl Series<'_> {
    pub(super) fn counter<const N: usize>(&mut self, labels: [&str; N], value: u64) -> fmt::Result {
        self.with(&labels, |encoder| encoder.encode_counter::<NoLabelSet, _, u64>(&value, None))
    }

    /// A counter that does not count in whole numbers.
    pub(super) fn sum<const N: usize>(&mut self, labels: [&str; N], value: f64) -> fmt::Result {
        self.with(&labels, |encoder| encoder.encode_counter::<NoLabelSet, _, f64>(&value, None))
    }

    pub(super) fn gauge<const N: usize>(
        &mut self,
        labels: [&str; N],
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        self.with(&labels, |encoder| encoder.encode_gauge(&value))
    }

    pub(super) fn histogram<const N: usize>(&mut self, labels: [&str; N], value: &Histogram) -> fmt::Result {
        let buckets = native_buckets(value);
        let native = NativeHistogram {
            schema: SCHEMA,
            zero_threshold: ZERO,
            zero_count: value.zeros(),
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: &buckets.spans, deltas: &buckets.deltas },
            created: None,
        };
        let (sum, classic) = (value.sum().as_secs_f64(), classic_buckets(value));
        self.with(&labels, |encoder| {
            encoder.encode_histogram_with_native::<NoLabelSet>(sum, value.len(), &classic, None, native)
        })
    }

    fn with(
        &mut self,
        values: &[&str],
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        debug_assert_eq!(values.len(), self.labels.len(), "{:?}", self.labels);
        let labels: Vec<_> = self.labels.iter().copied().zip(values.iter().copied()).collect();
        if labels.is_empty() {
            return write(&mut self.encoder);
        }
        write(&mut self.encoder.encode_family(&labels)?)
    }
}

/// The bucket of each bound alone, and that of all beyond.
fn classic_buckets(value: &Histogram) -> Vec<(f64, u64)> {
    let mut below = 0;
    let mut buckets: Vec<_> = CLASSIC_BITS
        .map(|bits| {
            let to = value.count_to(bits);
            (f64::from(bits).exp2(), to - std::mem::replace(&mut below, to))
        })
        .collect();
    buckets.push((f64::INFINITY, value.len() - below));
    buckets
}

/// Runs of buckets, as Prometheus has them: how far each run is from the one before, and how long; and by how much each
/// bucket differs from the one before.
#[derive(Debug, Default, PartialEq, Eq)]
struct NativeBuckets {
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
}

fn native_buckets(value: &Histogram) -> NativeBuckets {
    let mut buckets = NativeBuckets::default();
    // The first span is told from zero on.
    let (mut next, mut last) = (0, 0);
    for (number, count) in value.native_buckets() {
        match buckets.spans.last_mut() {
            Some((_, length)) if number == next => *length += 1,
            _ => buckets.spans.push((number - next, 1)),
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        buckets.deltas.push(count - last);
        (next, last) = (number + 1, count);
    }
    buckets
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn histogram(seconds: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        seconds.iter().for_each(|seconds| histogram.count(Duration::from_secs_f64(*seconds)));
        histogram
    }

    #[test]
    fn runs_of_buckets_are_told_by_their_distance() {
        // 1 s is bucket 0, 1.04 s bucket 1, and 2 s bucket 16.
        let buckets = native_buckets(&histogram(&[1.0, 1.0, 1.0, 1.04, 2.0, 2.0]));
        assert_eq!(buckets.spans, [(0, 2), (14, 1)]);
        assert_eq!(buckets.deltas, [3, -2, 1]);
        let buckets = native_buckets(&histogram(&[0.5]));
        assert_eq!((buckets.spans, buckets.deltas), (vec![(-16, 1)], vec![1]));
        assert_eq!(native_buckets(&Histogram::default()), NativeBuckets::default());
    }

    #[test]
    fn classic_buckets_have_each_what_is_theirs() {
        let buckets = classic_buckets(&histogram(&[0.0, 0.001, 0.5, 0.75, 1.0, 100.0]));
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(1.0 / 1024.0, 1), (1.0 / 512.0, 1), (0.5, 1), (1.0, 2), (f64::INFINITY, 1)]);
    }
}
