use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::telemetry::settle::wait_until;
use crate::types::Counter;

use super::LogKind;

/// What became of the lines, over all sinks that the log has had. What requests count has another line of memory than what the
/// writer does, so that neither waits for the other.
#[derive(Debug)]
pub(in crate::telemetry) struct Counts {
    log: &'static LogKind,
    /// Lines that were handed over; once as many are done with, nothing waits.
    handed: CachePadded<AtomicU64>,
    done: CachePadded<Done>,
    /// Lines that did not fit into the queue.
    dropped: Counter,
    /// Those of them that no message told of yet.
    untold: AtomicU64,
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
}

impl Counts {
    pub(in crate::telemetry) fn new(log: &'static LogKind) -> Self {
        Self {
            log,
            handed: CachePadded::default(),
            done: CachePadded::default(),
            dropped: Counter::default(),
            untold: AtomicU64::default(),
        }
    }

    pub(super) fn log(&self) -> &'static LogKind {
        self.log
    }

    pub(super) fn note_handed(&self) {
        self.handed.fetch_add(1, Ordering::Release);
    }

    pub(super) fn note_dropped(&self) {
        self.dropped.count();
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what became of lines that were handed over.
    pub(super) fn note_done(&self, written: u64, failed: u64) {
        self.done.failed.fetch_add(failed, Ordering::Release);
        self.done.written.fetch_add(written, Ordering::Release);
    }

    pub(in crate::telemetry) fn get(&self) -> LineCounts {
        LineCounts {
            written: self.done.written.load(Ordering::Acquire),
            dropped: self.dropped.get(),
            failed: self.done.failed.load(Ordering::Acquire),
        }
    }

    /// Lines that were handed over and not done with.
    pub(in crate::telemetry) fn waiting(&self) -> u64 {
        let handed = self.handed.load(Ordering::Acquire);
        let LineCounts { written, failed, .. } = self.get();
        handed.saturating_sub(written + failed)
    }

    pub(super) fn tell_dropped(&self) {
        match self.untold.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => log::warn!("{} lost lines because its sink was too slow lines={lines}", self.log.name),
        }
    }

    /// Waits until every line so far is with the sink, at most `limit`; logs how many are not by then. Blocks its
    /// thread: for the end of the process.
    pub(in crate::telemetry) fn settle(&self, limit: Duration) {
        wait_until(limit, || self.waiting() == 0);
        self.tell_dropped();
        match self.waiting() {
            0 => {}
            lines => log::warn!("{} lines were not written in time lines={lines}", self.log.name),
        }
    }
}
