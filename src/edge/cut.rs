//! How requests end that a drain has no more time for.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::{Duration, timeout};

use crate::runtime::{Connection, Stage, StageWatch};

/// How long a request that was broken off may take to end: to answer, to be logged, and to have its client take note.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A request as far as its end is concerned.
pub(super) trait Breakable {
    /// Whether it goes on for as long as its client likes.
    fn is_lasting(&self) -> bool;

    /// Has its reads fail, and those of its writes that would wait. It learns so when its task is polled next.
    fn break_off(&self);
}

impl Breakable for Connection {
    fn is_lasting(&self) -> bool {
        self.is_lasting()
    }

    fn break_off(&self) {
        self.break_off();
    }
}

/// Serves a request to its end. One that has to end before is broken off; `None` if not even that ended it.
pub(super) async fn serve<T>(
    stages: &mut StageWatch,
    request: &impl Breakable,
    served: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(served);
    let ended = poll_fn(|cx| {
        stages.look(cx);
        if has_to_end(stages, request) {
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

fn has_to_end(stages: &StageWatch, request: &impl Breakable) -> bool {
    stages.has_reached(Stage::AllCut) || (stages.has_reached(Stage::RequestsCut) && !request.is_lasting())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::FutureExt;

    use crate::runtime::Ending;

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
        let (mut one, mut other) = (StageWatch::new(&ending), StageWatch::new(&ending));
        let mut of_short = Box::pin(serve(&mut one, &short, short.served()));
        let mut of_lasting = Box::pin(serve(&mut other, &lasting, lasting.served()));
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
                serve(&mut StageWatch::new(&told), &request, request.served()).await
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
        let deaf =
            async move { serve(&mut StageWatch::new(&told), &request, std::future::pending::<()>()).await };
        let (ended, ()) = tokio::join!(deaf, async {
            tokio::task::yield_now().await;
            ending.advance(Stage::Leaving);
            tokio::task::yield_now().await;
            ending.advance(Stage::RequestsCut);
        });
        assert_eq!(ended, None);
    }
}
