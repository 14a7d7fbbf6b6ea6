use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Collector, ExportCounts, Span};

/// Spans on their way from requests to whoever sends them.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the one who sends.
    wake: Notify,
    counts: ExportCounts,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Spans that wait, and those of the batch that is being sent.
    spans: usize,
    /// Whether nothing is to wait any longer.
    is_flushing: bool,
    /// Whether nothing more comes.
    is_closed: bool,
}

/// The spans of one request.
struct Waiting {
    collector: Arc<Collector>,
    spans: Vec<Span>,
    since: Instant,
}

/// What is sent at once.
pub(super) struct Batch {
    pub(super) collector: Arc<Collector>,
    pub(super) spans: Vec<Span>,
}

/// So many spans are sent at once; more only if they are of one request.
const BATCH: usize = 512;

impl Queue {
    /// Takes spans in, if there is room for all of them: a part of a trace would tell of a request what is not so.
    pub(super) fn push(&self, collector: &Arc<Collector>, spans: Vec<Span>, now: Instant) {
        let mut state = self.state.lock();
        if state.spans + spans.len() > collector.settings().max_queue {
            drop(state);
            return self.drop_spans(spans.len());
        }
        let is_first = state.waiting.is_empty();
        let had_batch = state.has_batch();
        state.spans += spans.len();
        state.waiting.push_back(Waiting { collector: collector.clone(), spans, since: now });
        if is_first || !had_batch && state.has_batch() {
            drop(state);
            self.wake.notify_one();
        }
    }

    pub(super) fn drop_spans(&self, count: usize) {
        self.counts.dropped.add(count as u64);
    }

    pub(super) fn counts(&self) -> &ExportCounts {
        &self.counts
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().spans
    }

    /// Has all that waits sent now, or dropped where that cannot be.
    pub(super) fn flush(&self) {
        let mut state = self.state.lock();
        state.is_flushing = !state.is_empty();
        drop(state);
        self.wake.notify_one();
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_one();
    }

    /// Waits for the next spans that are to be sent; `None` after the last ones.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            let due = {
                let mut state = self.state.lock();
                match state.due() {
                    None if state.is_closed => return None,
                    Some(due) if due <= Instant::now() => return state.take(),
                    due => due,
                }
            };
            match due {
                Some(due) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep_until(due) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    /// Says that this many spans are no longer on their way.
    pub(super) fn done(&self, spans: usize) {
        let mut state = self.state.lock();
        state.spans -= spans;
        state.is_flushing &= !state.is_empty();
    }

    /// Waits before spans are sent again. Returns whether they are to be: not when the process ends, and not when others wait
    /// that go elsewhere, since theirs is the collector that is asked for now.
    pub(super) async fn rest(&self, collector: &Arc<Collector>, until: Instant) -> bool {
        loop {
            if self.state.lock().gives_up(collector) {
                return false;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(until) => return true,
            }
        }
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.spans == 0
    }

    /// Whether there is enough for one request.
    fn has_batch(&self) -> bool {
        let same = match (self.waiting.front(), self.waiting.back()) {
            (Some(front), Some(back)) => Arc::ptr_eq(&front.collector, &back.collector),
            _ => return false,
        };
        !same || self.spans >= BATCH
    }

    /// When the next batch is to be sent; `None` while there is none.
    fn due(&self) -> Option<Instant> {
        let front = self.waiting.front()?;
        if self.has_batch() || self.is_flushing || self.is_closed {
            return Some(front.since);
        }
        Some(front.since + front.collector.settings().every.get())
    }

    fn take(&mut self) -> Option<Batch> {
        let Waiting { collector, mut spans, .. } = self.waiting.pop_front()?;
        while let Some(next) = self.waiting.front()
            && Arc::ptr_eq(&next.collector, &collector)
            && spans.len() + next.spans.len() <= BATCH
        {
            spans.extend(self.waiting.pop_front().into_iter().flat_map(|next| next.spans));
        }
        Some(Batch { collector, spans })
    }

    fn gives_up(&self, collector: &Arc<Collector>) -> bool {
        let is_former = self.waiting.back().is_some_and(|last| !Arc::ptr_eq(&last.collector, collector));
        self.is_flushing || self.is_closed || is_former
    }
}
