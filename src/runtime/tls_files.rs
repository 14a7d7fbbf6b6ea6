//! Takes over certificates, keys and authorities that have changed on disk, while clients are served.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::tls::{Problem, Termination};
use crate::types::ListenerName;

use super::Live;

/// Looks after the files that the listeners' TLS stands on.
///
/// It asks for their dates instead of being told by the kernel: this also sees what happens on network file systems and
/// behind the links by which orchestrators swap whole folders.
#[derive(Debug)]
pub(crate) struct TlsFiles {
    live: Arc<Live>,
    seen: HashMap<ListenerName, Vec<Stamp>>,
    /// When all were read last.
    read: Instant,
}

/// How soon a change is seen. A look costs one system call for each file.
const PERIOD: Duration = Duration::from_secs(1);
/// What has not changed is read again after this: certificates and OCSP responses expire where they lie.
const REREAD: Duration = Duration::from_secs(12 * 3600);

/// What changes when a file does; `None` for a file that is not there.
type Stamp = Option<(SystemTime, u64, u64)>;

impl TlsFiles {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self { live, seen: HashMap::new(), read: Instant::now() }
    }

    /// Looks again and again until the drain begins, and at once when asked to.
    pub(crate) async fn run(mut self, mut drain: watch::Receiver<bool>) {
        loop {
            let is_asked = tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                () = self.live.asked_to_reread_tls() => true,
                () = sleep(PERIOD) => false,
            };
            // Disks may hang, and keys are checked by arithmetic.
            let looked = tokio::task::spawn_blocking(move || {
                self.look(is_asked);
                self
            });
            // It fails only when the runtime ends.
            let Ok(back) = looked.await else { return };
            self = back;
        }
    }

    /// The first look always reads: a file may have changed between the start and now.
    fn look(&mut self, is_asked: bool) {
        let is_due = self.read.elapsed() >= REREAD;
        if is_due {
            self.read = Instant::now();
        }
        for listener in &self.live.snapshot().listeners {
            let Some(termination) = &listener.tls else { continue };
            let stamps: Vec<Stamp> = termination.files().iter().map(|file| stamp(file)).collect();
            let is_changed = self.seen.get(&listener.name) != Some(&stamps);
            if is_changed || is_asked || is_due {
                self.seen.insert(listener.name.clone(), stamps);
                reread(&listener.name, termination, is_due);
            }
        }
    }
}

/// Reads a listener's files again, and says what came of it.
fn reread(listener: &ListenerName, termination: &Termination, is_due: bool) {
    let tell = |level: log::Level, Problem { message, help, .. }: Problem| {
        let help = help.map(|help| format!("; {help}")).unwrap_or_default();
        log::log!(level, "tls listener={listener} {message}{help}");
    };
    match termination.reload() {
        Ok(reloaded) => {
            for change in &reloaded.changes {
                log::info!("tls listener={listener} {change}");
            }
            if is_due || !reloaded.changes.is_empty() {
                reloaded.warnings.into_iter().for_each(|warning| tell(log::Level::Warn, warning));
            }
        }
        Err(problems) => {
            log::error!(
                "tls listener={listener} the files have changed and cannot be used; what was read before stays"
            );
            problems.into_iter().for_each(|problem| tell(log::Level::Error, problem));
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;

    let found = file.metadata().ok()?;
    Some((found.modified().ok()?, found.len(), found.ino()))
}
