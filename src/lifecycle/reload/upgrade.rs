//! The change after which another process serves.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use crate::lifecycle::upgrade::Estate;
use crate::runtime::{Actor, Assembled, Deed, Lately, NotUpgraded, SetLevel, UpgradeOrder, Upgraded, What};

use super::{Serving, Shared};

impl Shared {
    /// Notes what became of the wish for another process.
    pub(super) fn noted(
        &self,
        by: &Actor,
        upgraded: Result<Upgraded, NotUpgraded>,
    ) -> Result<Upgraded, NotUpgraded> {
        let deed = match &upgraded {
            Ok(Upgraded { process, version }) => {
                Deed::done(What::Upgrade, true).until(format!("process {process}, version {version}"))
            }
            Err(failed) => Deed::refused(What::Upgrade, failed),
        };
        self.serving.audit.record(by, deed, Instant::now());
        upgraded
    }

    pub(super) async fn upgrade(&self, order: UpgradeOrder) -> Result<Upgraded, NotUpgraded> {
        let upgrader = self.upgrader.get().ok_or_else(|| {
            NotUpgraded::Failed("this process is part of a program that replaces it by itself".to_owned())
        })?;
        // Nothing changes until it is clear who serves.
        let served = self.served.lock().await;
        self.check_serving().map_err(|refused| NotUpgraded::Failed(refused.into_text()))?;
        if order.config.is_none() {
            self.check_file_is_served(&served)?;
        }
        let history = self.history.lock().entries();
        let lately = self.serving.lately(&served);
        let upgraded = upgrader.upgrade(order, Estate { served: &served, history, lately }).await?;
        // Before the next change has its turn.
        self.is_left.store(true, Ordering::Release);
        Ok(upgraded)
    }

    /// A process whose configuration was taken back must not be followed by one that reads it again.
    fn check_file_is_served(&self, served: &Assembled) -> Result<(), NotUpgraded> {
        let (is_on_probation, gone_back_to) = {
            let history = self.history.lock();
            (history.is_on_probation(), history.gone_back_to())
        };
        if is_on_probation {
            let why = "the configuration is on probation\n  help: wait for its end, or roll back";
            return Err(NotUpgraded::Failed(why.to_owned()));
        }
        let origin = self.origin.lock().clone();
        let is_served = || served.diff_from(&origin).is_some_and(|diff| diff.is_empty());
        match gone_back_to {
            Some(configuration) if !is_served() => Err(NotUpgraded::Failed(format!(
                "the configuration of generation {configuration} is served again, and the file has another one\n  \
                 help: put the file right, and reload it or name it with -c"
            ))),
            _ => Ok(()),
        }
    }
}

impl Serving {
    /// What the next process is to tell, too.
    fn lately(&self, served: &Assembled) -> Lately {
        let of_file = served.config.log_level;
        let level = self.messages.as_ref().map(|messages| messages.level());
        Lately {
            level: level.filter(|level| *level != of_file).map(|level| SetLevel { level, of_file }),
            samples: self.live.series().samples(),
            transitions: served.snapshot.journal.export(Instant::now()),
            audit: self.audit.recent(),
        }
    }

    /// Goes on with what the process before this one told.
    pub(super) fn go_on(&self, lately: Lately, served: &Assembled) {
        let Lately { level, samples, transitions, audit } = lately;
        let level = level.filter(|set| set.of_file == served.config.log_level);
        if let Some((messages, set)) = self.messages.as_ref().zip(level) {
            messages.set_level(set.level);
        }
        self.live.series().go_on(samples);
        served.snapshot.journal.go_on(transitions, Instant::now());
        self.audit.go_on(audit);
    }
}
