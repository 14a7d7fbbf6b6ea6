use serde::Serialize;

use crate::{
    figures::{Figures, Metric},
    peer::Peer,
    support::verdict::Verdict,
};

/// What Evener promises: a figure that may not be above its limit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bar {
    what: &'static str,
    limit: f64,
    /// `None` when what it needs was not measured.
    value: Option<f64>,
    pub(crate) verdict: Verdict,
}

impl Bar {
    fn new(what: &'static str, limit: f64, value: Option<f64>) -> Self {
        let verdict = Verdict::of(value, |value| value <= limit);
        Self { what, limit, value, verdict }
    }

    /// All bars, held against what was measured.
    pub(crate) fn all(figures: &Figures) -> Vec<Self> {
        let cpu = |reference| figures.ratio(Peer::Evener, reference, Metric::Cpu).map(|spread| spread.median);
        let own = |metric| figures.spread(Peer::Evener, metric).map(|spread| spread.median);
        vec![
            Self::new("CPU per request, times bare Pingora", 1.10, cpu(Peer::Bare)),
            Self::new("CPU per request, times nginx", 1.25, cpu(Peer::Nginx)),
            Self::new("added p50 latency on one connection, µs", 50.0, own(Metric::Added)),
            Self::new("memory of an idle connection, KiB", 12.0, own(Metric::Idle)),
        ]
    }

    pub(crate) fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "SKIP",
        };
        let value = self.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        format!("{verdict}  {}: {value} (at most {:.2})", self.what, self.limit)
    }
}
