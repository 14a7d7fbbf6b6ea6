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
    /// Turns true when whatever still goes on is to end.
    is_over: watch::Sender<bool>,
}

impl Live {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot: ArcSwap::new(snapshot),
            drain: watch::Sender::new(false),
            is_draining: AtomicBool::new(false),
            reread_tls: Notify::new(),
            is_over: watch::Sender::new(false),
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

    /// Ends what a drain has left alone: connections that are passed on.
    pub(crate) fn cut(&self) {
        self.is_over.send_replace(true);
    }

    /// Resolves when what goes on is to end.
    pub(crate) async fn is_cut(&self) {
        // The sender lives as long as this does.
        let _ = self.is_over.subscribe().wait_for(|is_over| *is_over).await;
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
