use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use evener::config::spec::DrainSpec;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixDatagram};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::{Ca, Client, Endpoint, PATIENCE, dead, eventually};

use super::run::Running;
use super::{Place, told};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PLAIN: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: {} }]
log: { access: { format: off } }
";

/// A service manager, as far as it listens to what it is told.
pub(super) struct Manager {
    socket: UnixDatagram,
    name: OsString,
    _folder: TempDir,
}

impl Manager {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        Self { socket: UnixDatagram::bind(&path).unwrap(), name: path.into(), _folder: folder }
    }

    /// Starts a process that knows of it, with these variables.
    pub(super) async fn starts(&self, place: Place, variables: &[(&str, &str)]) -> Running {
        let mut command = place.command(&["run", "-c", "edge.yaml"]);
        command.env("NOTIFY_SOCKET", &self.name).envs(variables.iter().copied()).stdout(Stdio::null());
        Running::launch(place, command, 1).await
    }

    /// The next message, line by line.
    pub(super) async fn hears(&self) -> Vec<String> {
        let mut buffer = [0; 1024];
        let length =
            timeout(PATIENCE, self.socket.recv(&mut buffer)).await.expect("a message comes").unwrap();
        std::str::from_utf8(&buffer[..length]).unwrap().lines().map(str::to_owned).collect()
    }

    /// Passes over all messages before the one that begins like this.
    pub(super) async fn hears_of(&self, state: &str) -> Vec<String> {
        loop {
            let message = self.hears().await;
            if message[0] == state {
                return message;
            }
        }
    }
}

fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[tokio::test]
async fn a_process_is_ready_once_it_knows_who_is_fit() {
    let gate = Arc::new(Semaphore::new(0));
    let script_gate = gate.clone();
    let slow = Endpoint::scripted(move |mut exchange| {
        let gate = script_gate.clone();
        async move {
            let _permit = gate.acquire().await.unwrap();
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            Some(exchange)
        }
    })
    .await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}', '{}'], health: {{ http: {{ path: / }}, timeout: 60s, interval: 60s }} }} }}
routes: [{{ pool: app }}]
log: {{ access: {{ format: off }} }}
",
        slow.address(),
        dead().await
    );
    let manager = Manager::new();
    let running = manager.starts(Place::with(&config), &[]).await;
    eventually("the endpoint is probed", async || !slow.probes().is_empty()).await;
    gate.add_permits(1);
    assert_eq!(manager.hears().await, ["READY=1", "STATUS=1 listener, 1 of 2 endpoints fit"]);
    let mut status = Command::new(env!("CARGO_BIN_EXE_evener"));
    status.arg("status").current_dir(running.file(""));
    let status = tokio::task::spawn_blocking(move || status.output().unwrap()).await.unwrap();
    assert_eq!(told(&status).0, 0);
    let mut client = Client::connect(running.address()).await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_change_of_who_is_fit_is_told() {
    let endpoint = Endpoint::answering("ok").await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'], health: {{ http: {{ path: / }}, interval: 1s, fall: 1 }} }} }}
routes: [{{ pool: app }}]
log: {{ access: {{ format: off }} }}
",
        endpoint.address()
    );
    let manager = Manager::new();
    let _running = manager.starts(Place::with(&config), &[]).await;
    assert_eq!(manager.hears().await, ["READY=1", "STATUS=1 listener, 1 of 1 endpoint fit"]);
    drop(endpoint);
    assert_eq!(manager.hears().await, ["STATUS=1 listener, 0 of 1 endpoint fit"]);
}

#[tokio::test]
async fn a_drain_is_told_before_it_ends() {
    let (endpoint, gate) = Endpoint::held().await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ pool: app }}]
log: {{ access: {{ format: off }} }}
",
        endpoint.address()
    );
    let manager = Manager::new();
    let mut running = manager.starts(Place::with(&config), &[]).await;
    manager.hears_of("READY=1").await;
    let mut client = Client::connect(running.address()).await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    running.signal(Signal::TERM);
    let message = manager.hears_of("STOPPING=1").await;
    assert_eq!(message[1], "STATUS=draining, http=1 tunnels=0 tcp=0 udp=0");
    gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
    assert_eq!(running.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_end_of_a_process_without_connections_is_told_too() {
    let manager = Manager::new();
    let mut running = manager.starts(Place::with(PLAIN), &[]).await;
    assert_eq!(manager.hears().await, ["READY=1", "STATUS=1 listener"]);
    running.signal(Signal::TERM);
    assert_eq!(manager.hears().await[0], "STOPPING=1");
    assert_eq!(running.exit_code().await, Some(0));
}

#[tokio::test]
async fn certificates_are_read_again_by_the_time_that_a_reload_is_over() {
    let place = Place::with(
        "listeners: { web: { bind: 127.0.0.1:0, tls: { certificates: [{ cert: a.pem, key: a.key }] } } }
routes: [{ match: { host: a.example }, respond: {} }]
log: { access: { format: off } }
",
    );
    let ca = Ca::new("site");
    ca.issue(&["a.example"]).write(place.path(), "a");
    let manager = Manager::new();
    let running = manager.starts(place, &[]).await;
    manager.hears_of("READY=1").await;
    for _ in 0..3 {
        let renewed = ca.issue(&["a.example"]);
        renewed.write(&running.file(""), "a");
        let before = monotonic_usec();
        running.signal(Signal::HUP);
        let message = manager.hears_of("RELOADING=1").await;
        let sent: i64 = message[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=monotonic_usec()).contains(&sent), "{before} {sent}");
        assert_eq!(message[2], "STATUS=reloading");
        assert_eq!(manager.hears().await, ["READY=1", "STATUS=1 listener"]);
        assert_eq!(shown(&ca, &running).await, renewed.der().as_ref());
    }
}

/// The certificate that a client is shown.
async fn shown(ca: &Ca, running: &Running) -> Vec<u8> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(ca.client(&[])));
    let stream = TcpStream::connect(running.address()).await.unwrap();
    let stream = connector.connect("a.example".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_watchdog_hears_again_and_again_that_all_is_well() {
    let manager = Manager::new();
    let running = manager.starts(Place::with(PLAIN), &[("WATCHDOG_USEC", "20000")]).await;
    for _ in 0..5 {
        manager.hears_of("WATCHDOG=1").await;
    }
    drop(running);
    // The watchdog of another process.
    let manager = Manager::new();
    let mut running =
        manager.starts(Place::with(PLAIN), &[("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")]).await;
    assert_eq!(manager.hears().await[0], "READY=1");
    running.signal(Signal::TERM);
    assert_eq!(manager.hears().await[0], "STOPPING=1");
    assert_eq!(running.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_manager_may_have_an_abstract_name() {
    let name = format!("evener-manager-{}", std::process::id());
    let socket = StdUnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = UnixDatagram::from_std(socket).unwrap();
    let manager = Manager { socket, name: format!("@{name}").into(), _folder: tempfile::tempdir().unwrap() };
    let _running = manager.starts(Place::with(PLAIN), &[]).await;
    assert_eq!(manager.hears().await[0], "READY=1");
}

#[tokio::test]
async fn without_a_manager_that_listens_a_process_serves_all_the_same() {
    let mut manager = Manager::new();
    manager.name = "vsock:2:1".into();
    let running = manager.starts(Place::with(PLAIN), &[]).await;
    running.tells("NOTIFY_SOCKET=\"vsock:2:1\" cannot be used").await;
    manager.name = "/nonexistent/notify.sock".into();
    let running = manager.starts(Place::with(PLAIN), &[]).await;
    running.tells("the service manager cannot be told what goes on").await;
    let mut client = Client::connect(running.address()).await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
}

/// What the unit of the examples says for a key.
fn unit(key: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/evener.service");
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.next_back().unwrap_or_else(|| panic!("no {key}")).to_owned()
}

#[test]
fn the_unit_fits_the_command() {
    assert_eq!(unit("Type"), "notify-reload");
    assert_eq!(unit("RestartPreventExitStatus"), "64");
    let DrainSpec { accept_grace, tunnels, .. } = DrainSpec::default();
    let seconds: u64 = unit("TimeoutStopSec").strip_suffix('s').unwrap().parse().unwrap();
    assert!(Duration::from_secs(seconds) > accept_grace.get() + tunnels.get());
    let start = unit("ExecStart");
    let arguments: Vec<_> = start.split(' ').skip(1).collect();
    let place = Place::with("");
    let (code, _, err) = told(&place.evener(&arguments));
    assert_eq!(code, 64, "a refused file, not a wrong command line: {err}");
    assert!(err.contains("/etc/evener/evener.yaml"), "{err}");
}
