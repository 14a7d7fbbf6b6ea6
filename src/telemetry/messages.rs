use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use env_logger::{Builder, DEFAULT_FILTER_ENV, Logger, Target};
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::config::spec::LogLevel;

use super::settle::wait_until;

/// The messages for operators, on their way to stderr.
///
/// A thread of its own writes them: whoever logs only hands a line over, so that a stderr that nobody reads stops
/// neither requests nor the end of the process. Lines beyond the queue are dropped and counted.
pub(crate) struct Messages {
    leveled: Arc<Leveled>,
    /// Whether messages come here; not when the embedding program has installed a logger first.
    is_installed: bool,
    level: Mutex<LogLevel>,
}

/// A logger whose filter is replaced while it is used. `RUST_LOG` may name modules, so that a level alone, as in
/// [`log::set_max_level`], is not all that there is to change.
struct Leveled {
    logger: ArcSwap<Logger>,
    /// What `RUST_LOG` says.
    directives: Option<String>,
    /// None when no thread could be started: then the logger writes by itself, which is better than silence.
    queue: Option<Queue>,
}

#[derive(Debug, Default)]
struct Counts {
    handed: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

/// Where the logger writes to: each write is one whole line.
#[derive(Clone)]
struct Queue {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

/// Messages that wait for stderr at most.
const QUEUE: usize = 1024;
/// Where it stands what operators do. Whoever may change the level could hide that otherwise.
pub(crate) const AUDIT_TARGET: &str = "evener::audit";

impl Messages {
    /// Sends messages to stderr, one a line: time, level, target, text. `RUST_LOG` goes before `level`.
    ///
    /// Pingora logs an error for every request that fails, which a client can cause at will and which the access
    /// log tells better; so its own messages are written only from `warn` up, those of its proxy not at all, nor those about
    /// kept connections that their endpoints close, unless `RUST_LOG` asks for them: at `debug` they have whole requests, with
    /// their credentials. Has no effect when the program has set up a logger of its own.
    pub(crate) fn init(level: LogLevel) -> Self {
        let counts = Arc::<Counts>::default();
        let (lines, queued) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new().name("messages".to_owned());
        let writer_counts = counts.clone();
        let is_written = writer.spawn(move || write_lines(&queued, io::stderr(), &writer_counts)).is_ok();
        let queue = is_written.then_some(Queue { lines, counts });
        let leveled = Arc::new(Leveled::new(std::env::var(DEFAULT_FILTER_ENV).ok(), queue));
        let is_installed = log::set_boxed_logger(Box::new(leveled.clone())).is_ok();
        let messages = Self { leveled, is_installed, level: Mutex::new(level) };
        messages.set_level(level);
        messages
    }

    /// Has messages of that level and above written from now on, under the same conditions as [`init`](Self::init).
    pub(crate) fn set_level(&self, level: LogLevel) {
        // Held, so that the level that was asked for last is the one that is written.
        let mut current = self.level.lock();
        *current = level;
        let most = self.leveled.set_level(level);
        if self.is_installed {
            log::set_max_level(most);
        }
    }

    /// The level that was asked for last; `RUST_LOG` may go before it.
    pub(crate) fn level(&self) -> LogLevel {
        *self.level.lock()
    }

    /// Waits until every message so far is written, at most `limit`. Blocks its thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        if let Some(queue) = &self.leveled.queue {
            wait_until(limit, || queue.counts.is_settled());
        }
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("is_installed", &self.is_installed).finish_non_exhaustive()
    }
}

// === Leveled ===

impl Leveled {
    /// One to which a level is still to be told.
    fn new(directives: Option<String>, queue: Option<Queue>) -> Self {
        Self { logger: ArcSwap::from_pointee(Builder::new().build()), directives, queue }
    }

    /// Gives the most that is written of any module.
    fn set_level(&self, level: LogLevel) -> LevelFilter {
        let logger = logger(level, self.directives.as_deref(), self.queue.as_ref());
        let most = logger.filter();
        self.logger.store(Arc::new(logger));
        most
    }
}

impl Log for Leveled {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.load().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.logger.load().log(record);
    }

    fn flush(&self) {
        self.logger.load().flush();
    }
}

// === Counts ===

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

/// What is written of which module, in which form, and where to. `directives` go before `level`.
fn logger(level: LogLevel, directives: Option<&str>, queue: Option<&Queue>) -> Logger {
    let level = match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    let mut builder = Builder::new();
    builder.filter_level(level);
    builder.filter_module("pingora_proxy", LevelFilter::Off);
    // They are replaced, and where they cannot be, the request tells of it.
    builder.filter_module("pingora_core::connectors", LevelFilter::Off);
    builder.filter_module("pingora_pool", LevelFilter::Off);
    for module in ["pingora_core", "pingora_cache", "h2", "hyper", "hyper_util"] {
        builder.filter_module(module, level.min(LevelFilter::Warn));
    }
    if !silences_audit(level, directives) {
        builder.filter_module(AUDIT_TARGET, level.max(LevelFilter::Info));
    }
    builder.parse_filters(directives.unwrap_or_default());
    builder.format(|out, record| {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        writeln!(out, "{time} {:5} {} {}", record.level(), record.target(), record.args())
    });
    if let Some(queue) = queue {
        builder.target(Target::Pipe(Box::new(queue.clone())));
    }
    builder.build()
}

/// Whether `RUST_LOG` has switched off even the errors of what operators do.
fn silences_audit(level: LevelFilter, directives: Option<&str>) -> bool {
    let mut builder = Builder::new();
    builder.filter_level(level).parse_filters(directives.unwrap_or_default());
    let error = Metadata::builder().target(AUDIT_TARGET).level(log::Level::Error).build();
    !builder.build().enabled(&error)
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

    /// A logger with its lines.
    fn leveled(level: LogLevel, directives: Option<&str>) -> (Leveled, Receiver<Vec<u8>>) {
        let (lines, queued) = sync_channel(QUEUE);
        let queue = Queue { lines, counts: Arc::default() };
        let leveled = Leveled::new(directives.map(str::to_owned), Some(queue));
        leveled.set_level(level);
        (leveled, queued)
    }

    /// What of these is written, as `LEVEL target`, when a message of each level comes from each target.
    fn written(leveled: &Leveled, queued: &Receiver<Vec<u8>>) -> Vec<String> {
        for target in ["evener", "pingora_core", "pingora_core::connectors", "pingora_pool", "pingora_proxy"]
        {
            for level in [log::Level::Error, log::Level::Info, log::Level::Debug] {
                leveled
                    .log(&Record::builder().level(level).target(target).args(format_args!("text")).build());
            }
        }
        let line = |line: Vec<u8>| {
            let line = String::from_utf8(line).unwrap();
            line.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" ")
        };
        queued.try_iter().map(line).collect()
    }

    #[test]
    fn the_level_changes_with_what_it_means_for_each_module() {
        let (leveled, queued) = leveled(LogLevel::Info, None);
        let of_info = ["ERROR evener", "INFO evener", "ERROR pingora_core"];
        assert_eq!(written(&leveled, &queued), of_info);
        assert_eq!(leveled.set_level(LogLevel::Debug), LevelFilter::Debug);
        let of_debug = ["ERROR evener", "INFO evener", "DEBUG evener", "ERROR pingora_core"];
        assert_eq!(written(&leveled, &queued), of_debug, "Pingora's have whole requests");
        assert_eq!(leveled.set_level(LogLevel::Error), LevelFilter::Info, "for the audit");
        assert_eq!(written(&leveled, &queued), ["ERROR evener", "ERROR pingora_core"]);
        assert_eq!(leveled.set_level(LogLevel::Info), LevelFilter::Info);
        assert_eq!(written(&leveled, &queued), of_info);
    }

    #[test]
    fn no_level_hides_what_operators_do() {
        let told = |level, directives| {
            let (leveled, queued) = leveled(level, directives);
            let audit = Record::builder().target(AUDIT_TARGET).args(format_args!("text")).build();
            leveled.log(&audit);
            leveled.log(&Record::builder().target("evener").args(format_args!("text")).build());
            queued.try_iter().count()
        };
        for (level, directives, expected) in [
            (LogLevel::Error, None, 1),
            (LogLevel::Warn, None, 1),
            (LogLevel::Info, None, 2),
            (LogLevel::Info, Some("error"), 1),
            (LogLevel::Error, Some("pingora_proxy=debug"), 1),
            (LogLevel::Info, Some("evener=warn"), 1),
            (LogLevel::Info, Some("off"), 0),
            (LogLevel::Info, Some("evener=off"), 0),
            (LogLevel::Info, Some("info,evener::audit=off"), 1),
        ] {
            assert_eq!(told(level, directives), expected, "{level} {directives:?}");
        }
    }

    #[test]
    fn the_environment_goes_before_any_level() {
        let (all, queued) = leveled(LogLevel::Info, Some("debug,pingora_proxy=error"));
        let of_environment = written(&all, &queued);
        assert!(of_environment.contains(&"DEBUG evener".to_owned()), "{of_environment:?}");
        assert_eq!(all.set_level(LogLevel::Error), LevelFilter::Debug);
        assert_eq!(written(&all, &queued), of_environment);
        let (one, queued) = leveled(LogLevel::Error, Some("pingora_proxy=debug"));
        assert_eq!(one.set_level(LogLevel::Info), LevelFilter::Debug, "for the one that may");
        let of_one = ["INFO evener", "DEBUG pingora_proxy"].map(str::to_owned);
        let lines = written(&one, &queued);
        assert!(of_one.iter().all(|line| lines.contains(line)), "{lines:?}");
        assert!(!lines.contains(&"DEBUG evener".to_owned()), "{lines:?}");
    }
}
