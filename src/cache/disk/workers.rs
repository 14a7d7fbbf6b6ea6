use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::types::Rarely;

/// The threads that wait for the disk of a cache, in place of those that serve. A disk that fails is left alone for a while.
#[derive(Debug)]
pub(super) struct Workers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    /// Until then it is left alone.
    rest: Mutex<Option<Instant>>,
    told: Rarely,
}

/// So many wait for the disk at once.
const MOST: usize = 32;
/// So long a request waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long a disk that has failed is left alone.
pub(super) const REST: Duration = Duration::from_secs(30);

impl Workers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            permits: Arc::new(Semaphore::new(MOST)),
            rest: Mutex::default(),
            told: Rarely::default(),
        }
    }

    pub(super) fn rests(&self) -> bool {
        let rest = *self.rest.lock();
        rest.is_some_and(|until| Instant::now() < until)
    }

    /// What comes of work for which a request waits; `None` when it failed or takes too long, which has been told then.
    pub(super) async fn run_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it takes too long");
        let result = timeout(PATIENCE, self.attempt(work)).await.unwrap_or_else(|_| Err(late()));
        result.inspect_err(|error| self.tell(error)).ok()
    }

    /// What comes of work that nobody waits for; `None` when it failed, which has been told then.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        self.attempt(work).await.inspect_err(|error| self.tell(error)).ok()
    }

    async fn attempt<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // Given back when the work is done, also where nobody waits for it any more: a disk that hangs keeps no more threads.
        let permit = self.permits.clone().acquire_owned().await.map_err(io::Error::other)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        spawn_blocking(work).await.map_err(io::Error::other)?
    }

    pub(super) fn tell(&self, error: &io::Error) {
        let now = Instant::now();
        *self.rest.lock() = Some(now + REST);
        if self.told.may_tell(now) {
            log::error!(
                "cache does without its disk for {} s path={} error={error:?}",
                REST.as_secs(),
                self.path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_fails_is_left_alone_for_a_while() {
        let workers = Workers::new(PathBuf::new());
        assert_eq!(workers.run_soon(|| Ok(1)).await, Some(1));
        assert!(!workers.rests());
        let full = || Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(workers.run(full).await, None);
        assert!(workers.rests());
        advance(REST).await;
        assert!(!workers.rests());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_disk_that_hangs() {
        let workers = Workers::new(PathBuf::new());
        let (end, hanging) = sync_channel::<()>(0);
        let hangs = move || hanging.recv().map_err(io::Error::other);
        assert_eq!(workers.run_soon(hangs).await, None);
        assert!(workers.rests());
        assert_eq!(workers.permits.available_permits(), MOST - 1, "the thread waits on");
        drop(end);
    }
}
