use serde::Serialize;

use crate::support::verdict::Verdict;

/// What Evener promises: a figure that may not be above its limit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bar {
    what: &'static str,
    limit: f64,
    /// `None` when what it needs was not measured.
    value: Option<f64>,
    pub(super) verdict: Verdict,
}

impl Bar {
    pub(crate) fn new(what: &'static str, limit: f64, value: Option<f64>) -> Self {
        let verdict = Verdict::of(value, |value| value <= limit);
        Self { what, limit, value, verdict }
    }

    pub(super) fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "SKIP",
        };
        let value = self.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        format!("{verdict}  {}: {value} (at most {:.2})", self.what, self.limit)
    }
}
