//! How requests end that a drain has no more time for.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures::task::{ArcWake, AtomicWaker, waker};
use tokio::time::{Duration, timeout};

use crate::runtime::{Connection, Ending, Stage};

/// How long a request that was broken off may take to end: to answer, to be logged, and to have its client take note.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A request as far as its end is concerned.
pub(super) trait Breakable {
    /// Whether it goes on for as long as its client likes.
    fn is_lasting(&self) -> bool;

    /// Has its reads fail, and those of its writes that would wait. It learns so when its task is polled next.
    fn break_off(&self);
}

/// Wakes a task when the stage of the end changes, so that it may serve requests and look at the stage without a lock.
pub(super) struct StageWatch<F> {
    ending: Ending,
    changes: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// The same as a waker.
    ringer: Waker,
}

/// Wakes a task, and tells it that it was this.
struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Self>) {
        bell.has_rung.store(true, Ordering::Release);
        bell.task.wake();
    }
}

impl Breakable for Connection {
    fn is_lasting(&self) -> bool {
        self.is_lasting()
    }

    fn break_off(&self) {
        self.break_off();
    }
}

/// A watch for the task that asks for it.
pub(super) fn watch(ending: &Ending) -> StageWatch<impl Future + use<>> {
    // The first poll is still to come.
    let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: AtomicWaker::new() });
    let ringer = waker(bell.clone());
    StageWatch { ending: ending.clone(), changes: Box::pin(ending.changes()), bell, ringer }
}

impl<F: Future> StageWatch<F> {
    /// Serves a request to its end. One that has to end before is broken off; `None` if not even that ended it.
    pub(super) async fn serve<T>(
        &mut self,
        request: &impl Breakable,
        served: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(served);
        let ended = poll_fn(|cx| {
            self.look(cx);
            if self.has_to_end(request) {
                return Poll::Ready(None);
            }
            served.as_mut().poll(cx).map(Some)
        });
        if let Some(ended) = ended.await {
            return Some(ended);
        }
        request.break_off();
        timeout(LAST_WORDS, served).await.ok()
    }

    /// Polls for the next change, which takes a lock, only where that may have something to say.
    fn look(&mut self, cx: &Context<'_>) {
        self.bell.task.register(cx.waker());
        while self.bell.has_rung.swap(false, Ordering::AcqRel) {
            // It never ends.
            let _ = self.changes.as_mut().poll(&mut Context::from_waker(&self.ringer));
        }
    }

    fn has_to_end(&self, request: &impl Breakable) -> bool {
        let has_reached = |stage| self.ending.has_reached(stage);
        has_reached(Stage::AllCut) || (has_reached(Stage::RequestsCut) && !request.is_lasting())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[derive(Default)]
    struct Request {
        is_lasting: bool,
        is_broken_off: AtomicBool,
    }

    impl Breakable for Request {
        fn is_lasting(&self) -> bool {
            self.is_lasting
        }

        fn break_off(&self) {
            self.is_broken_off.store(true, Ordering::Release);
        }
    }

    impl Request {
        /// Goes on until it is broken off.
        async fn served(&self) {
            let is_over = || self.is_broken_off.load(Ordering::Acquire);
            poll_fn(|_| if is_over() { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_end_first_and_what_lasts_with_everything() {
        let ending = Ending::default();
        let short = Request::default();
        let lasting = Request { is_lasting: true, ..Request::default() };
        let (mut one, mut other) = (watch(&ending), watch(&ending));
        let mut of_short = Box::pin(one.serve(&short, short.served()));
        let mut of_lasting = Box::pin(other.serve(&lasting, lasting.served()));
        for stage in [Stage::Serving, Stage::Leaving, Stage::Draining] {
            ending.advance(stage);
            assert!(of_short.as_mut().now_or_never().is_none(), "{stage:?}");
            assert!(of_lasting.as_mut().now_or_never().is_none(), "{stage:?}");
        }
        ending.advance(Stage::RequestsCut);
        assert_eq!(of_short.await, Some(()));
        assert!(of_lasting.as_mut().now_or_never().is_none());
        ending.advance(Stage::AllCut);
        assert_eq!(of_lasting.await, Some(()));
    }

    /// A change may come while the one before it is looked at.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_change_is_missed_in_a_hurry() {
        for _ in 0..2000 {
            let ending = Ending::default();
            let told = ending.clone();
            let served = tokio::spawn(async move {
                let request = Request::default();
                watch(&told).serve(&request, request.served()).await
            });
            tokio::task::yield_now().await;
            ending.advance(Stage::Leaving);
            ending.advance(Stage::Draining);
            tokio::task::yield_now().await;
            ending.advance(Stage::RequestsCut);
            let ended = timeout(LAST_WORDS, served).await.expect("it was woken").unwrap();
            assert_eq!(ended, Some(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_is_woken_and_one_that_does_not_end_is_left() {
        let ending = Ending::default();
        let (told, request) = (ending.clone(), Request::default());
        let deaf = async move { watch(&told).serve(&request, std::future::pending::<()>()).await };
        let (ended, ()) = tokio::join!(deaf, async {
            tokio::task::yield_now().await;
            ending.advance(Stage::Leaving);
            tokio::task::yield_now().await;
            ending.advance(Stage::RequestsCut);
        });
        assert_eq!(ended, None);
    }
}
