use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets a message through once in a while, where strangers or requests could have it written without end.
#[derive(Debug, Default)]
pub(crate) struct Rarely {
    told: Mutex<Option<Instant>>,
}

/// What repeats itself is told this often.
const EVERY: Duration = Duration::from_secs(60);

impl Rarely {
    /// Whether it may be told now; if so, it is taken for told.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        let mut told = self.told.lock();
        let may = told.is_none_or(|told| now.saturating_duration_since(told) >= EVERY);
        if may {
            *told = Some(now);
        }
        may
    }
}
