use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An average of latencies that follows rises at once and forgets them over ten seconds.
///
/// A sample above the average becomes the average; one below is weighed by the time since the one before,
/// `1 - e^(-Δt / 10 s)`, so that the rate of requests plays no part (Finagle's peak-EWMA). Lock-free: each update takes
/// the time since the last one for itself alone, and none is lost.
#[derive(Debug)]
pub(crate) struct PeakEwma {
    /// Seconds, as the bits of an `f64`; zero for no sample yet.
    average: AtomicU64,
    /// When the last sample came, in nanoseconds on the clock of the load.
    sampled: AtomicU64,
}

/// How long it takes a past latency to count for a third (1/e).
const DECAY: f64 = 10.0;
/// No latency counts for less, so that an average is never zero.
const SHORTEST: f64 = 1e-6;

impl PeakEwma {
    pub(super) fn new() -> Self {
        Self { average: AtomicU64::new(0), sampled: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, latency: Duration, now: u64) {
        let sample = latency.as_secs_f64().max(SHORTEST);
        let kept = kept_after(now.saturating_sub(self.sampled.fetch_max(now, Ordering::AcqRel)));
        let next = |bits| {
            let average = f64::from_bits(bits);
            let is_peak = bits == 0 || sample >= average;
            Some(if is_peak { sample } else { sample + (average - sample) * kept }.to_bits())
        };
        // The closure always gives a value, so the update cannot fail.
        let _ = self.average.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
    }

    /// The average in seconds as of the last sample; `None` without any.
    pub(super) fn average(&self) -> Option<f64> {
        match self.average.load(Ordering::Acquire) {
            0 => None,
            bits => Some(f64::from_bits(bits)),
        }
    }

    /// The average as it has faded since the last sample: what makes an endpoint that nobody dares to use worth a
    /// try again.
    pub(super) fn faded(&self, now: u64) -> Option<f64> {
        let since = now.saturating_sub(self.sampled.load(Ordering::Acquire));
        self.average().map(|average| (average * kept_after(since)).max(SHORTEST))
    }

    /// The average as of the last sample, and how many nanoseconds ago that was.
    pub(super) fn last(&self, now: u64) -> Option<(f64, u64)> {
        let age = now.saturating_sub(self.sampled.load(Ordering::Acquire));
        self.average().map(|average| (average, age))
    }

    /// Goes on from an average that had its last sample at `sampled`.
    pub(super) fn set(&self, average: Duration, sampled: u64) {
        self.sampled.store(sampled, Ordering::Release);
        self.average.store(average.as_secs_f64().max(SHORTEST).to_bits(), Ordering::Release);
    }

    /// Forgets all samples.
    pub(super) fn forget(&self) {
        self.average.store(0, Ordering::Release);
    }
}

/// The share of a past average that still counts after so many nanoseconds.
fn kept_after(nanos: u64) -> f64 {
    let decays = nanos as f64 / (DECAY * 1e9);
    // Up to here the first two terms of the series are exact to eight digits.
    if decays < 1e-4 { 1.0 - decays } else { (-decays).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn observe(ewma: &PeakEwma, millis: u64, now: u64) -> f64 {
        ewma.observe(Duration::from_millis(millis), now);
        ewma.average().unwrap() * 1000.0
    }

    #[test]
    fn a_rise_counts_at_once_and_fades_in_ten_seconds() {
        let ewma = PeakEwma::new();
        assert_eq!(ewma.average(), None);
        assert_eq!(observe(&ewma, 10, 0), 10.0);
        assert_eq!(observe(&ewma, 100, SECOND), 100.0);
        let later = observe(&ewma, 10, 11 * SECOND);
        assert!((later - (10.0 + 90.0 * (-1f64).exp())).abs() < 0.01, "{later}");
    }

    #[test]
    fn many_samples_at_once_weigh_no_more_than_their_time() {
        let ewma = PeakEwma::new();
        observe(&ewma, 100, 0);
        for _ in 0..1000 {
            observe(&ewma, 1, SECOND / 1000);
        }
        assert!(ewma.average().unwrap() > 0.0999);
    }

    #[test]
    fn fades_without_samples_and_never_to_nothing() {
        let ewma = PeakEwma::new();
        observe(&ewma, 100, 0);
        assert!((ewma.faded(10 * SECOND).unwrap() - 0.1 * (-1f64).exp()).abs() < 1e-6);
        assert_eq!(ewma.faded(10_000 * SECOND), Some(SHORTEST));
        ewma.forget();
        assert_eq!(ewma.faded(0), None);
    }
}
