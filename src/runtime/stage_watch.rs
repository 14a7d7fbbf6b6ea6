use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures::task::{ArcWake, AtomicWaker, waker};

use super::{Ending, Stage};

/// Wakes a task when the stage of the end changes, so that it may be polled as often as it likes and look at the stage
/// without a lock.
pub(crate) struct StageWatch {
    ending: Ending,
    changes: Pin<Box<dyn Future<Output = Infallible> + Send>>,
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

impl StageWatch {
    /// A watch for the task that polls it.
    pub(crate) fn new(ending: &Ending) -> Self {
        // The first poll is still to come.
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: AtomicWaker::new() });
        let ringer = waker(bell.clone());
        Self { ending: ending.clone(), changes: Box::pin(ending.changes()), bell, ringer }
    }

    /// Has the task that polls this woken by the next change. That takes a lock only where it may have something to say.
    pub(crate) fn look(&mut self, cx: &Context<'_>) {
        self.bell.task.register(cx.waker());
        while self.bell.has_rung.swap(false, Ordering::AcqRel) {
            // It never ends.
            let _ = self.changes.as_mut().poll(&mut Context::from_waker(&self.ringer));
        }
    }

    pub(crate) fn has_reached(&self, stage: Stage) -> bool {
        self.ending.has_reached(stage)
    }

    /// Resolves once the end has come so far.
    pub(crate) async fn reached(&mut self, stage: Stage) {
        poll_fn(|cx| {
            self.look(cx);
            if self.has_reached(stage) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stage_is_learnt_of_while_it_is_waited_for_and_afterwards() {
        let ending = Ending::default();
        let mut watch = StageWatch::new(&ending);
        let mut waiting = tokio::spawn(async move { watch.reached(Stage::AllCut).await });
        for stage in [Stage::Leaving, Stage::Draining, Stage::RequestsCut] {
            ending.advance(stage);
            tokio::task::yield_now().await;
            assert!((&mut waiting).now_or_never().is_none(), "{stage:?}");
        }
        ending.advance(Stage::AllCut);
        waiting.await.unwrap();
        assert!(StageWatch::new(&ending).reached(Stage::AllCut).now_or_never().is_some());
    }
}
