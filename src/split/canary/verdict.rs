//! Whether a canary does as well as the others.

use std::time::Duration;

use crate::telemetry::Histogram;

use super::rules::Rules;

/// What requests came to on one side over a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) failures: u64,
    /// Of those that had a first byte.
    pub(super) latencies: Histogram,
}

/// The requests of both sides over the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pub(super) canary: Counts,
    pub(super) others: Counts,
}

/// What a window tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There are too few requests to tell anything.
    TooFew,
    /// It looks worse, which may be chance.
    Unclear,
    Good,
    /// It is worse, and that is hardly chance.
    Worse(Fault),
}

/// In what a canary is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Failures,
    Latency,
}

/// So many standard errors a difference has to be larger than what is allowed: chance does as much once in 740 times. The
/// same window is looked at more than once, so that less would take good canaries back.
const CERTAIN: f64 = 3.0;

impl Counts {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failures: self.failures.saturating_sub(earlier.failures),
            latencies: self.latencies.since(&earlier.latencies),
        }
    }

    pub(super) fn p99(&self) -> Duration {
        self.latencies.percentile(99)
    }

    fn failed(&self) -> Proportion {
        Proportion { count: self.failures, of: self.requests }
    }

    fn slower_than(&self, limit: Duration) -> Proportion {
        Proportion { count: self.latencies.count_over(limit), of: self.latencies.len() }
    }
}

impl Window {
    /// What came after an earlier reading.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self { canary: self.canary.since(&earlier.canary), others: self.others.since(&earlier.others) }
    }

    pub(super) fn judge(&self, rules: &Rules) -> Verdict {
        let Self { canary, others } = self;
        if canary.requests.min(others.requests) < rules.min_requests {
            return Verdict::TooFew;
        }
        let margin = f64::from(rules.max_error_increase.get()) / 100.0;
        let (failed, failed_there) = (canary.failed(), others.failed());
        let fails_more = failed.value() > failed_there.value() + margin;
        if fails_more && failed.distance(failed_there, margin) > CERTAIN {
            return Verdict::Worse(Fault::Failures);
        }
        // Where the others answer nothing at all, nobody is slower than they are.
        let has_latencies = canary.latencies.len() > 0 && others.latencies.len() > 0;
        let slowest = rules.slowest(others.p99());
        let is_slower = has_latencies && canary.p99() > slowest;
        if is_slower && canary.slower_than(slowest).distance(others.slower_than(slowest), 0.0) > CERTAIN {
            return Verdict::Worse(Fault::Latency);
        }
        if fails_more || is_slower { Verdict::Unclear } else { Verdict::Good }
    }

    /// The figures of both sides, for people.
    pub(super) fn describe(&self) -> String {
        format!("{}, p99 {}", self.describe_failures(), self.describe_latency())
    }

    /// Why the canary is taken back, if it is.
    pub(super) fn why_worse(&self, rules: &Rules) -> Option<String> {
        match self.judge(rules) {
            Verdict::Worse(Fault::Failures) => Some(format!(
                "{}, where {} more is allowed",
                self.describe_failures(),
                rules.max_error_increase
            )),
            Verdict::Worse(Fault::Latency) => Some(format!(
                "p99 {} ({} and {} requests), where {} more is allowed",
                self.describe_latency(),
                self.canary.requests,
                self.others.requests,
                rules.max_p99_increase
            )),
            Verdict::TooFew | Verdict::Unclear | Verdict::Good => None,
        }
    }

    fn describe_failures(&self) -> String {
        let told = |counts: &Counts| {
            format!("{:.2} % of {} requests", counts.failed().value() * 100.0, counts.requests)
        };
        format!("failures {} against {}", told(&self.canary), told(&self.others))
    }

    fn describe_latency(&self) -> String {
        let millis = |counts: &Counts| counts.p99().as_secs_f64() * 1000.0;
        format!("{:.1} ms against {:.1} ms", millis(&self.canary), millis(&self.others))
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug)]
struct Proportion {
    count: u64,
    of: u64,
}

impl Proportion {
    fn value(self) -> f64 {
        self.count as f64 / self.of.max(1) as f64
    }

    /// By how many standard errors it is larger than another one and a margin. A success and a failure are added to both
    /// (Agresti and Caffo, 2000), without which none or all of a few would look certain.
    fn distance(self, other: Self, margin: f64) -> f64 {
        let adjusted = |Self { count, of }: Self| {
            let (value, of) = ((count + 1) as f64 / (of + 2) as f64, (of + 2) as f64);
            (value, value * (1.0 - value) / of)
        };
        let ((value, variance), (there, variance_there)) = (adjusted(self), adjusted(other));
        (value - there - margin) / (variance + variance_there).sqrt()
    }
}
