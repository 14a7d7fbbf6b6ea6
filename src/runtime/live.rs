use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::Snapshot;

/// The snapshot that new requests take, and whether new requests are still wanted.
#[derive(Debug)]
pub(crate) struct Live {
    snapshot: ArcSwap<Snapshot>,
    drain: watch::Sender<bool>,
    /// The same as the channel's value, for requests: reading it takes no lock.
    is_draining: AtomicBool,
    reread_tls: Notify,
}

impl Live {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot: ArcSwap::new(snapshot),
            drain: watch::Sender::new(false),
            is_draining: AtomicBool::new(false),
            reread_tls: Notify::new(),
        }
    }

    /// The snapshot for a request that begins now; it keeps it to its end.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Begins the drain: no new connections, and the old ones end with their running requests.
    pub(crate) fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.drain.send_replace(true);
    }

    /// Has the files of the listeners' TLS read again.
    pub(crate) fn reread_tls(&self) {
        self.reread_tls.notify_one();
    }

    /// Resolves when somebody wants that.
    pub(crate) async fn asked_to_reread_tls(&self) {
        self.reread_tls.notified().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Turns true when the drain begins.
    pub(crate) fn drain(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }
}
