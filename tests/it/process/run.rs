use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::support::{Client, PATIENCE, eventually};

use super::{Place, told};

/// A running `evener run`; it is killed when it is dropped, with whatever took over from it.
pub(crate) struct Running {
    child: Child,
    pub(super) banner: Vec<String>,
    messages: Arc<Mutex<Vec<String>>>,
    place: Place,
}

impl Running {
    /// Starts the command and reads its banner, up to the last of `examples` requests to try.
    pub(crate) async fn start(config: &str, examples: usize) -> Self {
        Self::start_with(config, examples, Stdio::null()).await
    }

    /// The same with a standard output that is not thrown away.
    pub(crate) async fn start_with(config: &str, examples: usize, stdout: Stdio) -> Self {
        let place = Place::with(config);
        let mut command = place.command(&["run", "-c", "edge.yaml"]);
        command.stdout(stdout);
        Self::launch(place, command, examples).await
    }

    /// Starts it by a command of the test's own.
    pub(crate) async fn launch(place: Place, mut command: Command, examples: usize) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let messages = Arc::<Mutex<Vec<String>>>::default();
        let kept = messages.clone();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let banner = tokio::task::spawn_blocking(move || {
            let mut banner: Vec<String> = Vec::new();
            while banner.iter().filter(|line| line.starts_with("  curl ")).count() < examples {
                let line = lines.next().unwrap_or_else(|| panic!("the banner ends: {}", banner.join("\n")));
                banner.push(line.unwrap());
            }
            // The pipe stays open and is emptied, so that messages do not block the process.
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().push(line)));
            banner
        });
        let banner = banner.await.unwrap();
        let running = Self { child, banner, messages, place };
        eventually("the signals are handled", async || running.handles_sigterm()).await;
        running
    }

    fn handles_sigterm(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() >> (Signal::TERM.as_raw() - 1) & 1 == 1
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// The addresses of all listeners in their order, but for files of sockets.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.banner.iter().filter(|line| line.starts_with("  listener "));
        listeners.filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect()
    }

    /// That of the admin listener.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        let told = self.banner.iter().find_map(|line| line.strip_prefix("  admin    "));
        told.unwrap().parse().unwrap()
    }

    /// Waits for a message on standard error that contains this.
    pub(crate) async fn tells(&self, text: &str) {
        let told = async || self.messages.lock().iter().any(|message| message.contains(text));
        eventually(text, told).await;
    }

    /// Whether there was a message on standard error that contains this.
    pub(crate) fn has_told(&self, text: &str) -> bool {
        self.messages.lock().iter().any(|message| message.contains(text))
    }

    /// How many lines of what it has said since the banner have this text.
    pub(crate) fn times_told(&self, text: &str) -> usize {
        self.messages.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// The path of a file in the folder in which the process runs.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.place.folder.path().join(name)
    }

    /// Runs another command in the folder of the process; exit code, standard output and standard error.
    pub(crate) async fn evener(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.place.command(arguments);
        told(&tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
    }

    /// What `evener status --json` tells.
    pub(crate) async fn status(&self) -> serde_json::Value {
        let (code, out, err) = self.evener(&["status", "--json"]).await;
        assert_eq!((code, &*err), (0, ""));
        serde_json::from_str(&out).unwrap()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// The processes that serve, or served and drain, by their ids: this one, and those that took over from it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let all = self.processes_of_any_kind().into_iter();
        all.filter(|id| is_run(*id)).collect()
    }

    /// All processes that run in its folder.
    pub(crate) fn processes_of_any_kind(&self) -> Vec<u32> {
        let folder = self.place.path().canonicalize().unwrap();
        let all = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        // One that has ended is nowhere.
        let is_here = |id: &u32| std::fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|at| at == folder);
        let mut ours: Vec<u32> = all.filter(is_here).collect();
        ours.sort_unstable();
        ours
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end and gives the exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        eventually("the process ends", async || !self.is_running()).await;
        self.child.wait().unwrap().code()
    }
}

/// Sends a signal to a process.
pub(crate) fn send(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
}

/// Whether a process is an `evener run`.
fn is_run(id: u32) -> bool {
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1) == Some(b"run")
}

/// Processes that took over from the first are none of its children.
impl Drop for Running {
    fn drop(&mut self) {
        for id in self.processes_of_any_kind() {
            if let Some(id) = Pid::from_raw(id.cast_signed()) {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_the_banner_says_to_try_works() {
    let running = Running::start(
        "listeners: { web: { bind: 127.0.0.1:0 }, other: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:1, 127.0.0.1:2] } }
routes:
  - { match: { host: '*.example.com', path: /a, listeners: [web] }, respond: { status: 201 } }
  - { match: { path: { exact: /b }, listeners: [other] }, respond: { status: 202 } }
  - { match: { path: /c }, redirect: { to: /d } }
  - { match: { path: /e, methods: [PUT] }, pool: app }
log: { access: { format: off } }
",
        3,
    )
    .await;
    let banner = &running.banner;
    assert_eq!(banner[0], concat!("evener ", env!("CARGO_PKG_VERSION"), " is up"));
    assert_eq!(banner[3], "  pool     app          peak_ewma: 127.0.0.1:1 127.0.0.1:2");
    assert_eq!(banner[4], "  control  run/evener.sock");
    assert_eq!(banner[5], "try");
    let mut statuses = Vec::new();
    for line in &banner[6..] {
        let url = line.split_whitespace().last().unwrap().strip_prefix("http://").unwrap();
        let (address, path) = url.split_at(url.find('/').unwrap());
        let host = line.split("-H 'Host: ").nth(1).map_or(address, |rest| rest.split('\'').next().unwrap());
        let mut client = Client::connect(address.parse().unwrap()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        statuses.push(client.response().await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 202, 308]);
}

fn fails_to_run(config: &str, expected: &str) {
    let begun = Instant::now();
    let place = Place::with(config);
    let (code, out, err) = told(&place.evener(&["run", "-c", "edge.yaml"]));
    assert_eq!((code, &*out), (1, ""));
    assert_eq!(err, expected);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!(
        "listeners: {{ first: {{ bind: 127.0.0.1:0 }}, second: {{ bind: '{address}' }} }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ to: access.log }} }}
"
    );
    fails_to_run(
        &config,
        &format!(
            "evener: listener `second` cannot listen on {address}: the address is in use by another process or listener\n"
        ),
    );
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    fails_to_run(
        "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: {} }]
log: { access: { to: gone/access.log } }
",
        "evener: the access log cannot be opened: access log gone/access.log: No such file or directory (os error 2)\n",
    );
}

#[tokio::test]
async fn a_port_is_free_again_at_once() {
    let config = |port: u16| {
        format!(
            "listeners: {{ web: {{ bind: '127.0.0.1:{port}' }} }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ format: off }} }}
"
        )
    };
    let mut first = Running::start(&config(0), 1).await;
    let address = first.address();
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    first.signal(Signal::TERM);
    assert_eq!(first.exit_code().await, Some(0));
    assert!(tokio::time::timeout(Duration::from_secs(5), client.is_closed()).await.unwrap());
    let second = Running::start(&config(address.port()), 1).await;
    assert_eq!(second.address(), address);
}
