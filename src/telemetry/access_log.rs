use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use crate::config::spec::{AccessFormat, AccessSink};

/// The access log: a line for every request, written by a thread of its own.
///
/// A request only hands its line over. When the sink is too slow and the queue is full, the line is dropped and
/// counted; the count is logged once the sink moves again.
#[derive(Debug)]
pub(crate) struct AccessLog {
    lines: Option<SyncSender<Vec<u8>>>,
    /// Lines that were handed over; once as many are written, nothing waits.
    handed: AtomicU64,
    written: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Lines that wait for the sink at most: about 4 MiB of them.
const QUEUE: usize = 8192;

/// What the log tells of one request. Keys without a value are left out.
#[derive(Debug, Serialize)]
pub(crate) struct AccessLine<'a> {
    pub time: String,
    pub request_id: Option<&'a str>,
    pub client: String,
    pub listener: &'a str,
    pub protocol: &'a str,
    pub method: &'a str,
    pub host: &'a str,
    pub target: &'a str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    /// What a rate limit did to the request, if it came too fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub attempts: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub ms: Timings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<&'a str>,
}

/// How long the phases of a request took, in milliseconds. A phase that was not reached is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Timings {
    /// From the header's end to the filters' end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Millis>,
    /// From there to a connection to an endpoint, over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Millis>,
    /// From there to the head of the endpoint's response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Millis>,
    /// From the header's end to the response's last byte.
    pub total: Millis,
}

/// A duration that is written as milliseconds with three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Millis(pub Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_micros() as f64 / 1000.0)
    }
}

// === AccessLog ===

impl AccessLog {
    /// Opens the sink and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub(crate) fn open(format: AccessFormat, sink: &AccessSink) -> io::Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        let written = Arc::new(AtomicU64::new(0));
        let (lines, writer) = match format {
            AccessFormat::Off => (None, None),
            AccessFormat::Json => {
                let sink = open_sink(sink)?;
                let (sender, receiver) = sync_channel(QUEUE);
                let (lost, written) = (lost.clone(), written.clone());
                let writer = std::thread::Builder::new()
                    .name("access-log".to_owned())
                    .spawn(move || write_lines(&receiver, sink, &lost, &written))?;
                (Some(sender), Some(writer))
            }
        };
        Ok(Self { lines, handed: AtomicU64::new(0), written, lost, writer: Mutex::new(writer) })
    }

    /// Whether lines are wanted at all; when not, nobody needs to make them.
    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Hands a line over without waiting.
    pub(crate) fn write(&self, line: &AccessLine<'_>) {
        let Some(lines) = &self.lines else { return };
        let mut text = Vec::with_capacity(512);
        // Writing plain data into a Vec cannot fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
            match lines.try_send(text) {
                Ok(()) => self.handed.fetch_add(1, Ordering::Release),
                Err(_) => self.lost.fetch_add(1, Ordering::Relaxed),
            };
        }
    }

    /// Waits until every line so far is with the sink, at most `limit`. Blocks its thread: for the end of the
    /// process.
    pub(crate) fn settle(&self, limit: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while self.written.load(Ordering::Acquire) < self.handed.load(Ordering::Acquire) && waited < limit {
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }

    /// Lines that were dropped since the start because the sink was too slow.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for AccessLog {
    /// Waits until the queued lines are written.
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.lock().take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

fn open_sink(sink: &AccessSink) -> io::Result<Box<dyn Write + Send>> {
    Ok(match sink {
        AccessSink::Stdout => Box::new(io::stdout()),
        AccessSink::Stderr => Box::new(io::stderr()),
        AccessSink::File(path) => Box::new(open_file(path)?),
    })
}

fn open_file(path: &Path) -> io::Result<std::fs::File> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("access log {}: {error}", path.display())))
}

/// Writes lines until all senders are gone; flushes whenever it has caught up.
fn write_lines(
    lines: &Receiver<Vec<u8>>,
    sink: Box<dyn Write + Send>,
    lost: &AtomicU64,
    written: &AtomicU64,
) {
    let mut buffered = 0;
    let mut sink = BufWriter::with_capacity(64 * 1024, sink);
    let mut told = 0;
    let mut failed = false;
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                note(sink.flush(), &mut failed);
                written.fetch_add(std::mem::take(&mut buffered), Ordering::Release);
                tell_lost(lost, &mut told);
                match lines.recv() {
                    Ok(line) => line,
                    Err(_) => break,
                }
            }
        };
        note(sink.write_all(&line), &mut failed);
        buffered += 1;
    }
    note(sink.flush(), &mut failed);
}

/// Logs the first failure of a run of failures.
fn note(result: io::Result<()>, failed: &mut bool) {
    match result {
        Ok(()) => *failed = false,
        Err(error) if !*failed => {
            *failed = true;
            log::error!("access log cannot be written error={error:?}");
        }
        Err(_) => {}
    }
}

fn tell_lost(lost: &AtomicU64, told: &mut u64) {
    let now = lost.load(Ordering::Relaxed);
    if now != *told {
        log::warn!("access log lost lines because its sink was too slow lines={}", now - *told);
        *told = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        drop(log);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["target"], "/\"\n\u{7f}\\");
        assert_eq!(lines[0]["ms"]["total"], 1.5);
        assert!(lines[0].get("cause").is_none());
    }

    #[test]
    fn a_stuck_sink_loses_lines_and_never_blocks() {
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
        let (release, stuck) = sync_channel(1);
        let (sender, receiver) = sync_channel(4);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = {
            let lost = lost.clone();
            std::thread::spawn(move || {
                write_lines(&receiver, Box::new(Stuck(stuck)), &lost, &AtomicU64::new(0))
            })
        };
        let writer = Mutex::new(Some(writer));
        let log = AccessLog { lines: Some(sender), handed: 0.into(), written: Arc::default(), lost, writer };
        (0..2000).for_each(|_| log.write(&line("/")));
        assert!(log.lost() > 0);
        drop(release);
        drop(log);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let sink = AccessSink::File("/nonexistent/access.log".into());
        let error = AccessLog::open(AccessFormat::Json, &sink).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/access.log"), "{error}");
    }
}
