use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use super::counts::Counts;
use super::sink::{Batch, Sink, Unwritten};

/// The lines on their way to one sink. Its writer ends when this is gone and what waits is written.
#[derive(Debug)]
pub(super) struct Queue {
    orders: SyncSender<Order>,
    reopen: Arc<AtomicBool>,
}

/// What the writer is told through the queue.
#[derive(Debug)]
enum Order {
    Line(Vec<u8>),
    /// Look at [`Queue::reopen`].
    Wake,
}

/// Lines that wait for the sink at most: about 4 MiB of them.
pub(super) const QUEUE: usize = 8192;

// === Queue ===

impl Queue {
    pub(super) fn start(sink: Box<dyn Sink>, counts: &Arc<Counts>) -> io::Result<Self> {
        let (sender, orders) = sync_channel(QUEUE);
        // No order, because the queue may be full when it is wanted.
        let reopen = Arc::<AtomicBool>::default();
        let mut writer = Writer {
            orders,
            reopen: reopen.clone(),
            counts: counts.clone(),
            sink,
            batch: Batch::default(),
            refused: 0,
        };
        // Nobody joins the thread: its sink may never take another byte.
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { orders: sender, reopen })
    }

    pub(super) fn hand(&self, line: Vec<u8>, counts: &Counts) {
        match self.orders.try_send(Order::Line(line)) {
            Ok(()) => counts.note_handed(),
            Err(_) => counts.note_dropped(),
        };
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // When the queue is full, the writer is on its way to the flag anyway.
        let _ = self.orders.try_send(Order::Wake);
    }
}

// === Writer ===

/// Bytes of lines that are written at once.
const BATCH: usize = 64 * 1024;

/// The thread that writes the lines.
struct Writer {
    orders: Receiver<Order>,
    /// Whether the file is to be opened again.
    reopen: Arc<AtomicBool>,
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
                }
            }
        }
    }

    fn take(&mut self, order: Order) {
        let Order::Line(line) = order else { return };
        self.batch.push(&line);
        if self.batch.size() >= BATCH {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        if self.reopen.swap(false, Ordering::AcqRel) {
            self.sink.reopen();
        }
        let lines = self.batch.len();
        if lines == 0 {
            return;
        }
        let failed = match self.sink.write(&self.batch) {
            Ok(()) => {
                if self.refused > 0 {
                    log::warn!(
                        "access log is written again lines_lost={}",
                        std::mem::take(&mut self.refused)
                    );
                }
                0
            }
            Err(Unwritten { lines, error }) => {
                // Only the beginning and the end of a run of failures are told.
                if self.refused == 0 {
                    log::error!("access log cannot be written error={error:?}");
                }
                self.refused += lines;
                lines
            }
        };
        self.batch.clear();
        self.counts.note_done(lines - failed.min(lines), failed);
    }
}
