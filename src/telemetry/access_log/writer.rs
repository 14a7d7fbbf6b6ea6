use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use nix::libc::O_NONBLOCK;
use rustix::io::{Errno, ioctl_fionbio};

use crate::config::spec::AccessSink;

use super::Counts;

/// The lines on their way to one sink. Its writer ends when this is gone and what waits is written.
#[derive(Debug)]
pub(super) struct Queue {
    orders: SyncSender<Order>,
    reopen: Arc<AtomicBool>,
}

/// Where lines end up.
pub(super) struct Sink {
    out: Box<dyn Write + Send>,
    /// Where it can be opened again, if it is a file.
    path: Option<PathBuf>,
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
    pub(super) fn start(sink: Sink, counts: &Arc<Counts>) -> io::Result<Self> {
        let (sender, orders) = sync_channel(QUEUE);
        // No order, because the queue may be full when it is wanted.
        let reopen = Arc::<AtomicBool>::default();
        let mut writer = Writer {
            orders,
            reopen: reopen.clone(),
            counts: counts.clone(),
            sink,
            batch: Vec::new(),
            lines: 0,
            refused: 0,
        };
        // Nobody joins the thread: its sink may never take another byte.
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { orders: sender, reopen })
    }

    pub(super) fn hand(&self, line: Vec<u8>, counts: &Counts) {
        match self.orders.try_send(Order::Line(line)) {
            Ok(()) => counts.handed.fetch_add(1, Ordering::Release),
            Err(_) => counts.lost.fetch_add(1, Ordering::Relaxed),
        };
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // When the queue is full, the writer is on its way to the flag anyway.
        let _ = self.orders.try_send(Order::Wake);
    }
}

// === Sink ===

impl Sink {
    pub(super) fn open(sink: &AccessSink) -> io::Result<Self> {
        Ok(match sink {
            AccessSink::Stdout => Self::over(io::stdout()),
            AccessSink::Stderr => Self::over(io::stderr()),
            AccessSink::File(path) => Self { out: Box::new(open_file(path)?), path: Some(path.clone()) },
        })
    }

    pub(super) fn over(out: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out), path: None }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open_file(path) {
            Ok(file) => {
                self.out = Box::new(file);
                log::info!("access log opened again path={}", path.display());
            }
            Err(error) => {
                log::error!("access log cannot be opened again, the old file is kept error={error}")
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let told = |error: io::Error| {
        let reason = if is_unread_pipe(path, &error) {
            "nobody reads this pipe; start its reader first".to_owned()
        } else {
            error.to_string()
        };
        io::Error::new(error.kind(), format!("access log {}: {reason}", path.display()))
    };
    open_without_waiting(path).map_err(told)
}

/// A pipe would be waited for until somebody reads it, by a start or a change of the configuration.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).custom_flags(O_NONBLOCK).open(path)?;
    // Its thread may wait for a reader that is slow.
    ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    let is_pipe = || path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe()
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
    sink: Sink,
    /// Lines that are not written yet, and how many they are.
    batch: Vec<u8>,
    lines: u64,
    /// Lines that the sink refused since it last took one.
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
                    self.counts.tell_lost();
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
        self.batch.extend_from_slice(&line);
        self.lines += 1;
        if self.batch.len() >= BATCH {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        if self.reopen.swap(false, Ordering::AcqRel) {
            self.sink.reopen();
        }
        if self.lines == 0 {
            return;
        }
        let result = self.sink.out.write_all(&self.batch).and_then(|()| self.sink.out.flush());
        self.batch.clear();
        let lines = std::mem::take(&mut self.lines);
        self.note(result, lines);
        self.counts.written.fetch_add(lines, Ordering::Release);
    }

    /// Logs the beginning and the end of a run of failures.
    fn note(&mut self, result: io::Result<()>, lines: u64) {
        match result {
            Ok(()) if self.refused == 0 => {}
            Ok(()) => {
                log::warn!("access log is written again lines_lost={}", std::mem::take(&mut self.refused));
            }
            Err(error) => {
                if self.refused == 0 {
                    log::error!("access log cannot be written error={error:?}");
                }
                self.refused += lines;
            }
        }
    }
}
