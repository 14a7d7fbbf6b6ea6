use tokio::time::Instant;

use crate::runtime::pace::Pace;

/// Counts what is denied, so that only some of it is noted.
#[derive(Debug)]
pub(super) struct Denials {
    pace: Pace,
    /// What was not noted and nobody was told of yet.
    left_out: u64,
}

/// So many are noted in a minute: a month of guesses is some 300 MB of lines then.
const MOST: u32 = 30;

impl Default for Denials {
    fn default() -> Self {
        Self { pace: Pace::a_minute(MOST), left_out: 0 }
    }
}

impl Denials {
    /// Whether one may be noted; if so, how many before it were not.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if !self.pace.permits(now) {
            self.left_out += 1;
            return None;
        }
        Some(std::mem::take(&mut self.left_out))
    }
}
