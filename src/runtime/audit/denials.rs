use std::time::Duration;

use tokio::time::Instant;

/// Counts what is denied, so that only some of it is noted.
#[derive(Debug, Default)]
pub(super) struct Denials {
    /// When the present second began, and what came in it.
    second: Option<(Instant, u32)>,
    /// What was not noted and nobody was told of yet.
    left_out: u64,
}

/// So many are noted in a second.
const MOST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

impl Denials {
    /// Whether one may be noted; if so, how many before it were not.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        let (begun, count) = match self.second {
            Some((begun, count)) if now.saturating_duration_since(begun) < SECOND => (begun, count),
            _ => (now, 0),
        };
        if count == MOST {
            self.left_out += 1;
            return None;
        }
        self.second = Some((begun, count + 1));
        Some(std::mem::take(&mut self.left_out))
    }
}
