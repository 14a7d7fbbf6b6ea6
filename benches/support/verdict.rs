use serde::Serialize;

/// Whether a bar is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// What it needs was not measured.
    Skip,
}

impl Verdict {
    /// Holds a value, where there is one, against its limit.
    pub(crate) fn of(value: Option<f64>, is_met: impl FnOnce(f64) -> bool) -> Self {
        match value.map(is_met) {
            Some(true) => Self::Pass,
            Some(false) => Self::Fail,
            None => Self::Skip,
        }
    }
}
