//! Lines on their way to where they are kept: whoever has one hands it over without waiting, and a thread of their own writes
//! them out.

mod counts;
mod sink;
mod stream;
mod writer;

pub(super) use counts::Counts;
pub(crate) use counts::LineCounts;
pub(super) use sink::{Batch, Sink, Unwritten};
pub(super) use stream::{FileKind, open_file, over};
pub(super) use writer::LineQueue;

/// Which log lines are for.
#[derive(Debug)]
pub(super) struct LogKind {
    /// What messages call it.
    pub(super) name: &'static str,
    /// What its thread is called.
    pub(super) thread: &'static str,
    /// Lines that wait at most.
    pub(super) most_lines: usize,
}
