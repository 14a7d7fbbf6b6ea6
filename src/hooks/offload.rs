use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::turns::{Asked, LineId, Turns};

/// So many wait in a line for a core at most; whoever comes then is told so.
const MOST_WAITING: usize = 256;

/// There is more work for the processor than it can do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits for the processor")]
pub struct Overloaded;

/// A line of a hook's own for work that takes the processor for longer than some microseconds, such as the check of a password:
/// it is done on another thread, so that no other request waits for it. At most half of the cores do such work. Where all are
/// busy, up to 256 wait in each line, and the line comes next that has had the least of their time. Clones are the same line.
#[derive(Clone)]
pub struct Offload(Arc<Line>);

struct Line {
    id: LineId,
    places: Arc<Places>,
}

type Places = Mutex<Turns<oneshot::Sender<Place>>>;

/// Where work runs, until it is done.
struct Place {
    /// Of its line.
    id: LineId,
    places: Arc<Places>,
    charged: Duration,
    begun: Instant,
}

/// Half of the cores, so that the worker threads keep the other half.
static PLACES: LazyLock<Arc<Places>> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    Arc::new(Mutex::new(Turns::new((cores / 2).max(1), MOST_WAITING)))
});

impl Offload {
    /// A line in which nobody waits.
    pub fn new() -> Self {
        Self::at(&PLACES)
    }

    fn at(places: &Arc<Places>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Line { id: NEXT.fetch_add(1, Ordering::Relaxed), places: places.clone() }))
    }

    /// Does the work when it is the line's turn. Work that has begun is done, also when nobody waits for it any more.
    ///
    /// # Errors
    /// When so much waits already. A filter refuses its request then.
    ///
    /// # Panics
    /// When the work does.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let place = self.place().await?;
        let working = tokio::task::spawn_blocking(move || {
            // Until it is done, whoever waits for it.
            let _place = place;
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

    async fn place(&self) -> Result<Place, Overloaded> {
        let line = &self.0;
        let (sender, waits) = oneshot::channel();
        let asked = line.places.lock().ask(line.id, sender, oneshot::Sender::is_closed);
        match asked {
            Asked::Place(charged) => Ok(Place::new(line.id, &line.places, charged)),
            Asked::Waits => waits.await.map_err(|_| Overloaded),
            Asked::Refused => Err(Overloaded),
        }
    }
}

impl Place {
    fn new(id: LineId, places: &Arc<Places>, charged: Duration) -> Self {
        Self { id, places: places.clone(), charged, begun: Instant::now() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let mut turns = self.places.lock();
        let next = turns.give_back(self.id, self.charged, took, oneshot::Sender::is_closed);
        drop(turns);
        if let Some((id, next, charged)) = next {
            // Given back at once where nobody waits for it any more.
            drop(next.send(Self::new(id, &self.places, charged)));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.places.lock().forget(self.id);
    }
}

impl Default for Offload {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload").finish_non_exhaustive()
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
        let line = Offload::new();
        let there = line.run(move || std::thread::current().id()).await.unwrap();
        assert_ne!(here, there);
        let panics = std::panic::AssertUnwindSafe(line.run(|| panic!("told"))).catch_unwind().await;
        assert_eq!(*panics.unwrap_err().downcast::<&str>().unwrap(), "told");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_place() {
        let places = Arc::new(Mutex::new(Turns::new(1, MOST_WAITING)));
        let line = Offload::at(&places);
        let (end, ended) = mpsc::sync_channel::<()>(1);
        assert!(line.run(move || ended.recv()).now_or_never().is_none());
        let next = line.run(|| ());
        tokio::pin!(next);
        assert!((&mut next).now_or_never().is_none());
        // Somebody who leaves the line keeps nobody up.
        assert!(line.run(|| panic!("nobody waits")).now_or_never().is_none());
        drop(end);
        assert_eq!(next.await, Ok(()));
        assert_eq!(line.run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_full_line_is_nobody_elses() {
        let places = Arc::new(Mutex::new(Turns::new(1, 2)));
        let [flooded, other] = [(); 2].map(|()| Offload::at(&places));
        let (end, ended) = mpsc::sync_channel::<()>(1);
        assert!(flooded.run(move || ended.recv()).now_or_never().is_none());
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(flooded.run(|| ()))).collect();
        assert!(waiting.iter_mut().all(|waits| waits.now_or_never().is_none()));
        assert_eq!(flooded.run(|| ()).await, Err(Overloaded));
        let there = other.run(|| 1);
        tokio::pin!(there);
        assert!((&mut there).now_or_never().is_none());
        drop(end);
        assert_eq!(there.await, Ok(1));
        for waits in waiting {
            assert_eq!(waits.await, Ok(()));
        }
    }
}
