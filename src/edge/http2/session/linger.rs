use h2::RecvStream;
use tokio::runtime::Handle;
use tokio::time::{Duration, Instant, timeout_at};

use super::super::running::Run;

/// So long after the whole answer its client may go on with the request; then the stream is reset.
pub(super) const LONGEST: Duration = Duration::from_secs(1);
/// So much later whoever still serves the request is stopped.
pub(super) const EXTRA: Duration = Duration::from_millis(500);
/// So much of it is taken; beyond that its window stays shut.
const MOST: usize = 256 * 1024;

/// Throws the rest of a request away whose answer ended then. By a task of its own, since few requests come to this.
pub(super) fn spawn(stream: RecvStream, ended: Instant, run: Run) {
    let until = ended + LONGEST;
    // Without a runtime everything ends.
    if Instant::now() < until
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn(async move {
            let _run = run;
            // Then the h2 crate resets the stream, if its client has not ended it, with NO_ERROR.
            let _ = timeout_at(until, discard(stream)).await;
        });
    }
}

async fn discard(mut stream: RecvStream) {
    let mut taken = 0;
    while let Some(Ok(piece)) = stream.data().await {
        taken += piece.len();
        if taken <= MOST {
            let _ = stream.flow_control().release_capacity(piece.len());
        }
    }
}
