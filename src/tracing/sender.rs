use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::types::{Rarely, jittered, with_random};

use super::Collector;
use super::collector::{Next, NotTaken};
use super::queue::{Batch, Queue};

/// When spans are sent again after a first failure, and after many.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sends what comes, until nothing more does.
pub(super) async fn send_all(queue: &Queue) {
    let mut sender = Sender { queue, failing: None, overload: Rarely::default(), told: 0 };
    while let Some(Batch { collector, spans }) = queue.next().await {
        let count = spans.len();
        let body = collector.body(spans);
        sender.send(&collector, &body, count as u64).await;
        queue.done(count);
    }
}

struct Sender<'a> {
    queue: &'a Queue,
    /// Spans that were dropped before the collector failed, while it does.
    failing: Option<u64>,
    /// Tells of spans that did not fit while it took others.
    overload: Rarely,
    /// Dropped spans that were told of.
    told: u64,
}

impl Sender<'_> {
    /// Sends one body until the collector has taken it, or does not want it, or nobody wants it any more.
    async fn send(&mut self, collector: &Arc<Collector>, body: &Bytes, count: u64) {
        let mut failures = 0;
        loop {
            let error = match collector.send(body.clone()).await {
                Ok(refused) => return self.has_sent(collector, count, refused),
                Err(error) => error,
            };
            failures += 1;
            self.has_failed(collector, &error);
            let is_sent_again = match error.next {
                Next::Drop => false,
                Next::SendAgain(asked) => {
                    let pause = with_random(|random| jittered(pause(failures, asked), random));
                    self.queue.rest(collector, Instant::now() + pause).await
                }
            };
            if !is_sent_again {
                return self.queue.counts().dropped.add(count);
            }
        }
    }

    fn has_sent(&mut self, collector: &Collector, count: u64, refused: u64) {
        let counts = self.queue.counts();
        let refused = refused.min(count);
        counts.exported.add(count - refused);
        counts.dropped.add(refused);
        let dropped = counts.dropped.get();
        if let Some(before) = self.failing.take() {
            self.told = dropped;
            log::info!("spans are exported again collector={collector} dropped={}", dropped - before);
        } else if dropped > self.told && self.overload.may_tell(Instant::now()) {
            log::warn!("spans were dropped collector={collector} spans={}", dropped - self.told);
            self.told = dropped;
        }
    }

    /// Once, however long it fails.
    fn has_failed(&mut self, collector: &Collector, NotTaken { why, .. }: &NotTaken) {
        let counts = self.queue.counts();
        counts.failures.count();
        if self.failing.is_none() {
            self.failing = Some(counts.dropped.get());
            log::warn!("spans are not exported collector={collector} error={why:?}");
        }
    }
}

/// Twice as long after each failure, and as long as the collector wants it, within bounds.
fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(10));
    pause.max(asked.unwrap_or_default()).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
