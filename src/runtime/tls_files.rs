//! Takes over certificates, keys and authorities that have changed on disk, while clients are served.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::tls::{Problem, Termination};
use crate::types::{ListenerName, Stamp, looking, next_look};

use super::Live;

/// Looks after the files that the listeners' TLS stands on.
#[derive(Debug)]
pub(crate) struct TlsFiles {
    live: Arc<Live>,
    seen: HashMap<ListenerName, Seen>,
    /// When all were read last.
    read: Instant,
}

/// What has not changed is read again after this: certificates and OCSP responses expire where they lie.
const REREAD: Duration = Duration::from_secs(12 * 3600);

/// What could not be used is tried again after this, although no file has changed: the process was out of descriptors, or
/// a certificate was not valid yet.
const RETRY: Duration = Duration::from_secs(10);

/// What was found of a listener's files when they were read last.
#[derive(Debug, Default)]
struct Seen {
    /// Who has read them. Another one, of a new configuration, may have read them before they changed.
    by: Weak<Termination>,
    /// `None` for a file that is not there.
    stamps: Vec<Option<Stamp>>,
    refused: Option<Refused>,
}

/// Why files were not taken over.
#[derive(Debug)]
struct Refused {
    messages: Vec<String>,
    /// When they are tried again.
    due: Instant,
}

/// Why a listener's files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Change,
    /// They are read now and then, and everything is told.
    Review,
    Retry,
}

impl TlsFiles {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self { live, seen: HashMap::new(), read: Instant::now() }
    }

    /// Looks again and again until the drain begins.
    pub(crate) async fn run(mut self, mut drain: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                () = next_look() => {}
            }
            let Some((back, ())) = looking(self, Self::look).await else { return };
            self = back;
        }
    }

    /// The first look always reads: a file may have changed between the start and now.
    fn look(&mut self) {
        let now = Instant::now();
        let is_due = now.duration_since(self.read) >= REREAD;
        if is_due {
            self.read = now;
        }
        let snapshot = self.live.snapshot();
        self.seen.retain(|name, _| snapshot.listeners.iter().any(|listener| listener.name == *name));
        for listener in snapshot.listeners.iter() {
            let Some(termination) = &listener.tls else { continue };
            let stamps: Vec<_> = termination.files().iter().map(|file| Stamp::of(file)).collect();
            let seen = self.seen.entry(listener.name.clone()).or_default();
            let reason = if is_due {
                Reason::Review
            } else if seen.stamps != stamps || !is_of(&seen.by, termination) {
                Reason::Change
            } else if seen.refused.as_ref().is_some_and(|refused| refused.due <= now) {
                Reason::Retry
            } else {
                continue;
            };
            seen.stamps = stamps;
            seen.by = Arc::downgrade(termination);
            seen.refused = reread(&listener.name, termination, reason, seen.refused.take(), now);
        }
    }
}

fn is_of(weak: &Weak<Termination>, termination: &Arc<Termination>) -> bool {
    std::ptr::eq(weak.as_ptr(), Arc::as_ptr(termination))
}

/// Reads a listener's files again, and says what came of it, but not the same at each retry.
fn reread(
    listener: &ListenerName,
    termination: &Termination,
    reason: Reason,
    former: Option<Refused>,
    now: Instant,
) -> Option<Refused> {
    match termination.reload() {
        Ok(reloaded) => {
            for change in &reloaded.changes {
                log::info!("tls listener={listener} {change}");
            }
            if reason == Reason::Review || !reloaded.changes.is_empty() {
                tell(log::Level::Warn, listener, &reloaded.warnings);
            }
            None
        }
        Err(problems) => {
            let messages: Vec<_> = problems.iter().map(|problem| problem.message.clone()).collect();
            let is_told = former.is_some_and(|former| former.messages == messages);
            if reason != Reason::Retry || !is_told {
                log::error!("tls listener={listener} the files cannot be used; what was read before stays");
                tell(log::Level::Error, listener, &problems);
            }
            Some(Refused { messages, due: now + RETRY })
        }
    }
}

fn tell(level: log::Level, listener: &ListenerName, problems: &[Problem]) {
    for Problem { message, help, .. } in problems {
        let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        log::log!(level, "tls listener={listener} {message}{help}");
    }
}
