use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use tokio::sync::watch;

use super::series::Series;
use super::{Ending, Snapshot, Stage, Uses, Watchers};

/// The snapshot that new requests take, and whether new requests are still wanted.
#[derive(Debug)]
pub(crate) struct Live {
    snapshot: ArcSwap<Snapshot>,
    changed: watch::Sender<()>,
    ending: Ending,
    watchers: Arc<Watchers>,
    series: Series,
    changing: ReentrantMutex<()>,
}

impl Live {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        let watchers = snapshot.watchers.clone();
        watchers.set(Uses::DEBUG, snapshot.debug_key.is_some());
        Self {
            snapshot: ArcSwap::new(snapshot),
            changed: watch::Sender::default(),
            ending: Ending::default(),
            watchers,
            series: Series::default(),
            changing: ReentrantMutex::new(()),
        }
    }

    /// The snapshot for a request that begins now; it keeps it to its end.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The same for a request that may not be wanted.
    pub(crate) fn snapshot_if(&self, is_wanted: impl FnOnce(&Snapshot) -> bool) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot.load();
        is_wanted(&snapshot).then(|| Guard::into_inner(snapshot))
    }

    /// Who wants to know what becomes of requests.
    pub(crate) fn watchers(&self) -> &Arc<Watchers> {
        &self.watchers
    }

    /// Has requests that begin from now on served by another snapshot.
    pub(crate) fn replace(&self, snapshot: Arc<Snapshot>) {
        self.watchers.set(Uses::DEBUG, snapshot.debug_key.is_some());
        self.snapshot.store(snapshot);
        self.changed.send_replace(());
    }

    /// Held over each change of what runs and its message, so that it is told once and in order; and while another snapshot
    /// comes to serve, so that nobody changes what has just been replaced, or does not serve yet.
    pub(crate) fn alone(&self) -> ReentrantMutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// Is told whenever the snapshot is replaced.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How the process did lately.
    pub(crate) fn series(&self) -> &Series {
        &self.series
    }

    /// Begins the drain: no new connections, and the old ones end with their running requests.
    pub(crate) fn begin_drain(&self) {
        self.ending.advance(Stage::Draining);
    }

    /// How far the end of the process has come.
    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
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
