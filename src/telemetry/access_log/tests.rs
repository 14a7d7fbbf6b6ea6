mod forms;
mod sinks;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::SystemTime;

use nix::libc::O_NONBLOCK;
use rustix::io::ioctl_fionbio;

use crate::config::spec::{AccessFormat, AccessSink};
use crate::telemetry::lines::{AccessLine, Millis, Timings};
use crate::types::{VarName, Variable, Vars};

use crate::telemetry::line_queue::over as sink_over;
use crate::telemetry::wait_until;

use super::*;

const QUEUE: usize = LOG.most_lines;
const PATIENCE: Duration = Duration::from_secs(20);

struct NoVars;

impl Vars for NoVars {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        if variable == Variable::Scheme {
            out.extend_from_slice(b"https");
        }
    }

    fn write_named(&self, name: &VarName, out: &mut Vec<u8>) {
        if name.as_str() == "auth.user" {
            out.extend_from_slice(b"kim");
        }
    }
}

fn line(target: &str) -> AccessLine<'_> {
    AccessLine {
        began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_893_456_000_250),
        request_id: Some(b"id"),
        trace_id: None,
        span_id: None,
        client: Some(IpAddr::from([192, 0, 2, 77])),
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
        request_headers: None,
        response_headers: None,
        vars: &NoVars,
    }
}

const GOOD: Occasion = Occasion { is_error: false, took: None };

/// Writes a line as a request does that went well.
fn write(log: &AccessLog, line: &AccessLine<'_>) {
    if let Some(pending) = log.begin(GOOD, None) {
        pending.write(line);
    }
}

fn spec(text: &str) -> AccessSpec {
    serde_yaml::from_str(text).unwrap()
}

fn to(path: impl Into<PathBuf>) -> AccessSpec {
    AccessSpec { to: AccessSink::File(path.into()), ..AccessSpec::default() }
}

fn over(sink: impl Write + Send + 'static) -> AccessLog {
    let log = AccessLog::off();
    let queue = Arc::new(LineQueue::start(sink_over(sink), &log.counts).unwrap());
    log.replace(Some(Output { form: Form::new(&AccessSpec::default()).unwrap(), queue }));
    log
}

#[test]
fn every_line_is_json_whatever_the_client_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&to(&path)).unwrap();
    write(&log, &line("/\"\n\u{7f}\\"));
    write(&log, &line("/second"));
    log.settle(PATIENCE);
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["target"], "/\"\n\u{7f}\\");
    assert_eq!(lines[0]["ms"]["total"], 1.5);
    assert!(lines[0].get("cause").is_none());
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
    (0..2 * QUEUE).for_each(|_| write(&log, &line("/")));
    let dropped = log.counts().dropped;
    assert!(dropped > 0);
    log.reopen();
    log.settle(Duration::from_millis(5));
    assert!(log.counts.waiting() > 0);
    drop(release);
    log.settle(PATIENCE);
    assert_eq!(log.counts.waiting(), 0);
    let LineCounts { written, dropped: still, failed } = log.counts();
    assert_eq!((written + dropped, still, failed), (2 * QUEUE as u64, dropped, 0));
}

#[test]
fn long_lines_take_no_more_memory_than_others() {
    let (release, stuck) = sync_channel(1);
    let log = over(Stuck(stuck));
    let long = "a".repeat(8000);
    (0..QUEUE).for_each(|_| write(&log, &line(&long)));
    let waiting = log.counts.waiting();
    // Of 16 MiB, with what the writer has.
    assert!((2000..2200).contains(&waiting), "{waiting}");
    drop(release);
    log.settle(PATIENCE);
    assert_eq!(log.counts().written, waiting);
}

#[test]
fn dropping_waits_for_nobody_and_loses_nothing() {
    let (release, stuck) = sync_channel(1);
    let log = over(Stuck(stuck));
    (0..1000).for_each(|_| write(&log, &line("/")));
    let counts = log.counts.clone();
    drop(log);
    assert!(counts.get().written < 1000);
    drop(release);
    while counts.get().written < 1000 {
        std::thread::yield_now();
    }
}

#[test]
fn a_file_that_cannot_be_opened_again_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, moved) = (dir.path().join("logs"), dir.path().join("moved"));
    std::fs::create_dir(&folder).unwrap();
    let log = AccessLog::open(&to(folder.join("access.log"))).unwrap();
    std::fs::rename(&folder, &moved).unwrap();
    log.reopen();
    write(&log, &line("/kept"));
    log.settle(PATIENCE);
    assert!(std::fs::read_to_string(moved.join("access.log")).unwrap().contains("/kept"));
    assert!(!folder.exists());
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error = AccessLog::open(&to("/nonexistent/access.log")).unwrap_err().to_string();
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
    let spec = to(pipe(&dir));
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let log = AccessLog::off();
        tell.send(log.change(&spec).map_err(|error| error.to_string())).unwrap();
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
    let log = AccessLog::open(&to(path)).unwrap();
    (0..LINES).for_each(|_| write(&log, &line("/")));
    log.settle(Duration::from_millis(5));
    assert!(log.counts.waiting() > 0, "the pipe is full");
    ioctl_fionbio(&reader, false).unwrap();
    let lines = BufReader::new(reader).lines().take(LINES);
    assert!(lines.map(Result::unwrap).all(|line| line.ends_with('}')));
}

/// A file for the log in a folder, and what it holds.
fn file(dir: &tempfile::TempDir, name: &str) -> (AccessSpec, impl Fn() -> String) {
    let path = dir.path().join(name);
    (to(&path), move || std::fs::read_to_string(&path).unwrap())
}

fn targets(text: &str) -> Vec<String> {
    let target = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["target"].clone();
    text.lines().map(|line| target(line).as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sink_changes_while_lines_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let ((first, in_first), (second, in_second)) = (file(&dir, "first.log"), file(&dir, "second.log"));
    let log = AccessLog::open(&first).unwrap();
    (0..1000).for_each(|number| write(&log, &line(&format!("/{number}"))));
    log.change(&second).unwrap();
    (1000..2000).for_each(|number| write(&log, &line(&format!("/{number}"))));
    log.settle(PATIENCE);
    let numbers = |range: std::ops::Range<u32>| range.map(|number| format!("/{number}")).collect::<Vec<_>>();
    assert_eq!(targets(&in_first()), numbers(0..1000));
    assert_eq!(targets(&in_second()), numbers(1000..2000));
}

#[test]
fn it_can_be_turned_off_and_on() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, in_file) = file(&dir, "access.log");
    let log = AccessLog::open(&AccessSpec { format: AccessFormat::Off, ..sink.clone() }).unwrap();
    assert!(!log.is_on() && !dir.path().join("access.log").exists());
    for (format, target) in [
        (AccessFormat::Off, "/1"),
        (AccessFormat::Json, "/2"),
        (AccessFormat::Json, "/3"),
        (AccessFormat::Off, "/4"),
        (AccessFormat::Json, "/5"),
    ] {
        let is_on = format == AccessFormat::Json;
        log.change(&AccessSpec { format, ..sink.clone() }).unwrap();
        assert_eq!(log.is_on(), is_on);
        write(&log, &line(target));
        // Else the writers of before and after share a file, each with lines to write.
        log.settle(PATIENCE);
    }
    assert_eq!(targets(&in_file()), ["/2", "/3", "/5"]);
}

#[test]
fn a_sink_that_cannot_be_opened_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, in_file) = file(&dir, "access.log");
    let log = AccessLog::open(&sink).unwrap();
    let error = log.change(&to("/nonexistent/access.log"));
    assert!(error.unwrap_err().to_string().contains("/nonexistent/access.log"));
    write(&log, &line("/kept"));
    log.settle(PATIENCE);
    assert_eq!(targets(&in_file()), ["/kept"]);
}

#[test]
fn a_sink_that_is_stuck_holds_up_neither_the_next_one_nor_loses_what_it_was_handed() {
    let dir = tempfile::tempdir().unwrap();
    let (release, stuck) = sync_channel(1);
    let log = over(Stuck(stuck));
    (0..100).for_each(|_| write(&log, &line("/")));
    let (sink, in_file) = file(&dir, "access.log");
    log.change(&sink).unwrap();
    write(&log, &line("/next"));
    wait_until(PATIENCE, || log.counts.get().written == 1);
    assert_eq!((targets(&in_file()), log.counts.waiting()), (vec!["/next".to_owned()], 100));
    drop(release);
    log.settle(PATIENCE);
    assert_eq!(log.counts.waiting(), 0);
}

#[test]
fn a_form_that_changes_leaves_the_sink_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&to(&path)).unwrap();
    // Whoever opened the path again would make a new file.
    std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
    log.change(&AccessSpec { format: "{target}".parse().unwrap(), ..to(&path) }).unwrap();
    write(&log, &line("/new-form"));
    log.settle(PATIENCE);
    assert_eq!(std::fs::read_to_string(dir.path().join("access.log.1")).unwrap(), "/new-form\n");
    assert!(!path.exists());
}

/// As logrotate does with `copytruncate`.
#[test]
fn a_file_that_is_emptied_is_written_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, in_file) = file(&dir, "access.log");
    let log = AccessLog::open(&spec).unwrap();
    write(&log, &line("/copied"));
    log.settle(PATIENCE);
    OpenOptions::new().write(true).truncate(true).open(dir.path().join("access.log")).unwrap();
    write(&log, &line("/after"));
    log.settle(PATIENCE);
    assert_eq!(targets(&in_file()), ["/after"]);
}

#[test]
fn the_file_that_is_written_now_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let ((first, _), (second, in_second)) = (file(&dir, "first.log"), file(&dir, "second.log"));
    let log = AccessLog::open(&first).unwrap();
    log.change(&second).unwrap();
    for name in ["first.log", "second.log"] {
        std::fs::rename(dir.path().join(name), dir.path().join(format!("{name}.1"))).unwrap();
    }
    log.reopen();
    write(&log, &line("/again"));
    log.settle(PATIENCE);
    assert_eq!(targets(&in_second()), ["/again"]);
    assert!(!dir.path().join("first.log").exists());
}
