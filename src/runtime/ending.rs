use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

/// How far the end of the process has come. Each stage goes beyond the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// It is not about to end.
    Serving,
    /// Clients are still accepted and served, and asked to come back elsewhere.
    Leaving,
    /// Nobody is accepted any more, and connections end with their requests.
    Draining,
    /// Requests that still run end; what lasts goes on.
    RequestsCut,
    /// Everything ends.
    AllCut,
}

/// The end of the process, as listeners, connections and requests learn of it. Clones are one and the same.
#[derive(Clone, Debug)]
pub(crate) struct Ending(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The stage, to be read without a lock. It is there before the channels tell it.
    reached: AtomicU8,
    stage: watch::Sender<Stage>,
    /// For those who know nothing of stages.
    leaving: watch::Sender<bool>,
    draining: watch::Sender<bool>,
    lasting: AtomicUsize,
}

/// One of the requests that are counted as lasting, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lasting(Arc<Shared>);

/// What fails the reads and writes of a request that a drain has no more time for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the process ends")]
pub(crate) struct BrokenOff;

/// So long after it was accepted, a connection may still bring its first bytes.
const FIRST_BYTES: Duration = Duration::from_secs(1);
/// What has come before a drain is seen after this at the latest: the runtime looks at sockets before it looks at
/// the time.
pub(crate) const LAST_LOOK: Duration = Duration::from_millis(10);

impl Default for Ending {
    fn default() -> Self {
        Self(Arc::new(Shared {
            reached: AtomicU8::new(Stage::Serving as u8),
            stage: watch::Sender::new(Stage::Serving),
            leaving: watch::Sender::new(false),
            draining: watch::Sender::new(false),
            lasting: AtomicUsize::new(0),
        }))
    }
}

impl Ending {
    /// Goes on to a stage, unless it is further already.
    pub(crate) fn advance(&self, stage: Stage) {
        let shared = &self.0;
        shared.reached.fetch_max(stage as u8, Ordering::AcqRel);
        shared.leaving.send_if_modified(|leaving| !std::mem::replace(leaving, stage >= Stage::Leaving));
        if stage >= Stage::Draining {
            shared.draining.send_if_modified(|draining| !std::mem::replace(draining, true));
        }
        shared.stage.send_if_modified(|told| {
            let is_further = *told < stage;
            *told = stage.max(*told);
            is_further
        });
    }

    pub(crate) fn has_reached(&self, stage: Stage) -> bool {
        self.0.reached.load(Ordering::Acquire) >= stage as u8
    }

    /// Resolves once it has come so far.
    pub(crate) async fn reached(&self, stage: Stage) {
        // The sender lives as long as this does.
        let _ = self.0.stage.subscribe().wait_for(|told| *told >= stage).await;
    }

    /// Wakes whoever polls it on every change of the stage.
    pub(crate) fn changes(&self) -> impl Future<Output = Infallible> + use<> {
        let mut stage = self.0.stage.subscribe();
        async move {
            while stage.changed().await.is_ok() {}
            pending().await
        }
    }

    /// Turns true when clients are to come back elsewhere.
    pub(crate) fn leaving(&self) -> watch::Receiver<bool> {
        self.0.leaving.subscribe()
    }

    /// Turns true when nobody is accepted any more.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.0.draining.subscribe()
    }

    /// Resolves when a client that has said nothing is not waited for any longer, since it would hold a drain up. One
    /// that was `accepted` only now has a moment, since what it says is on its way.
    pub(crate) async fn gives_up(&self, accepted: Instant) {
        self.reached(Stage::Draining).await;
        sleep_until((accepted + FIRST_BYTES).max(Instant::now() + LAST_LOOK)).await;
    }

    /// Counts a request that goes on for as long as its client likes.
    pub(crate) fn begin_lasting(&self) -> Lasting {
        self.0.lasting.fetch_add(1, Ordering::AcqRel);
        Lasting(self.0.clone())
    }

    /// How many go on.
    pub(crate) fn lasting(&self) -> usize {
        self.0.lasting.load(Ordering::Acquire)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.lasting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl From<BrokenOff> for io::Error {
    fn from(broken: BrokenOff) -> Self {
        Self::other(broken)
    }
}

impl BrokenOff {
    /// Whether this is it.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn stages_only_go_on_and_everybody_learns_of_them() {
        let ending = Ending::default();
        let (leaving, draining) = (ending.leaving(), ending.draining());
        let told = || (*leaving.borrow(), *draining.borrow());
        assert_eq!(told(), (false, false));
        assert!(ending.reached(Stage::Leaving).now_or_never().is_none());
        ending.advance(Stage::Leaving);
        assert_eq!(told(), (true, false));
        ending.reached(Stage::Leaving).await;
        ending.advance(Stage::RequestsCut);
        ending.advance(Stage::Leaving);
        assert_eq!(told(), (true, true));
        ending.reached(Stage::RequestsCut).await;
        assert!(ending.has_reached(Stage::Draining) && !ending.has_reached(Stage::AllCut));
        assert!(ending.reached(Stage::AllCut).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_a_moment_for_its_first_bytes() {
        let ending = Ending::default();
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(60)).await;
        let now = Instant::now();
        ending.advance(Stage::Draining);
        ending.gives_up(begun).await;
        assert!(now.elapsed() < FIRST_BYTES / 2);
        ending.gives_up(now).await;
        assert!(now.elapsed() >= FIRST_BYTES);
    }

    #[test]
    fn what_lasts_is_counted_until_it_ends() {
        let ending = Ending::default();
        let (one, other) = (ending.begin_lasting(), ending.begin_lasting());
        assert_eq!(ending.lasting(), 2);
        drop((one, other));
        assert_eq!(ending.lasting(), 0);
    }
}
