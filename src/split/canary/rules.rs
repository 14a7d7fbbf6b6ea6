use std::fmt;
use std::time::Duration;

use crate::config::spec::CanarySpec;
use crate::split::Share;
use crate::types::{Percent, Span};

/// How a canary grows and what it is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// What it begins with.
    pub(super) start: Share,
    pub(super) step: Share,
    pub(super) every: Span,
    pub(super) max_error_increase: Percent,
    pub(super) max_p99_increase: Percent,
    pub(super) min_requests: u64,
    pub(super) max: Share,
    pub(super) on_abort: Share,
}

impl Rules {
    /// A canary without a share to begin with begins with one step.
    pub(super) fn new(spec: &CanarySpec, start: Option<Share>) -> Self {
        let (step, max) = (Share::from(spec.step), Share::from(spec.max));
        Self {
            start: start.unwrap_or(step).min(max),
            step,
            every: spec.every,
            max_error_increase: spec.max_error_increase,
            max_p99_increase: spec.max_p99_increase,
            min_requests: spec.min_requests.into(),
            max,
            on_abort: spec.on_abort.into(),
        }
    }

    /// Whether a canary is judged alike by both. What it begins with is nothing that it is judged by.
    pub(super) fn judge_like(&self, other: &Self) -> bool {
        Self { start: other.start, ..self.clone() } == *other
    }

    /// The slowest that a hundredth of the canary's requests may be, where it is `p99` for the others. A difference of a
    /// millisecond may come of colder connections and caches alone.
    pub(super) fn slowest(&self, p99: Duration) -> Duration {
        const NEGLIGIBLE: Duration = Duration::from_millis(1);
        let increase = p99.mul_f64(f64::from(self.max_p99_increase.get()) / 100.0);
        p99 + increase.max(NEGLIGIBLE)
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, step, every, max_error_increase, max_p99_increase, min_requests, max, on_abort } =
            self;
        write!(
            f,
            "from {start} by {step} every {every} to {max}, while of {min_requests} requests or more at most \
             {max_error_increase} more fail and the p99 is at most {max_p99_increase} longer; else {on_abort}"
        )
    }
}
