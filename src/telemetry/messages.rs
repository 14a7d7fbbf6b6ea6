use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use env_logger::{Builder, Env, Target};
use log::LevelFilter;

use crate::config::spec::LogLevel;

use super::settle::wait_until;

/// The messages for operators, on their way to stderr.
///
/// A thread of its own writes them: whoever logs only hands a line over, so that a stderr that nobody reads stops
/// neither requests nor the end of the process. Lines beyond the queue are dropped and counted.
#[derive(Debug)]
pub(crate) struct Messages {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    handed: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

/// Where the logger writes to: each write is one whole line.
struct Queue {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

/// Messages that wait for stderr at most.
const QUEUE: usize = 1024;

impl Messages {
    /// Sends messages to stderr, one a line: time, level, target, text. `RUST_LOG` goes before `level`.
    ///
    /// Pingora logs an error for every request that fails, which a client can cause at will and which the access
    /// log tells better; so its own messages are written only from `warn` up, those of its proxy not at all, unless
    /// `RUST_LOG` asks for them. Has no effect when the program has set up a logger of its own.
    pub(crate) fn init(level: LogLevel) -> Self {
        let counts = Arc::new(Counts::default());
        let (lines, queued) = sync_channel(QUEUE);
        let writer_counts = counts.clone();
        let writer = std::thread::Builder::new().name("messages".to_owned());
        let is_written = writer.spawn(move || write_lines(&queued, io::stderr(), &writer_counts)).is_ok();
        let mut builder = builder(level);
        // Without a thread the logger writes by itself, which is better than silence.
        if is_written {
            builder.target(Target::Pipe(Box::new(Queue { lines, counts: counts.clone() })));
        }
        // A logger that the embedding program installed first stays.
        let _ = builder.try_init();
        Self { counts }
    }

    /// Waits until every message so far is written, at most `limit`. Blocks its thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        wait_until(limit, || self.counts.is_settled());
    }
}

impl Counts {
    fn is_settled(&self) -> bool {
        self.written.load(Ordering::Acquire) >= self.handed.load(Ordering::Acquire)
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.lines.try_send(line.to_vec()) {
            Ok(()) => self.counts.handed.fetch_add(1, Ordering::Release),
            Err(_) => self.counts.lost.fetch_add(1, Ordering::Relaxed),
        };
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until all senders are gone, and tells how many were lost once the sink moves again.
fn write_lines(lines: &Receiver<Vec<u8>>, mut sink: impl Write, counts: &Counts) {
    while let Ok(line) = lines.recv() {
        // There is nowhere left to tell that stderr cannot be written.
        let _ = sink.write_all(&line);
        counts.written.fetch_add(1, Ordering::Release);
        let lost = counts.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(sink, "{lost} messages were lost because nobody read them in time");
        }
    }
}

fn builder(level: LogLevel) -> Builder {
    let level = match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    let mut builder = Builder::new();
    builder.filter_level(level);
    if level < LevelFilter::Debug {
        builder.filter_module("pingora_proxy", LevelFilter::Off);
        builder.filter_module("pingora_core", level.min(LevelFilter::Warn));
    }
    builder.parse_env(Env::default());
    builder.format(|out, record| {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        writeln!(out, "{time} {:5} {} {}", record.level(), record.target(), record.args())
    });
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_sink_takes_lines_without_waiting_and_tells_what_it_lost() {
        let counts = Arc::new(Counts::default());
        let (lines, queued) = sync_channel(2);
        let mut queue = Queue { lines, counts: counts.clone() };
        for _ in 0..5 {
            assert_eq!(queue.write(b"line\n").unwrap(), 5);
        }
        assert_eq!(counts.lost.load(Ordering::Relaxed), 3);
        assert!(!counts.is_settled());
        drop(queue);
        let mut sink = Vec::new();
        write_lines(&queued, &mut sink, &counts);
        let text = String::from_utf8(sink).unwrap();
        assert_eq!(text, "line\n3 messages were lost because nobody read them in time\nline\n");
        assert!(counts.is_settled());
    }
}
