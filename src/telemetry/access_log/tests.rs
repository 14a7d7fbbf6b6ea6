use crate::telemetry::{AccessLine, Millis, Timings};

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};

use nix::libc::O_NONBLOCK;
use rustix::io::ioctl_fionbio;

use super::writer::QUEUE;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn line(target: &str) -> AccessLine<'_> {
    AccessLine {
        time: "2030-01-01T00:00:00Z".to_owned(),
        request_id: Some("id"),
        trace_id: None,
        span_id: None,
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
        waf: None,
        cache: None,
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

fn over(sink: impl Write + Send + 'static) -> AccessLog {
    let log = AccessLog::open(AccessFormat::Off, &AccessSink::Stdout).unwrap();
    log.replace(Some(Queue::start(Sink::over(sink), &log.counts).unwrap()));
    log
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
    let log = over(Stuck(stuck));
    (0..2 * QUEUE).for_each(|_| log.write(&line("/")));
    assert!(log.counts.lost.load(Ordering::Relaxed) > 0);
    log.reopen();
    log.settle(Duration::from_millis(5));
    assert!(log.counts.waiting() > 0);
    assert_eq!(log.counts.lost.load(Ordering::Relaxed), 0, "the loss was told");
    drop(release);
    log.settle(PATIENCE);
    assert_eq!(log.counts.waiting(), 0);
}

#[test]
fn dropping_waits_for_nobody_and_loses_nothing() {
    let (release, stuck) = sync_channel(1);
    let log = over(Stuck(stuck));
    (0..1000).for_each(|_| log.write(&line("/")));
    let counts = log.counts.clone();
    drop(log);
    assert!(counts.written.load(Ordering::Acquire) < 1000);
    drop(release);
    while counts.written.load(Ordering::Acquire) < 1000 {
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

/// A named pipe in a folder.
fn pipe(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("access.pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_pipe_that_nobody_reads_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let sink = AccessSink::File(pipe(&dir));
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let log = AccessLog::open(AccessFormat::Off, &sink).unwrap();
        tell.send(log.change(AccessFormat::Json, &sink).map_err(|error| error.to_string())).unwrap();
    });
    let error = told.recv_timeout(PATIENCE).expect("nobody is waited for").unwrap_err();
    assert!(error.ends_with("access.pipe: nobody reads this pipe; start its reader first"), "{error}");
}

#[test]
fn a_pipe_gets_all_lines_however_slow_its_reader_is() {
    // More than a pipe holds.
    const LINES: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let path = pipe(&dir);
    let reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path).unwrap();
    let log = AccessLog::open(AccessFormat::Json, &AccessSink::File(path)).unwrap();
    (0..LINES).for_each(|_| log.write(&line("/")));
    log.settle(Duration::from_millis(5));
    assert!(log.counts.waiting() > 0, "the pipe is full");
    ioctl_fionbio(&reader, false).unwrap();
    let lines = BufReader::new(reader).lines().take(LINES);
    assert!(lines.map(Result::unwrap).all(|line| line.ends_with('}')));
}

/// A file for the log in a folder, and what it holds.
fn file(dir: &tempfile::TempDir, name: &str) -> (AccessSink, impl Fn() -> String) {
    let path = dir.path().join(name);
    (AccessSink::File(path.clone()), move || std::fs::read_to_string(&path).unwrap())
}

fn targets(text: &str) -> Vec<String> {
    let target = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["target"].clone();
    text.lines().map(|line| target(line).as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sink_changes_while_lines_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let ((first, in_first), (second, in_second)) = (file(&dir, "first.log"), file(&dir, "second.log"));
    let log = AccessLog::open(AccessFormat::Json, &first).unwrap();
    (0..1000).for_each(|number| log.write(&line(&format!("/{number}"))));
    log.change(AccessFormat::Json, &second).unwrap();
    (1000..2000).for_each(|number| log.write(&line(&format!("/{number}"))));
    log.settle(PATIENCE);
    let numbers = |range: std::ops::Range<u32>| range.map(|number| format!("/{number}")).collect::<Vec<_>>();
    assert_eq!(targets(&in_first()), numbers(0..1000));
    assert_eq!(targets(&in_second()), numbers(1000..2000));
}

#[test]
fn it_can_be_turned_off_and_on() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, in_file) = file(&dir, "access.log");
    let log = AccessLog::open(AccessFormat::Off, &sink).unwrap();
    assert!(!log.is_on() && !dir.path().join("access.log").exists());
    for (format, target) in [
        (AccessFormat::Off, "/1"),
        (AccessFormat::Json, "/2"),
        (AccessFormat::Json, "/3"),
        (AccessFormat::Off, "/4"),
        (AccessFormat::Json, "/5"),
    ] {
        log.change(format, &sink).unwrap();
        assert_eq!(log.is_on(), format == AccessFormat::Json);
        log.write(&line(target));
        // Else the writers of before and after share a file, each with lines to write.
        log.settle(PATIENCE);
    }
    assert_eq!(targets(&in_file()), ["/2", "/3", "/5"]);
}

#[test]
fn a_sink_that_cannot_be_opened_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, in_file) = file(&dir, "access.log");
    let log = AccessLog::open(AccessFormat::Json, &sink).unwrap();
    let error = log.change(AccessFormat::Json, &AccessSink::File("/nonexistent/access.log".into()));
    assert!(error.unwrap_err().to_string().contains("/nonexistent/access.log"));
    log.write(&line("/kept"));
    log.settle(PATIENCE);
    assert_eq!(targets(&in_file()), ["/kept"]);
}

#[test]
fn a_sink_that_is_stuck_holds_up_neither_the_next_one_nor_loses_what_it_was_handed() {
    let dir = tempfile::tempdir().unwrap();
    let (release, stuck) = sync_channel(1);
    let log = over(Stuck(stuck));
    (0..100).for_each(|_| log.write(&line("/")));
    let (sink, in_file) = file(&dir, "access.log");
    log.change(AccessFormat::Json, &sink).unwrap();
    log.write(&line("/next"));
    wait_until(PATIENCE, || log.counts.written.load(Ordering::Acquire) == 1);
    assert_eq!((targets(&in_file()), log.counts.waiting()), (vec!["/next".to_owned()], 100));
    drop(release);
    log.settle(PATIENCE);
    assert_eq!(log.counts.waiting(), 0);
}

#[test]
fn the_file_that_is_written_now_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let ((first, _), (second, in_second)) = (file(&dir, "first.log"), file(&dir, "second.log"));
    let log = AccessLog::open(AccessFormat::Json, &first).unwrap();
    log.change(AccessFormat::Json, &second).unwrap();
    for name in ["first.log", "second.log"] {
        std::fs::rename(dir.path().join(name), dir.path().join(format!("{name}.1"))).unwrap();
    }
    log.reopen();
    log.write(&line("/again"));
    log.settle(PATIENCE);
    assert_eq!(targets(&in_second()), ["/again"]);
    assert!(!dir.path().join("first.log").exists());
}
