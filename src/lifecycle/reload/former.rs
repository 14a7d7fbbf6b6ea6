use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often it is looked whether somebody still has what was replaced.
const LOOK: Duration = Duration::from_secs(1);

/// Frees what was replaced once nobody else has it. The last request would do so otherwise, and thousands of routes take
/// milliseconds, in which its thread serves nobody.
pub(super) async fn free<T: Send + Sync + 'static>(former: Arc<T>) {
    while Arc::strong_count(&former) > 1 {
        sleep(LOOK).await;
    }
    // An error here means that the process ends.
    let _ = spawn_blocking(move || drop(former)).await;
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use parking_lot::Mutex;
    use tokio::time::Instant;

    use super::*;

    /// Tells which thread drops it.
    struct Told(Arc<Mutex<Option<ThreadId>>>);

    impl Drop for Told {
        fn drop(&mut self) {
            *self.0.lock() = Some(thread::current().id());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_replaced_is_freed_after_its_last_request_and_not_by_it() {
        let dropped_by = Arc::new(Mutex::new(None));
        let former = Arc::new(Told(dropped_by.clone()));
        let begun = Instant::now();
        let request = former.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(2500)).await;
            drop(request);
        });
        free(former).await;
        assert!(begun.elapsed() >= Duration::from_millis(2500));
        let thread = dropped_by.lock().take();
        assert!(thread.is_some_and(|thread| thread != thread::current().id()));
    }
}
