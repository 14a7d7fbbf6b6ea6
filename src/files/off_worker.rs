use std::io;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many files are waited for at once, whatever the number of requests: more would only have a disk seek.
static DISK: Semaphore = Semaphore::const_new(64);

/// Runs what may wait for a disk where no worker thread waits with it.
pub(super) async fn off_worker<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let permit = DISK.acquire().await.map_err(io::Error::other)?;
    let run = move || {
        let _permit = permit;
        work()
    };
    spawn_blocking(run).await.map_err(io::Error::other)?
}
