mod escape;
mod form;
mod journal;
mod json;
mod own_lines;
mod put;
mod sink;
mod template;
mod time;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::config::spec::{AccessSpec, SampleSpec};
use crate::types::{Counter, Share, with_random};

use super::line_queue::{Counts, LineCounts, LineQueue, LogKind};
use super::lines::LogLine;
use form::{Form, Layout};
pub(crate) use own_lines::OwnLines;

/// The access log: a line for every request, or for some of them, written by a thread of its own.
///
/// A request only hands its line over. When the sink is too slow and the queue is full, the line is dropped and
/// counted; the count is logged once the sink moves again.
///
/// Dropping it does not wait: the writer goes on with what it was handed, and ends when that is written or the
/// process ends. Who wants the last lines calls [`settle`](Self::settle) before.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// Whether there is an output; to be asked by every request.
    is_on: AtomicBool,
    output: ArcSwapOption<Output>,
    /// What was asked for last, while nobody else changes it.
    asked: Mutex<Option<AccessSpec>>,
    counts: Arc<Counts>,
    /// Requests that have no line because of sampling. On memory of its own, since many of them count it.
    left_out: CachePadded<Counter>,
}

/// At most as many lines wait as are about 4 MiB as a rule.
static LOG: LogKind = LogKind { name: "access log", thread: "access-log", most_lines: 8192 };

/// What lines are made like, and where they go.
#[derive(Debug)]
struct Output {
    form: Form,
    queue: Arc<LineQueue>,
}

/// An output that is ready, but that gets no lines yet: nobody writes to it when this is dropped.
#[derive(Debug)]
pub(crate) struct NewOutput {
    spec: AccessSpec,
    output: Option<Output>,
}

/// What decides whether there is a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion {
    /// Whether something went wrong, so that somebody may look for the line.
    pub(crate) is_error: bool,
    /// How long it took, where that tells anything.
    pub(crate) took: Option<Duration>,
}

/// A line that is to be written.
pub(crate) struct PendingLine<'l> {
    output: Guard<Option<Arc<Output>>>,
    layout: Option<&'l Layout>,
    share: Share,
    counts: &'l Counts,
}

impl AccessLog {
    /// Opens the sink and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub(crate) fn open(spec: &AccessSpec) -> io::Result<Self> {
        let log = Self::off();
        log.change(spec)?;
        Ok(log)
    }

    /// One without lines.
    pub(crate) fn off() -> Self {
        Self {
            is_on: AtomicBool::new(false),
            output: ArcSwapOption::empty(),
            asked: Mutex::new(None),
            counts: Arc::new(Counts::new(&LOG)),
            left_out: CachePadded::default(),
        }
    }

    /// Has the lines from now on written there, in that form.
    ///
    /// # Errors
    /// As for [`open`](Self::open); the log is as before then.
    pub(crate) fn change(&self, spec: &AccessSpec) -> io::Result<()> {
        self.prepare(spec)?.into_iter().for_each(|new| self.adopt(new));
        Ok(())
    }

    /// Opens what lines are to go to, if that is another than now. Whoever changes the log does so after everybody else.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn prepare(&self, spec: &AccessSpec) -> io::Result<Option<NewOutput>> {
        let asked = self.asked.lock();
        if asked.as_ref() == Some(spec) {
            return Ok(None);
        }
        let output = match Form::new(spec) {
            None => None,
            Some(form) => Some(Output { form, queue: self.queue(spec, asked.as_ref())? }),
        };
        Ok(Some(NewOutput { spec: spec.clone(), output }))
    }

    /// Has the lines from now on written there. Lines that wait still go to the old sink, which has a thread of its own until
    /// it has taken them.
    pub(crate) fn adopt(&self, NewOutput { spec, output }: NewOutput) {
        let mut asked = self.asked.lock();
        *asked = Some(spec);
        self.replace(output);
    }

    /// That which there is, if it goes to the same place; else two writers would share a file for a while.
    fn queue(&self, spec: &AccessSpec, asked: Option<&AccessSpec>) -> io::Result<Arc<LineQueue>> {
        let goes_on = |asked: &AccessSpec| {
            (&asked.to, &asked.syslog, &asked.journald) == (&spec.to, &spec.syslog, &spec.journald)
        };
        match &*self.output.load() {
            Some(output) if asked.is_some_and(goes_on) => Ok(output.queue.clone()),
            _ => Ok(Arc::new(LineQueue::start(sink::open(spec)?, &self.counts)?)),
        }
    }

    /// The old writer ends when it has written what it was handed, since nobody hands it more.
    fn replace(&self, output: Option<Output>) {
        self.is_on.store(output.is_some(), Ordering::Relaxed);
        self.output.store(output.map(Arc::new));
    }

    /// Whether lines are wanted at all; when not, nobody needs to make them.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Decides whether there is to be a line of this, as the route says or else the log.
    pub(crate) fn begin<'l>(
        &'l self,
        occasion: Occasion,
        own: Option<&'l OwnLines>,
    ) -> Option<PendingLine<'l>> {
        if !self.is_on() || own.is_some_and(OwnLines::is_off) {
            return None;
        }
        let output = self.output.load();
        let sample = own.and_then(OwnLines::sample).unwrap_or(output.as_ref()?.form.sample);
        let share = occasion.share(&sample);
        if !share.is_all() && !with_random(|random| share.takes(random)) {
            self.left_out.count();
            return None;
        }
        Some(PendingLine { output, layout: own.and_then(OwnLines::layout), share, counts: &self.counts })
    }

    /// Whether lines tell of headers, so that these are to be kept for them.
    pub(crate) fn tells_headers(&self, own: Option<&OwnLines>) -> bool {
        self.is_on()
            && match own.and_then(OwnLines::layout) {
                Some(layout) => layout.needs_headers(),
                None => self.output.load().as_ref().is_some_and(|output| output.form.needs_headers()),
            }
    }

    /// What became of all lines so far.
    pub(crate) fn counts(&self) -> LineCounts {
        self.counts.get()
    }

    /// Requests and connections that have no line, by the choice of the configuration.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.get()
    }

    /// Has the writer open its file again, by its path, before it writes another line. Does not wait; does nothing
    /// when the sink is not a file.
    pub(crate) fn reopen(&self) {
        if let Some(output) = &*self.output.load() {
            output.queue.reopen();
        }
    }

    /// Waits until every line so far is with the sink, at most `limit`; logs how many are not by then. Blocks its
    /// thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        self.counts.settle(limit);
    }
}

impl Occasion {
    /// The share of such lines that is written.
    fn share(self, sample: &SampleSpec) -> Share {
        let is_slow = sample.slow.zip(self.took).is_some_and(|(slow, took)| took >= slow.get());
        match (is_slow, self.is_error) {
            (true, _) => Share::ALL,
            (false, true) => sample.errors,
            (false, false) => sample.rest,
        }
    }
}

impl PendingLine<'_> {
    /// Hands the line over without waiting.
    pub(crate) fn write(self, line: &impl LogLine) {
        let Some(output) = &*self.output else { return };
        let mut text = Vec::with_capacity(USUAL);
        output.form.write(line, self.layout, self.share, &mut text);
        output.queue.hand(text, self.counts);
    }
}

impl fmt::Debug for PendingLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLine").field("share", &self.share).finish_non_exhaustive()
    }
}

/// Most lines are shorter.
const USUAL: usize = 512;

#[cfg(test)]
mod tests;
