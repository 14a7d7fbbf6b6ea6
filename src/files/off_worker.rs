use std::io;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// So many files are waited for at once, whatever the number of requests: more would only have a disk seek.
const PLACES: usize = 64;
static DISK: Semaphore = Semaphore::const_new(PLACES);

/// How long a disk is waited for, with the wait for others that wait for it. A server of files that is gone may hold on to
/// who asks for as long as it likes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs what may wait for a disk where no worker thread waits with it.
///
/// # Errors
/// Those of `work`, and [`io::ErrorKind::TimedOut`] when it has not ended in time; it goes on then, and takes up its place.
pub(super) async fn off_worker<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = async {
        let permit = DISK.acquire().await.map_err(io::Error::other)?;
        let run = move || {
            let _permit = permit;
            work()
        };
        spawn_blocking(run).await.map_err(io::Error::other)?
    };
    timeout(PATIENCE, done).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Has whoever needs a disk wait until this is dropped, as one that hangs does.
#[cfg(test)]
pub(super) async fn hang() -> tokio::sync::SemaphorePermit<'static> {
    DISK.acquire_many(PLACES as u32).await.unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_not_waited_for_forever() {
        let hanging = hang().await;
        assert_eq!(off_worker(|| Ok(())).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(hanging);
        assert_eq!(off_worker(|| Ok(7)).await.unwrap(), 7);
    }
}
