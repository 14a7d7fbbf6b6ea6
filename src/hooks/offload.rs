use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

/// So many wait for a core at most; whoever comes then is told so.
const MOST_WAITING: usize = 256;

/// There is more work for the processor than it can do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits for the processor")]
pub struct Overloaded;

/// The places of work that runs, and of all that runs or waits.
struct Places {
    running: Semaphore,
    all: Semaphore,
}

/// Half of the cores, so that the worker threads keep the other half.
static PLACES: LazyLock<Places> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let running = (cores / 2).max(1);
    Places { running: Semaphore::new(running), all: Semaphore::new(running + MOST_WAITING) }
});

/// Does work that takes the processor for longer than some microseconds, such as the check of a password, on another thread,
/// so that no other request waits for it. At most half of the cores do such work; 256 more wait for them.
///
/// Work that has begun is done, also when nobody waits for it any more.
///
/// # Errors
/// When so much waits already. A filter refuses its request then.
///
/// # Panics
/// When the work does.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Overloaded> {
    let _place = PLACES.all.try_acquire().map_err(|_| Overloaded)?;
    let running = PLACES.running.acquire().await.map_err(|_| Overloaded)?;
    let working = tokio::task::spawn_blocking(move || {
        // Until it is done, whoever waits for it.
        let _running = running;
        work()
    });
    match working.await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends.
            Err(_) => Err(Overloaded),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere() {
        let here = std::thread::current().id();
        let there = offload(move || std::thread::current().id()).await.unwrap();
        assert_ne!(here, there);
        let panics = std::panic::AssertUnwindSafe(offload(|| panic!("told"))).catch_unwind().await;
        assert_eq!(*panics.unwrap_err().downcast::<&str>().unwrap(), "told");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_place() {
        let (end, ended) = mpsc::sync_channel::<()>(1);
        let before = PLACES.running.available_permits();
        let abandoned = offload(move || ended.recv()).now_or_never();
        assert!(abandoned.is_none());
        drop(end);
        while PLACES.running.available_permits() < before {
            tokio::task::yield_now().await;
        }
    }
}
