use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::health::Health;

/// The threads that wait for the disk of a cache, in place of those that serve.
#[derive(Debug)]
pub(super) struct Workers {
    health: Arc<Health>,
    permits: Arc<Semaphore>,
}

/// So many wait for the disk at once.
const MOST: usize = 32;
/// So long a request waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

impl Workers {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self { health, permits: Arc::new(Semaphore::new(MOST)) }
    }

    /// What comes of work for which a request waits; `None` when it failed or takes too long, which has been told then.
    pub(super) async fn run_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it takes too long");
        let result = timeout(PATIENCE, self.attempt(work)).await.unwrap_or_else(|_| Err(late()));
        self.told(result)
    }

    /// What comes of work that nobody waits for; `None` when it failed, which has been told then.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        self.told(self.attempt(work).await)
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

    fn told<T>(&self, result: io::Result<T>) -> Option<T> {
        match &result {
            Ok(_) => self.health.works(),
            Err(error) => self.health.failed(error),
        }
        result.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_disk_that_hangs() {
        let health = Arc::new(Health::new(PathBuf::new()));
        let workers = Workers::new(health.clone());
        assert_eq!(workers.run_soon(|| Ok(1)).await, Some(1));
        assert!(!health.rests());
        let (end, hanging) = sync_channel::<()>(0);
        let hangs = move || hanging.recv().map_err(io::Error::other);
        assert_eq!(workers.run_soon(hangs).await, None);
        assert!(health.rests());
        assert_eq!(workers.permits.available_permits(), MOST - 1, "the thread waits on");
        drop(end);
    }
}
