use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::iter::successors;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

/// How far the end has come. Each stage goes beyond the one before it.
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

/// The end of the process, or that of what it has accepted by a listener that goes, as listeners, connections and requests
/// learn of it. Clones are one and the same.
#[derive(Clone, Debug)]
pub(crate) struct Ending(Arc<Shared>);

/// The same for somebody who does not want to count as one of those whom it is about.
#[derive(Debug)]
pub(crate) struct WeakEnding {
    shared: Weak<Shared>,
    /// Is closed once nobody is left.
    stage: watch::Receiver<Stage>,
}

#[derive(Debug)]
struct Shared {
    /// That of the process, for a listener's. What it has come to, this one has, too.
    parent: Option<Ending>,
    own: Mutex<Own>,
    /// The stage, to be read without a lock. It is there before the channels tell it.
    reached: AtomicU8,
    stage: watch::Sender<Stage>,
    /// For those who know nothing of stages.
    leaving: watch::Sender<bool>,
    draining: watch::Sender<bool>,
    lasting: AtomicUsize,
}

/// Held while a stage is told, so that everybody hears of the stages in their order.
#[derive(Debug)]
struct Own {
    /// How far this has come, whatever its parent has.
    stage: Stage,
    children: Vec<Weak<Shared>>,
}

/// One of the requests that are counted as lasting, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lasting(Ending);

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
        Self::new(None)
    }
}

impl Ending {
    fn new(parent: Option<Self>) -> Self {
        Self(Arc::new(Shared {
            parent,
            own: Mutex::new(Own { stage: Stage::Serving, children: Vec::new() }),
            reached: AtomicU8::new(Stage::Serving as u8),
            stage: watch::Sender::new(Stage::Serving),
            leaving: watch::Sender::new(false),
            draining: watch::Sender::new(false),
            lasting: AtomicUsize::new(0),
        }))
    }

    /// One that may come before this one. Whatever stage this one reaches or goes back from, the other does, too.
    pub(crate) fn child(&self) -> Self {
        let child = Self::new(Some(self.clone()));
        let mut own = self.0.own.lock();
        own.children.retain(|child| child.strong_count() > 0);
        own.children.push(Arc::downgrade(&child.0));
        child.0.tell(self.stage());
        child
    }

    /// Goes on to a stage, unless it is further already.
    pub(crate) fn advance(&self, stage: Stage) {
        self.change(|own| stage.max(own));
    }

    /// Goes back to serving, whatever was begun: clients are accepted and served as before. What was told to end by then
    /// ends all the same.
    pub(crate) fn resume(&self) {
        self.change(|_| Stage::Serving);
    }

    fn change(&self, change: impl FnOnce(Stage) -> Stage) {
        // Those of both are always taken in this order, and nothing is told of a parent's stage that is not so any more.
        let parent = self.0.parent.as_ref().map(|parent| (parent.0.own.lock(), parent.stage()));
        let mut own = self.0.own.lock();
        own.stage = change(own.stage);
        self.0.tell(parent.map_or(own.stage, |(_, parent)| parent.max(own.stage)));
        let stage = self.stage();
        for child in own.children.iter().filter_map(Weak::upgrade) {
            let of_child = child.own.lock().stage;
            child.tell(stage.max(of_child));
        }
    }

    fn stage(&self) -> Stage {
        *self.0.stage.borrow()
    }

    /// The same, without being one of those whom it is about.
    pub(crate) fn downgrade(&self) -> WeakEnding {
        WeakEnding { shared: Arc::downgrade(&self.0), stage: self.0.stage.subscribe() }
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
        for one in self.lineage() {
            one.0.lasting.fetch_add(1, Ordering::AcqRel);
        }
        Lasting(self.clone())
    }

    /// This one and those that it is a part of.
    fn lineage(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |one| one.0.parent.as_ref())
    }

    /// How many go on.
    pub(crate) fn lasting(&self) -> usize {
        self.0.lasting.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Has everybody know the stage.
    fn tell(&self, stage: Stage) {
        let set = |channel: &watch::Sender<bool>, is_so| {
            channel.send_if_modified(|told| std::mem::replace(told, is_so) != is_so);
        };
        self.reached.store(stage as u8, Ordering::Release);
        set(&self.leaving, stage >= Stage::Leaving);
        set(&self.draining, stage >= Stage::Draining);
        self.stage.send_if_modified(|told| std::mem::replace(told, stage) != stage);
    }
}

impl WeakEnding {
    /// Goes on to a stage; `false` if nobody is left whom that is about.
    pub(crate) fn advance(&self, stage: Stage) -> bool {
        let ending = self.shared.upgrade().map(Ending);
        ending.is_some_and(|ending| {
            ending.advance(stage);
            true
        })
    }

    /// Resolves once it has come so far, or nobody is left.
    pub(crate) async fn reached(&mut self, stage: Stage) {
        // An error tells that nobody is.
        let _ = self.stage.wait_for(|told| *told >= stage).await;
    }

    /// Resolves once nobody is left.
    pub(crate) async fn over(&mut self) {
        while self.stage.changed().await.is_ok() {}
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        for one in self.0.lineage() {
            one.0.lasting.fetch_sub(1, Ordering::AcqRel);
        }
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

    #[tokio::test]
    async fn a_listeners_end_comes_with_that_of_the_process_or_before_it() {
        let process = Ending::default();
        let (one, other) = (process.child(), process.child());
        let stages = || [&process, &one, &other].map(Ending::stage);
        one.advance(Stage::Draining);
        assert_eq!(stages(), [Stage::Serving, Stage::Draining, Stage::Serving]);
        process.advance(Stage::Leaving);
        assert_eq!(stages(), [Stage::Leaving, Stage::Draining, Stage::Leaving]);
        assert!(*other.leaving().borrow() && !*other.draining().borrow());
        process.advance(Stage::RequestsCut);
        assert_eq!(stages(), [Stage::RequestsCut; 3]);
        assert_eq!(process.child().stage(), Stage::RequestsCut);
    }

    #[tokio::test]
    async fn the_end_of_the_process_is_taken_back_but_not_that_of_a_listener_that_went() {
        let process = Ending::default();
        let (gone, there) = (process.child(), process.child());
        let (leaving, draining) = (there.leaving(), there.draining());
        gone.advance(Stage::Draining);
        process.advance(Stage::Draining);
        assert_eq!((*leaving.borrow(), *draining.borrow()), (true, true));
        process.resume();
        assert_eq!(
            [&process, &gone, &there].map(Ending::stage),
            [Stage::Serving, Stage::Draining, Stage::Serving]
        );
        assert_eq!((*leaving.borrow(), *draining.borrow()), (false, false));
        assert!(!there.has_reached(Stage::Leaving) && gone.has_reached(Stage::Draining));
        process.advance(Stage::AllCut);
        assert!(there.has_reached(Stage::AllCut) && gone.has_reached(Stage::AllCut));
    }

    #[tokio::test]
    async fn it_is_known_when_nobody_is_left_whom_an_end_is_about() {
        let process = Ending::default();
        let ending = process.child();
        let mut weak = ending.downgrade();
        assert!(weak.over().now_or_never().is_none());
        assert!(weak.advance(Stage::Draining));
        assert!(weak.over().now_or_never().is_none());
        let lasting = ending.begin_lasting();
        drop(ending);
        assert!(weak.over().now_or_never().is_none());
        drop(lasting);
        weak.over().await;
        assert!(!weak.advance(Stage::AllCut));
        drop(process.child());
        assert_eq!(process.0.own.lock().children.len(), 1);
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
        let child = ending.child();
        let of_child = child.begin_lasting();
        assert_eq!((ending.lasting(), child.lasting()), (3, 1));
        drop((one, other));
        assert_eq!((ending.lasting(), child.lasting()), (1, 1));
        drop(of_child);
        assert_eq!((ending.lasting(), child.lasting()), (0, 0));
    }
}
