mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::Serialize;

use crate::config::spec::{AccessFormat, AccessSink};

use super::settle::wait_until;
use writer::{Queue, Sink};

/// The access log: a line for every request, written by a thread of its own.
///
/// A request only hands its line over. When the sink is too slow and the queue is full, the line is dropped and
/// counted; the count is logged once the sink moves again.
///
/// Dropping it does not wait: the writer goes on with what it was handed, and ends when that is written or the
/// process ends. Who wants the last lines calls [`settle`](Self::settle) before.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// Whether there is a queue; to be asked by every request.
    is_on: AtomicBool,
    queue: ArcSwapOption<Queue>,
    /// What was asked for last, while nobody else changes it.
    asked: Mutex<(AccessFormat, AccessSink)>,
    counts: Arc<Counts>,
}

/// What became of the lines, over all sinks that the log has had.
#[derive(Debug, Default)]
struct Counts {
    /// Lines that were handed over; once as many are written, nothing waits.
    handed: AtomicU64,
    /// Lines that are with the sink, or that it refused.
    written: AtomicU64,
    /// Lines that did not fit into the queue and that no message told of yet.
    lost: AtomicU64,
}

impl AccessLog {
    /// Opens the sink and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub(crate) fn open(format: AccessFormat, sink: &AccessSink) -> io::Result<Self> {
        let log = Self {
            is_on: AtomicBool::new(false),
            queue: ArcSwapOption::empty(),
            asked: Mutex::new((AccessFormat::Off, AccessSink::default())),
            counts: Arc::default(),
        };
        log.change(format, sink)?;
        Ok(log)
    }

    /// Has the lines from now on written there, in that form. Lines that wait still go to the old sink, which has a
    /// thread of its own until it has taken them.
    ///
    /// # Errors
    /// As for [`open`](Self::open); the log is as before then.
    pub(crate) fn change(&self, format: AccessFormat, sink: &AccessSink) -> io::Result<()> {
        let mut asked = self.asked.lock();
        if (format, sink) == (asked.0, &asked.1) {
            return Ok(());
        }
        let queue = match format {
            AccessFormat::Off => None,
            AccessFormat::Json => Some(Queue::start(Sink::open(sink)?, &self.counts)?),
        };
        *asked = (format, sink.clone());
        self.replace(queue);
        Ok(())
    }

    /// The old writer ends when it has written what it was handed, since nobody hands it more.
    fn replace(&self, queue: Option<Queue>) {
        self.is_on.store(queue.is_some(), Ordering::Relaxed);
        self.queue.store(queue.map(Arc::new));
    }

    /// Whether lines are wanted at all; when not, nobody needs to make them.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Hands a line over without waiting.
    pub(crate) fn write(&self, line: &impl Serialize) {
        if !self.is_on() {
            return;
        }
        let mut text = Vec::with_capacity(512);
        // Writing plain data into a Vec cannot fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
            if let Some(queue) = &*self.queue.load() {
                queue.hand(text, &self.counts);
            }
        }
    }

    /// Has the writer open its file again, by its path, before it writes another line. Does not wait; does nothing
    /// when the sink is not a file.
    pub(crate) fn reopen(&self) {
        if let Some(queue) = &*self.queue.load() {
            queue.reopen();
        }
    }

    /// Waits until every line so far is with the sink, at most `limit`; logs how many are not by then. Blocks its
    /// thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        wait_until(limit, || self.counts.waiting() == 0);
        self.counts.tell_lost();
        match self.counts.waiting() {
            0 => {}
            lines => log::warn!("access log lines were not written in time lines={lines}"),
        }
    }
}

impl Counts {
    /// Lines that were handed over and are not written.
    fn waiting(&self) -> u64 {
        let handed = self.handed.load(Ordering::Acquire);
        handed.saturating_sub(self.written.load(Ordering::Acquire))
    }

    fn tell_lost(&self) {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => log::warn!("access log lost lines because its sink was too slow lines={lines}"),
        }
    }
}

#[cfg(test)]
mod tests;
