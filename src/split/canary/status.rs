use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::verdict::Counts;

/// A canary at one moment, as `evener status --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CanaryStatus {
    pub(crate) pool: String,
    pub(crate) phase: CanaryPhase,
    /// What it has of all requests.
    pub(crate) share_percent: f64,
    /// How long it has had that, or less: since it was resumed, or came under other settings.
    pub(crate) for_s: u64,
    /// Whether an operator keeps it from growing.
    pub(crate) paused: bool,
    /// What came of it, once it has ended.
    pub(crate) why: Option<String>,
    /// What it waits for until it grows, if it runs.
    pub(crate) waits_for: Option<String>,
    /// The requests since then.
    pub(crate) canary: FiguresStatus,
    /// Those of the other pools over the same time.
    pub(crate) others: FiguresStatus,
}

/// How far a canary has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CanaryPhase {
    Running,
    Promoted,
    Aborted,
}

/// What the requests of one side came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FiguresStatus {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(crate) p99_ms: f64,
}

impl CanaryPhase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Promoted => "promoted",
            Self::Aborted => "aborted",
        }
    }
}

impl FiguresStatus {
    pub(super) fn of(counts: &Counts) -> Self {
        let p99_ms = (counts.p99().as_secs_f64() * 100_000.0).round() / 100.0;
        Self { requests: counts.requests, failures: counts.failures, p99_ms }
    }
}
