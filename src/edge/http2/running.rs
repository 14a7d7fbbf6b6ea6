use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::{Duration, sleep};

/// The requests of a connection that are being served. They are not its streams: a stream that the client resets is
/// gone at once, and what runs for it a little later.
#[derive(Debug)]
pub(super) struct Running {
    count: AtomicUsize,
    most: usize,
    ended: Notify,
}

/// One of them, counted until this is dropped.
pub(super) struct Run(Arc<Running>);

impl Running {
    /// Room for so many; one more may begin when the last room was found free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), most, ended: Notify::new() })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Run {
        self.count.fetch_add(1, Ordering::AcqRel);
        Run(self.clone())
    }

    pub(super) fn is_full(&self) -> bool {
        self.count.load(Ordering::Acquire) >= self.most
    }

    /// Resolves once fewer run than may.
    pub(super) async fn has_room(&self) {
        while self.is_full() {
            self.ended.notified().await;
        }
    }

    /// Resolves once nothing has run for `idle`. Dropped and made anew with every accepted request.
    pub(super) async fn rests_for(&self, idle: Duration) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.ended.notified().await;
        }
        sleep(idle).await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let before = self.0.count.fetch_sub(1, Ordering::AcqRel);
        if before == 1 || before == self.0.most {
            self.0.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_and_rest_come_with_the_ends_of_runs() {
        let running = Running::new(2);
        let first = running.begin();
        assert!(!running.is_full());
        let second = running.begin();
        assert!(running.is_full());
        assert!(running.has_room().now_or_never().is_none());
        drop(first);
        running.has_room().await;
        let idle = Duration::from_secs(5);
        assert!(running.rests_for(idle).now_or_never().is_none());
        drop(second);
        running.rests_for(idle).await;
    }
}
