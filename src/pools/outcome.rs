use std::time::Duration;

/// What an attempt at an endpoint came to, as far as it tells about the endpoint. An attempt that its client ended
/// tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The head of an answer came after so long, with a status below 500.
    Answered(Duration),
    /// The attempt failed: no connection, a broken one, no answer in time, or a status of 500 or more.
    Failed {
        /// What the endpoint's `Retry-After` said.
        retry_after: Option<Duration>,
    },
}

/// A failure counts as slow as this, so that fast failures attract nothing.
const PENALTY: Duration = Duration::from_secs(5);
/// However short or long an endpoint wants to be left alone.
const SHORTEST_PENALTY: Duration = Duration::from_secs(1);
const LONGEST_PENALTY: Duration = Duration::from_secs(300);

impl Outcome {
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// The latency as which it enters the endpoint's average.
    pub(super) fn counts_as(self) -> Duration {
        match self {
            Self::Answered(latency) => latency,
            Self::Failed { retry_after } => {
                retry_after.map_or(PENALTY, |after| after.clamp(SHORTEST_PENALTY, LONGEST_PENALTY))
            }
        }
    }
}
