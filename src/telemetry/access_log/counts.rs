use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::types::Counter;

/// What became of the lines, over all sinks that the log has had. What requests count has another line of memory than what the
/// writer does, so that neither waits for the other.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Lines that were handed over; once as many are done with, nothing waits.
    handed: CachePadded<AtomicU64>,
    done: CachePadded<Done>,
    /// Lines that did not fit into the queue.
    dropped: Counter,
    /// Those of them that no message told of yet.
    untold: AtomicU64,
    /// Requests that have no line because of sampling.
    left_out: CachePadded<Counter>,
}

/// Lines that the writer is done with.
#[derive(Debug, Default)]
struct Done {
    /// Those that are with the sink.
    written: AtomicU64,
    /// Those that the sink refused.
    failed: AtomicU64,
}

/// What became of all lines so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineCounts {
    /// With the sink.
    pub(crate) written: u64,
    /// Lost, since the sink was too slow.
    pub(crate) dropped: u64,
    /// Lost, since the sink refused them.
    pub(crate) failed: u64,
    /// Not made, by the choice of the configuration.
    pub(crate) left_out: u64,
}

impl Counts {
    pub(super) fn note_handed(&self) {
        self.handed.fetch_add(1, Ordering::Release);
    }

    pub(super) fn note_dropped(&self) {
        self.dropped.count();
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_left_out(&self) {
        self.left_out.count();
    }

    /// Notes what became of lines that were handed over.
    pub(super) fn note_done(&self, written: u64, failed: u64) {
        self.done.failed.fetch_add(failed, Ordering::Release);
        self.done.written.fetch_add(written, Ordering::Release);
    }

    pub(super) fn get(&self) -> LineCounts {
        LineCounts {
            written: self.done.written.load(Ordering::Acquire),
            dropped: self.dropped.get(),
            failed: self.done.failed.load(Ordering::Acquire),
            left_out: self.left_out.get(),
        }
    }

    /// Lines that were handed over and not done with.
    pub(super) fn waiting(&self) -> u64 {
        let handed = self.handed.load(Ordering::Acquire);
        let LineCounts { written, failed, .. } = self.get();
        handed.saturating_sub(written + failed)
    }

    pub(super) fn tell_dropped(&self) {
        match self.untold.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => log::warn!("access log lost lines because its sink was too slow lines={lines}"),
        }
    }
}
