use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use serde::Serialize;

use crate::config::spec::{AccessFormat, AccessSink};

use super::settle::wait_until;

/// The access log: a line for every request, written by a thread of its own.
///
/// A request only hands its line over. When the sink is too slow and the queue is full, the line is dropped and
/// counted; the count is logged once the sink moves again.
///
/// Dropping it does not wait: the writer goes on with what it was handed, and ends when that is written or the
/// process ends. Who wants the last lines calls [`settle`](Self::settle) before.
#[derive(Debug)]
pub(crate) struct AccessLog {
    orders: Option<SyncSender<Order>>,
    /// Lines that were handed over; once as many are written, nothing waits.
    handed: AtomicU64,
    shared: Arc<Shared>,
}

/// What the writer is told through the queue.
#[derive(Debug)]
enum Order {
    Line(Vec<u8>),
    /// Look at [`Shared::reopen`].
    Wake,
}

/// What the log and its writer tell each other beside the queue.
#[derive(Debug, Default)]
struct Shared {
    /// Lines that are with the sink, or that it refused.
    written: AtomicU64,
    /// Lines that did not fit into the queue and that no message told of yet.
    lost: AtomicU64,
    /// Whether the file is to be opened again. No order, because the queue may be full when it is wanted.
    reopen: AtomicBool,
}

/// Lines that wait for the sink at most: about 4 MiB of them.
const QUEUE: usize = 8192;

// === AccessLog ===

impl AccessLog {
    /// Opens the sink and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub(crate) fn open(format: AccessFormat, sink: &AccessSink) -> io::Result<Self> {
        match (format, sink) {
            (AccessFormat::Off, _) => {
                Ok(Self { orders: None, handed: AtomicU64::new(0), shared: Arc::default() })
            }
            (AccessFormat::Json, AccessSink::Stdout) => Self::over(Box::new(io::stdout()), None),
            (AccessFormat::Json, AccessSink::Stderr) => Self::over(Box::new(io::stderr()), None),
            (AccessFormat::Json, AccessSink::File(path)) => {
                Self::over(Box::new(open_file(path)?), Some(path.clone()))
            }
        }
    }

    fn over(sink: Box<dyn Write + Send>, path: Option<PathBuf>) -> io::Result<Self> {
        let (sender, orders) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let mut writer =
            Writer { orders, shared: shared.clone(), sink, path, batch: Vec::new(), lines: 0, refused: 0 };
        // Nobody joins the thread: its sink may never take another byte.
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { orders: Some(sender), handed: AtomicU64::new(0), shared })
    }

    /// Whether lines are wanted at all; when not, nobody needs to make them.
    pub(crate) fn is_on(&self) -> bool {
        self.orders.is_some()
    }

    /// Hands a line over without waiting.
    pub(crate) fn write(&self, line: &impl Serialize) {
        let Some(orders) = &self.orders else { return };
        let mut text = Vec::with_capacity(512);
        // Writing plain data into a Vec cannot fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
            match orders.try_send(Order::Line(text)) {
                Ok(()) => self.handed.fetch_add(1, Ordering::Release),
                Err(_) => self.shared.lost.fetch_add(1, Ordering::Relaxed),
            };
        }
    }

    /// Has the writer open its file again, by its path, before it writes another line. Does not wait; does nothing
    /// when the sink is not a file.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        if let Some(orders) = &self.orders {
            // When the queue is full, the writer is on its way to the flag anyway.
            let _ = orders.try_send(Order::Wake);
        }
    }

    /// Waits until every line so far is with the sink, at most `limit`; logs how many are not by then. Blocks its
    /// thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        wait_until(limit, || self.waiting() == 0);
        self.shared.tell_lost();
        match self.waiting() {
            0 => {}
            lines => log::warn!("access log lines were not written in time lines={lines}"),
        }
    }

    /// Lines that were handed over and are not written.
    fn waiting(&self) -> u64 {
        let handed = self.handed.load(Ordering::Acquire);
        handed.saturating_sub(self.shared.written.load(Ordering::Acquire))
    }
}

impl Shared {
    fn tell_lost(&self) {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => log::warn!("access log lost lines because its sink was too slow lines={lines}"),
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("access log {}: {error}", path.display())))
}

// === Writer ===

/// Bytes of lines that are written at once.
const BATCH: usize = 64 * 1024;

/// The thread that writes the lines.
struct Writer {
    orders: Receiver<Order>,
    shared: Arc<Shared>,
    sink: Box<dyn Write + Send>,
    /// Where the sink can be opened again, if it is a file.
    path: Option<PathBuf>,
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
                    self.shared.tell_lost();
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
        if self.shared.reopen.swap(false, Ordering::AcqRel) {
            self.reopen();
        }
        if self.lines == 0 {
            return;
        }
        let result = self.sink.write_all(&self.batch).and_then(|()| self.sink.flush());
        self.batch.clear();
        let lines = std::mem::take(&mut self.lines);
        self.note(result, lines);
        self.shared.written.fetch_add(lines, Ordering::Release);
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

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open_file(path) {
            Ok(file) => {
                self.sink = Box::new(file);
                log::info!("access log opened again path={}", path.display());
            }
            Err(error) => {
                log::error!("access log cannot be opened again, the old file is kept error={error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::{AccessLine, Millis, Timings};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn line(target: &str) -> AccessLine<'_> {
        AccessLine {
            time: "2030-01-01T00:00:00Z".to_owned(),
            request_id: Some("id"),
            client: "10.0.0.1".to_owned(),
            listener: "web",
            protocol: "HTTP/1.1",
            method: "GET",
            host: "example.com",
            target,
            status: 200,
            cause: None,
            grpc_status: None,
            rate_limit: None,
            route: Some("api"),
            pool: None,
            endpoint: None,
            attempts: 0,
            bytes_in: 0,
            bytes_out: 2,
            ms: Timings { total: Millis(Duration::from_micros(1500)), ..Timings::default() },
            user_agent: None,
        }
    }

    #[test]
    fn every_line_is_json_whatever_the_client_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let log = AccessLog::open(AccessFormat::Json, &AccessSink::File(path.clone())).unwrap();
        log.write(&line("/\"\n\u{7f}\\"));
        log.write(&line("/second"));
        log.settle(PATIENCE);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["target"], "/\"\n\u{7f}\\");
        assert_eq!(lines[0]["ms"]["total"], 1.5);
        assert!(lines[0].get("cause").is_none());
    }

    #[test]
    fn keys_without_a_value_are_left_out() {
        let empty = AccessLine { request_id: None, method: "", host: "", target: "", ..line("") };
        let line = serde_json::to_value(&empty).unwrap();
        for key in ["request_id", "method", "host", "target", "cause", "user_agent"] {
            assert_eq!(line.get(key), None, "{line}");
        }
        assert_eq!(line["listener"], "web");
    }

    /// Takes nothing until its sender is dropped.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_sink_loses_lines_and_never_blocks() {
        let (release, stuck) = sync_channel(1);
        let log = AccessLog::over(Box::new(Stuck(stuck)), None).unwrap();
        (0..2 * QUEUE).for_each(|_| log.write(&line("/")));
        assert!(log.shared.lost.load(Ordering::Relaxed) > 0);
        log.reopen();
        log.settle(Duration::from_millis(5));
        assert!(log.waiting() > 0);
        assert_eq!(log.shared.lost.load(Ordering::Relaxed), 0, "the loss was told");
        drop(release);
        log.settle(PATIENCE);
        assert_eq!(log.waiting(), 0);
    }

    #[test]
    fn dropping_waits_for_nobody_and_loses_nothing() {
        let (release, stuck) = sync_channel(1);
        let log = AccessLog::over(Box::new(Stuck(stuck)), None).unwrap();
        (0..1000).for_each(|_| log.write(&line("/")));
        let shared = log.shared.clone();
        drop(log);
        assert!(shared.written.load(Ordering::Acquire) < 1000);
        drop(release);
        while shared.written.load(Ordering::Acquire) < 1000 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, moved) = (dir.path().join("logs"), dir.path().join("moved"));
        std::fs::create_dir(&folder).unwrap();
        let sink = AccessSink::File(folder.join("access.log"));
        let log = AccessLog::open(AccessFormat::Json, &sink).unwrap();
        std::fs::rename(&folder, &moved).unwrap();
        log.reopen();
        log.write(&line("/kept"));
        log.settle(PATIENCE);
        assert!(std::fs::read_to_string(moved.join("access.log")).unwrap().contains("/kept"));
        assert!(!folder.exists());
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let sink = AccessSink::File("/nonexistent/access.log".into());
        let error = AccessLog::open(AccessFormat::Json, &sink).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/access.log"), "{error}");
    }
}
