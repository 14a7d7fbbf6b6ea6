use crate::telemetry::TraceId;
use crate::types::Share;

/// Takes a share of all traces, by their ids alone: `TraceIdRatioBased`, as the SDKs of OpenTelemetry have it, so that all who
/// ask with the same share, or a larger one, take the same traces.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Ids below this are taken.
    below: u64,
}

impl Sampler {
    pub(super) fn new(share: Share) -> Self {
        Self { below: (share.fraction() * (1_u64 << 63) as f64) as u64 }
    }

    pub(super) fn takes(&self, trace: TraceId) -> bool {
        let bytes = trace.bytes();
        let (_, low) = bytes.split_at(8);
        let low = low.iter().fold(0, |low, byte| low << 8 | u64::from(*byte));
        low >> 1 < self.below
    }
}

#[cfg(test)]
mod tests {
    use crate::types::Random;

    use super::*;

    #[test]
    fn a_share_of_traces_is_taken_and_a_larger_one_takes_them_too() {
        let mut random = Random::with_seed(3);
        let [none, few, half, all] =
            ["0%", "10%", "50%", "100%"].map(|share| Sampler::new(share.parse().unwrap()));
        let mut taken = [0; 2];
        for _ in 0..10_000 {
            let trace = TraceId::random(&mut random);
            assert!(!none.takes(trace) && all.takes(trace));
            assert!(!few.takes(trace) || half.takes(trace));
            taken[0] += u32::from(few.takes(trace));
            taken[1] += u32::from(half.takes(trace));
        }
        assert!((900..1100).contains(&taken[0]) && (4800..5200).contains(&taken[1]), "{taken:?}");
    }
}
