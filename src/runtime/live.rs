use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{Ending, Rereads, Snapshot, Stage};

/// The snapshot that new requests take, and whether new requests are still wanted.
#[derive(Debug)]
pub(crate) struct Live {
    snapshot: ArcSwap<Snapshot>,
    ending: Ending,
    tls_rereads: Rereads,
}

impl Live {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot: ArcSwap::new(snapshot), ending: Ending::default(), tls_rereads: Rereads::default() }
    }

    /// The snapshot for a request that begins now; it keeps it to its end.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Begins the drain: no new connections, and the old ones end with their running requests.
    pub(crate) fn begin_drain(&self) {
        self.ending.advance(Stage::Draining);
    }

    /// How far the end of the process has come.
    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Who wants the files of the listeners' TLS read again.
    pub(crate) fn tls_rereads(&self) -> &Rereads {
        &self.tls_rereads
    }

    /// Whether clients are to come back elsewhere.
    pub(crate) fn is_draining(&self) -> bool {
        self.ending.has_reached(Stage::Leaving)
    }

    /// Turns true when nobody is accepted any more.
    pub(crate) fn drain(&self) -> watch::Receiver<bool> {
        self.ending.draining()
    }
}
