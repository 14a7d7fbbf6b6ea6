//! A reload of a file into which was written what runs.

use tokio::time::Instant;

use crate::config::spec::LogLevel;
use crate::runtime::{Assembled, Compared, Drift, Refused};

use super::Shared;

impl Shared {
    /// Makes sure that nothing that runs changes when the file is read, but for the level of messages, which is to be kept: this
    /// tells what it is.
    pub(super) fn kept_level(&self, served: &Assembled, now: Instant) -> Result<Option<LogLevel>, Refused> {
        let file = self.origin.lock().clone();
        let history = self.history.lock();
        let generation = history.current();
        if history.is_on_probation() {
            return Err(Refused::because(format_args!(
                "generation {generation} is on probation, which another one would end"
            )));
        }
        let origin = history.served().clone();
        drop(history);
        let compared = Compared {
            snapshot: &served.snapshot,
            generation,
            log_level: None,
            served: &origin,
            file: &file,
        };
        let (drift, _) =
            Drift::of(&compared, now).map_err(|problems| Refused::of_configuration(&problems))?;
        if drift.is_lost_by_reload() {
            return Err(Refused::because("the file says something else than what runs"));
        }
        Ok(self.serving.messages.as_ref().map(|messages| messages.level()))
    }
}
