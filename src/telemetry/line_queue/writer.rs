use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::{Batch, Counts, Sink, Unwritten};

/// The lines on their way to one sink. Its writer ends when this is gone and what waits is written.
#[derive(Debug)]
pub(in crate::telemetry) struct LineQueue {
    orders: SyncSender<Order>,
    flags: Arc<Flags>,
}

/// What the queue and its writer share besides.
#[derive(Debug, Default)]
struct Flags {
    /// Whether the file is to be opened again. No order, because the queue may be full when it is wanted.
    reopen: AtomicBool,
    /// Bytes of the lines that are not written yet. Every request adds to it; the writer takes a whole batch off at once.
    bytes: CachePadded<AtomicUsize>,
}

/// What the writer is told through the queue.
#[derive(Debug)]
enum Order {
    Line(Vec<u8>),
    /// Look at [`Flags::reopen`].
    Wake,
}

/// Bytes of lines that wait at most, since clients choose how long theirs are.
const MOST_BYTES: usize = 16 << 20;

// === LineQueue ===

impl LineQueue {
    /// Starts the writer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(in crate::telemetry) fn start(sink: Box<dyn Sink>, counts: &Arc<Counts>) -> io::Result<Self> {
        let log = counts.log();
        let (sender, orders) = sync_channel(log.most_lines);
        let flags = Arc::<Flags>::default();
        let mut writer = Writer {
            orders,
            flags: flags.clone(),
            counts: counts.clone(),
            sink,
            batch: Batch::default(),
            refused: 0,
        };
        // Nobody joins the thread: its sink may never take another byte.
        std::thread::Builder::new().name(log.thread.to_owned()).spawn(move || writer.run())?;
        Ok(Self { orders: sender, flags })
    }

    /// Hands a line over without waiting; one that does not fit is dropped and counted.
    pub(in crate::telemetry) fn hand(&self, line: Vec<u8>, counts: &Counts) {
        let length = line.len();
        let waiting = self.flags.bytes.fetch_add(length, Ordering::Relaxed);
        if waiting < MOST_BYTES && self.orders.try_send(Order::Line(line)).is_ok() {
            counts.note_handed();
        } else {
            self.flags.bytes.fetch_sub(length, Ordering::Relaxed);
            counts.note_dropped();
        }
    }

    /// Has the writer open its file again, by its path, before it writes another line.
    pub(in crate::telemetry) fn reopen(&self) {
        self.flags.reopen.store(true, Ordering::Release);
        // When the queue is full, the writer is on its way to the flag anyway.
        let _ = self.orders.try_send(Order::Wake);
    }
}

// === Writer ===

/// Bytes of lines that are written at once.
const BATCH: usize = 64 * 1024;

/// How long the writer rests when it is woken, for more lines to come: whoever hands over the first one has to wake it, which
/// costs a request more than its line does.
const REST: Duration = Duration::from_millis(10);

/// The thread that writes the lines.
struct Writer {
    orders: Receiver<Order>,
    flags: Arc<Flags>,
    counts: Arc<Counts>,
    sink: Box<dyn Sink>,
    /// Lines that are not written yet.
    batch: Batch,
    /// Lines that the sink refused since it last took all of a batch.
    refused: u64,
}

impl Writer {
    /// Writes lines until the log is gone; writes out whenever it has caught up.
    fn run(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.take(order),
                Err(TryRecvError::Disconnected) => return self.write_out(),
                Err(TryRecvError::Empty) => {
                    self.write_out();
                    self.counts.tell_dropped();
                    match self.orders.recv() {
                        Ok(order) => self.take(order),
                        Err(_) => return,
                    }
                    std::thread::sleep(REST);
                }
            }
        }
    }

    fn take(&mut self, order: Order) {
        let Order::Line(line) = order else { return };
        self.batch.push(&line);
        if self.batch.text().len() >= BATCH {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        if self.flags.reopen.swap(false, Ordering::AcqRel) {
            self.sink.reopen();
        }
        let lines = self.batch.len();
        if lines == 0 {
            return;
        }
        let failed = match self.sink.write(&self.batch) {
            Ok(()) => {
                if self.refused > 0 {
                    let lost = std::mem::take(&mut self.refused);
                    log::warn!("{} is written again lines_lost={lost}", self.counts.log().name);
                }
                0
            }
            Err(Unwritten { lines, error }) => {
                // Only the beginning and the end of a run of failures are told.
                if self.refused == 0 {
                    log::error!("{} cannot be written error={error:?}", self.counts.log().name);
                }
                self.refused += lines;
                lines
            }
        };
        self.flags.bytes.fetch_sub(self.batch.text().len(), Ordering::Relaxed);
        self.batch.clear();
        self.counts.note_done(lines - failed.min(lines), failed);
    }
}
