use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::Queue;
use super::sender::send_all;
use super::{Collector, ExportCounts, Span};

/// Sends spans from a thread of its own. One for all configurations that follow each other, so that what one has recorded
/// still gets where it is to go.
///
/// The thread begins with the first span, and ends with what waits then when this is dropped.
#[derive(Default)]
pub(crate) struct Exporter {
    queue: Arc<Queue>,
    /// None until there are spans.
    thread: Mutex<Option<Started>>,
}

/// Whether there is somebody to send spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    Running,
    Failed,
}

impl Exporter {
    pub(super) fn export(&self, collector: &Arc<Collector>, spans: Vec<Span>, now: Instant) {
        if self.start() == Started::Running {
            self.queue.push(collector, spans, now);
        } else {
            self.queue.drop_spans(spans.len());
        }
    }

    pub(crate) fn counts(&self) -> &ExportCounts {
        self.queue.counts()
    }

    /// How many spans wait, or are on their way.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Waits until all spans are sent, at most `limit`; each collector is asked once more, and no longer waited for after that.
    /// Blocks its thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        self.queue.flush();
        crate::telemetry::wait_until(limit, || self.queue.len() == 0);
        match self.queue.len() {
            0 => {}
            spans => log::warn!("spans were not exported in time spans={spans}"),
        }
    }

    fn start(&self) -> Started {
        *self.thread.lock().get_or_insert_with(|| {
            let queue = self.queue.clone();
            let named = thread::Builder::new().name("evener-spans".to_owned());
            match named.spawn(move || run(&queue)) {
                Ok(_) => Started::Running,
                Err(error) => {
                    log::error!("no spans are exported, since no thread can be started error={error:?}");
                    Started::Failed
                }
            }
        })
    }
}

/// Sends spans until nobody can hand over any.
fn run(queue: &Queue) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(send_all(queue)),
        Err(error) => log::error!("no spans are exported error={error:?}"),
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("counts", self.counts()).finish_non_exhaustive()
    }
}
