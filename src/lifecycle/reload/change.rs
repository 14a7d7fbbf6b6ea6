//! One change, in the thread that makes it.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config::{Config, Origin};
use crate::edge::Inherited;
use crate::lifecycle::limits::edge_limits;
use crate::runtime::{
    Assembled, Deed, Refused, Report, SecretFile, Standing, assemble, assemble_again, reserve_folders,
};

use super::history::Made;
use super::{Changed, Order, Serving, Shared, Wanted};

/// How long a change waits for the first probes of pools that nobody could serve without them: a little longer than a probe
/// takes at most where the file does not say otherwise.
const LONGEST_LOOK: Duration = Duration::from_secs(3);

impl Shared {
    /// Makes a change as a whole or not at all, and tells of it.
    pub(super) fn change(&self, served: &mut Assembled, order: Order) -> Result<Changed, Refused> {
        let begun = Instant::now();
        let (by, why, what) = (order.by.clone(), order.why.as_str(), order.what());
        let former = served.snapshot.pulse.clone();
        let (journal, before) = (served.snapshot.journal.clone(), self.history.lock().current());
        let note = |to: String, why: &str| {
            journal.note_configuration(format!("generation {before}"), to, why, begun);
        };
        match self.replace(served, order, begun) {
            Ok(report) => {
                let deed = Deed::done(what, !report.is_empty()).from(format!("generation {before}"));
                let deed = deed.until(format!("generation {}", report.generation));
                self.serving.audit.record(&by, deed, begun);
                self.made.fetch_add(1, Ordering::Relaxed);
                if !report.is_empty() {
                    note(format!("generation {}", report.generation), why);
                }
                log::info!("configuration is served generation={} why={why}", report.generation);
                tell(log::Level::Info, &report.to_string());
                tell(log::Level::Warn, &report.warnings);
                Ok(Changed { report, former })
            }
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.serving.audit.record(&by, Deed::refused(what, refused.public()), begun);
                note("refused".to_owned(), &format!("{why}: {}", refused.public()));
                log::error!("configuration is refused, what was served stays why={why}");
                tell(log::Level::Error, &refused.to_string());
                Err(refused)
            }
        }
    }

    fn replace(&self, served: &mut Assembled, order: Order, begun: Instant) -> Result<Report, Refused> {
        self.check_not_left()?;
        let Order { by: _, why, wanted, instead_of, is_on_probation } = order;
        if instead_of.is_some_and(|expected| expected != self.history.lock().current()) {
            return Err(Refused::overtaken());
        }
        let level = match wanted {
            Wanted::Written => self.kept_level(served, begun)?,
            Wanted::Anew | Wanted::Text(_) | Wanted::Earlier(_) => None,
        };
        let (origin, configuration) = self.find(&wanted)?;
        let assembled = match configuration {
            Some(_) => assemble_again(&origin, &self.registry, served),
            None => assemble(&origin, &self.registry, Some(served)),
        };
        let new = assembled.map_err(|problems| Refused::of_configuration(&problems))?;
        new.secret_file.iter().try_for_each(SecretFile::save).map_err(Refused::because)?;
        reserve_folders(&new.snapshot.caches).map_err(Refused::because)?;
        self.serving.look_ahead(&new);
        self.serving.serve(&new)?;
        self.serving.messages.iter().zip(level).for_each(|(messages, level)| messages.set_level(level));
        let mut history = self.history.lock();
        let mut report = Report {
            generation: history.current(),
            diff: new.diff.clone(),
            files: file_changes(served, &new),
            restart: needs_restart(&served.config, &new.config),
            warnings: new.warnings.to_string(),
            took_ms: begun.elapsed().as_secs_f64() * 1000.0,
        };
        if !report.is_empty() {
            report.generation += 1;
            let standing = if is_on_probation { Standing::OnProbation } else { Standing::Serving };
            let made = Made { why, configuration, standing };
            history.push(&report, made, new.origin.clone(), SystemTime::now());
        }
        if !matches!(wanted, Wanted::Earlier(_)) {
            *self.read.lock() = new.origin.clone();
        }
        *served = new;
        if let Wanted::Text(_) = wanted {
            *self.origin.lock() = origin;
        }
        Ok(report)
    }

    /// Where what is wanted is read, and the generation that had this configuration, if one had.
    fn find(&self, wanted: &Wanted) -> Result<(Origin, Option<u64>), Refused> {
        match wanted {
            Wanted::Anew | Wanted::Written => Ok((self.origin.lock().clone(), None)),
            Wanted::Text(text) => Ok((self.origin.lock().with_text(text), None)),
            Wanted::Earlier(number) => {
                let (configuration, origin) = self.history.lock().find(*number)?;
                Ok((origin, Some(configuration)))
            }
        }
    }
}

impl Serving {
    /// Has probes find out about endpoints while others still serve: none of the requests to come has to wait for that.
    fn look_ahead(&self, new: &Assembled) {
        Handle::current().block_on(self.prober.probe_ahead(&new.snapshot.pools, LONGEST_LOOK));
    }

    /// Serves what was assembled from now on. What can fail comes first, and leaves nothing behind.
    pub(super) fn serve(&self, new: &Assembled) -> Result<(), Refused> {
        let Assembled { config, snapshot, .. } = new;
        let mut nobody = Inherited::default();
        let prepared = self.edges.prepare(snapshot, &mut nobody).map_err(Refused::because)?;
        let output = self.log.prepare(&config.access_log).map_err(Refused::because)?;
        let audit_file = self.audit.prepare(config.audit_log()).map_err(Refused::because)?;
        output.into_iter().for_each(|output| self.log.adopt(output));
        audit_file.into_iter().for_each(|file| self.audit.adopt(file));
        let now = Instant::now();
        self.messages.iter().for_each(|messages| messages.set_level(config.log_level));
        self.edges.traffic.change_limits(edge_limits(config));
        {
            let _alone = self.live.alone();
            self.live.replace(snapshot.clone());
            snapshot.take_over(now);
        }
        self.edges.adopt(prepared, config.drain);
        self.prober.update(&snapshot.pools);
        Ok(())
    }
}

/// What differs in files that both configurations name.
fn file_changes(old: &Assembled, new: &Assembled) -> Vec<String> {
    let mut found = new.snapshot.file_changes(&old.snapshot);
    let mut secrets = new.secret_file.iter().zip(&old.secret_file);
    if secrets.any(|(new, old)| new.differs_from(old)) {
        found.push("server.secret_file: the secret".to_owned());
    }
    found
}

/// What differs and waits for another process.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let later = "counts from the next upgrade or start on";
    let mut found = Vec::new();
    if old.threads != new.threads {
        found.push(format!("server.threads: {later}"));
    }
    if old.control_socket != new.control_socket {
        found.push(format!("server.control_socket: {later}"));
    }
    found
}

/// More lines of one change are not logged.
const MOST_LINES: usize = 100;

fn tell(level: log::Level, text: &str) {
    let mut lines = text.lines();
    for line in lines.by_ref().take(MOST_LINES) {
        log::log!(level, "configuration: {line}");
    }
    match lines.count() {
        0 => {}
        more => log::log!(level, "configuration: and {more} lines more"),
    }
}
