use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use tokio::sync::Semaphore;

use crate::support::{Client, Edge, Endpoint, PATIENCE, dead, eventually};

use super::run::Running;
use super::{Place, told};

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evener"));
    command.args(arguments).current_dir(folder);
    command
}

pub(super) async fn evener(running: &Running, arguments: &[&str]) -> (i32, String, String) {
    running.evener(arguments).await
}

pub(super) async fn status(running: &Running) -> serde_json::Value {
    running.status().await
}

pub(super) async fn get(running: &Running) -> u16 {
    let mut client = Client::connect(running.address()).await;
    client.send(GET).await;
    client.response().await.status
}

pub(super) fn config(pool: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ {pool} }} }}
routes: [{{ pool: app }}]
log: {{ access: {{ format: off }} }}
"
    )
}

/// A configuration whose one route needs no pool.
fn config_with_server(server: &str) -> String {
    format!(
        "server: {{ {server} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ format: off }} }}
"
    )
}

/// A process whose first endpoint gets all requests while it is fit, and answers each once it may.
pub(super) struct Gated {
    pub(super) running: Running,
    pub(super) first: Endpoint,
    pub(super) second: Endpoint,
    pub(super) gate: Arc<Semaphore>,
}

impl Gated {
    pub(super) async fn start() -> Self {
        Self::start_with(str::to_owned).await
    }

    /// The same with another configuration, which is made of the usual one.
    pub(super) async fn start_with(change: impl FnOnce(&str) -> String) -> Self {
        let (first, gate) = Endpoint::held().await;
        let second = Endpoint::answering("second").await;
        let endpoints = format!("balance: first, endpoints: ['{}', '{}']", first.address(), second.address());
        let running = Running::start(&change(&config(&endpoints)), 1).await;
        Self { running, first, second, gate }
    }

    /// A request that waits at the first endpoint.
    pub(super) async fn begin(&self) -> Client {
        let before = self.first.requests().len();
        let mut client = Client::connect(self.running.address()).await;
        client.send(GET).await;
        eventually("the request is with the endpoint", async || self.first.requests().len() > before).await;
        client
    }

    pub(super) fn target(&self) -> String {
        format!("app/{}", self.first.address())
    }

    pub(super) async fn state(&self) -> String {
        status(&self.running).await["pools"][0]["endpoints"][0]["state"].as_str().unwrap().to_owned()
    }
}

/// A command that runs; it is killed when it is dropped.
pub(super) struct Started {
    child: Child,
    errors: Option<BufReader<ChildStderr>>,
}

impl Started {
    pub(super) fn new(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = Some(BufReader::new(child.stderr.take().unwrap()));
        Self { child, errors }
    }

    /// The next line on standard error.
    pub(super) async fn line(&mut self) -> String {
        let mut errors = self.errors.take().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            errors.read_line(&mut line).unwrap();
            (line, errors)
        });
        let (line, errors) = tokio::time::timeout(PATIENCE, read).await.expect("a line").unwrap();
        self.errors = Some(errors);
        line
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; exit code, standard output and what is left of standard error.
    pub(super) async fn ended(mut self) -> (i32, String, String) {
        eventually("the command ends", async || !self.is_running()).await;
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.errors.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().unwrap(), out, err)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === Status ===

#[tokio::test]
async fn status_tells_who_is_fit_and_what_was_done() {
    let (good, gone) = (Endpoint::answering("ok").await, dead().await);
    let pool = format!(
        "endpoints: ['{}', {{ address: '{gone}', weight: 7, backup: true }}],
         health: {{ tcp: {{}}, interval: 100ms, timeout: 100ms, fall: 1, rise: 1 }}",
        good.address()
    );
    let running = Running::start(&config(&pool), 1).await;
    let states = async |first: &str, second: &str| {
        let endpoints = &status(&running).await["pools"][0]["endpoints"];
        endpoints[0]["state"] == first && endpoints[1]["state"] == second
    };
    eventually("one endpoint is fit", async || states("fit", "unfit").await).await;
    for _ in 0..3 {
        assert_eq!(get(&running).await, 200);
    }
    let (code, out, err) = evener(&running, &["status", "-c", "edge.yaml", "app"]).await;
    assert_eq!((code, &*err), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with(concat!("evener ", env!("CARGO_PKG_VERSION"), ", process ")), "{out}");
    assert_eq!(
        lines[3],
        "app  peak_ewma, 1 of 2 fit, 0 in flight, 0 waiting, 0 retries, 3 picks, 0 failures"
    );
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[5])[..5], [&good.address().to_string(), "fit", "1", "0/1024", "3"]);
    assert_eq!(words(lines[6])[..5], [&gone.to_string(), "unfit", "7", "0/1024", "0"]);
    assert!(lines[6].ends_with("backup, probe failed: connection refused"), "{out}");
}

#[tokio::test]
async fn json_has_all_that_the_table_has() {
    let (first, second) = (Endpoint::answering("a").await, Endpoint::answering("b").await);
    let pool = format!(
        "endpoints: [{{ address: '{}', zone: a, weight: 3, max_requests: 9 }}, '{}'],
         health: {{ http: {{ path: / }} }}",
        first.address(),
        second.address()
    );
    let running = Running::start(&config(&pool), 1).await;
    eventually("both are fit", async || status(&running).await["pools"][0]["fit"] == 2).await;
    assert_eq!(get(&running).await, 200);
    let status = status(&running).await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["draining"], false);
    let pool = &status["pools"][0];
    let totals = ["in_flight", "waiting", "retries", "picks", "failures"].map(|key| pool[key].as_u64());
    assert_eq!(totals, [0, 0, 0, 1, 0].map(Some));
    assert_eq!((&pool["name"], &pool["balance"]), (&"app".into(), &"peak_ewma".into()));
    assert_eq!(pool["panic"], false);
    let endpoint = &pool["endpoints"][0];
    assert_eq!(endpoint["address"], first.address().to_string());
    assert_eq!((&endpoint["zone"], &endpoint["backup"]), (&"a".into(), &false.into()));
    let numbers = ["weight", "in_flight", "max_requests", "failures"].map(|key| endpoint[key].as_u64());
    assert_eq!(numbers, [3, 0, 9, 0].map(Some));
    assert!(endpoint["slow_start_percent"].is_null() && endpoint["ejected_for_ms"].is_null());
    let probe = &endpoint["probes"][0];
    assert_eq!((&probe["passed"], &probe["reason"]), (&true.into(), &"200 OK".into()));
    assert!(probe["took_ms"].is_number());
    assert!(humantime::parse_rfc3339(probe["at"].as_str().unwrap()).is_ok());
    let latencies = pool["endpoints"].as_array().unwrap().iter().filter(|one| one["latency_ms"].is_number());
    assert_eq!(latencies.count(), 1);
}

#[tokio::test]
async fn a_process_that_is_about_to_end_still_tells() {
    let mut gated = Gated::start().await;
    let mut client = gated.begin().await;
    gated.running.signal(Signal::TERM);
    eventually("it drains", async || status(&gated.running).await["draining"] == true).await;
    assert_eq!(status(&gated.running).await["pools"][0]["in_flight"], 1);
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(gated.running.exit_code().await, Some(0));
}

// === Drain and weight ===

#[tokio::test]
async fn a_drained_endpoint_finishes_its_work_and_gets_no_new() {
    let gated = Gated::start().await;
    let target = gated.target();
    let mut client = gated.begin().await;
    let mut drain = Started::new(&gated.running.file(""), &["drain", &target]);
    assert_eq!(drain.line().await, "1 request in flight\n");
    for _ in 0..3 {
        assert_eq!(get(&gated.running).await, 200);
    }
    assert_eq!((gated.first.requests().len(), gated.second.requests().len()), (1, 3));
    assert_eq!(gated.state().await, "draining");
    assert!(drain.is_running());
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(drain.ended().await, (0, "drained\n".to_owned(), String::new()));
    assert_eq!(gated.state().await, "drained");
    gated
        .running
        .tells(&format!("endpoint is drained by an operator pool=app endpoint={}", &target[4..]))
        .await;

    let back = evener(&gated.running, &["drain", &target, "--undo"]).await;
    assert_eq!(back, (0, "fit\n".to_owned(), String::new()));
    gated.running.tells("endpoint is taken in again by an operator pool=app").await;
    gated.gate.add_permits(1);
    let mut client = gated.begin().await;
    assert_eq!(client.response().await.text(), "ok");
}

#[tokio::test]
async fn a_drain_need_not_be_waited_for() {
    let gated = Gated::start().await;
    let target = gated.target();
    let _client = gated.begin().await;
    let (code, out, err) = evener(&gated.running, &["drain", &target, "--timeout", "100ms"]).await;
    assert_eq!((code, &*out), (1, ""));
    assert!(err.ends_with("evener: 1 request in flight after 100ms; the endpoint stays in drain\n"), "{err}");
    let at_once = evener(&gated.running, &["drain", &target, "--no-wait"]).await;
    assert_eq!(at_once, (0, "draining, 1 request in flight\n".to_owned(), String::new()));
}

#[tokio::test]
async fn a_drain_that_is_undone_is_over() {
    let gated = Gated::start().await;
    let target = gated.target();
    let _client = gated.begin().await;
    let mut drain = Started::new(&gated.running.file(""), &["drain", &target]);
    assert_eq!(drain.line().await, "1 request in flight\n");
    assert_eq!(evener(&gated.running, &["drain", &target, "--undo"]).await.0, 0);
    let expected = format!("evener: {target} was taken in again meanwhile\n");
    assert_eq!(drain.ended().await, (1, String::new(), expected));
}

#[tokio::test]
async fn a_weight_of_zero_drains_and_another_ends_it() {
    let gated = Gated::start().await;
    let (running, target) = (&gated.running, gated.target());
    let weigh = async |weight: &str| evener(running, &["weight", &target, weight]).await;
    assert_eq!(weigh("0").await, (0, "weight 0, was 1\n".to_owned(), String::new()));
    assert_eq!(gated.state().await, "drained");
    assert_eq!(get(running).await, 200);
    assert_eq!(gated.second.requests().len(), 1);
    assert_eq!(weigh("20").await, (0, "weight 20, was 0\n".to_owned(), String::new()));
    assert_eq!(gated.state().await, "fit");
    assert_eq!(status(running).await["pools"][0]["endpoints"][0]["weight"], 20);
    running.tells("endpoint is weighted by an operator pool=app").await;
    running.tells("from=0 to=20").await;
}

// === Mistakes ===

#[tokio::test]
async fn what_does_not_exist_is_told_with_what_does() {
    let gated = Gated::start().await;
    let (first, second) = (gated.first.address(), gated.second.address());
    let (code, out, err) = evener(&gated.running, &["status", "ap"]).await;
    assert_eq!((code, &*out), (1, ""));
    assert_eq!(err, "evener: no pool named `ap`\n  help: did you mean `app`?\n  help: there is app\n");
    let (code, _, err) = evener(&gated.running, &["drain", "app/10.1.2.3:4"]).await;
    assert_eq!(code, 1);
    assert!(err.starts_with("evener: pool `app` has no endpoint `10.1.2.3:4`\n"), "{err}");
    assert!(err.ends_with(&format!("  help: there is {first}, {second}\n")), "{err}");
    for arguments in [
        &["drain", "app"][..],
        &["drain"],
        &["drain", "app/127.0.0.1:1", "--undo", "--no-wait"],
        &["drain", "app/127.0.0.1:1", "--timeout", "5"],
        &["weight", "app/127.0.0.1:1", "1001"],
        &["status", "-c", "edge.yaml", "--socket", "run/evener.sock"],
    ] {
        assert_eq!(evener(&gated.running, arguments).await.0, 2, "{arguments:?}");
    }
}

#[test]
fn that_nobody_answers_is_told_with_the_way_out() {
    let place = Place::with(&config_with_server("control_socket: chosen.sock"));
    let nobody = |arguments: &[&str], path: &str| {
        let (code, out, err) = told(&place.evener(arguments));
        assert_eq!((code, &*out), (1, ""));
        let expected =
            format!("evener: nobody answers on {path}: No such file or directory (os error 2)\n  help: ");
        assert!(err.starts_with(&expected) && err.contains("`--socket PATH`"), "{err}");
    };
    nobody(&["status"], "run/evener.sock");
    nobody(&["status", "--socket", "other.sock"], "other.sock");
    nobody(&["drain", "app/127.0.0.1:1", "-c", "edge.yaml"], "chosen.sock");
}

#[tokio::test]
async fn the_socket_is_found_in_a_file_with_errors_elsewhere() {
    let running = Running::start(&config_with_server("control_socket: chosen.sock"), 1).await;
    let ask = async |text: &str| {
        std::fs::write(running.file("changed.yaml"), text).unwrap();
        evener(&running, &["status", "-c", "changed.yaml"]).await
    };
    let broken = "server: { control_socket: chosen.sock, threads: many }
pools: { app: { endpoints: nowhere } }
listenars: {}
";
    assert_eq!(ask(broken).await.0, 0);
    let (code, _, err) = ask("server: { control_socket: [chosen.sock] }\n").await;
    assert_eq!(code, 64);
    assert!(err.contains("server.control_socket"), "{err}");
    assert_eq!(ask("server: [chosen.sock]\n").await.0, 64);
    assert_eq!(ask("server: {\n").await.0, 64);
    let (code, _, err) = ask(&config_with_server("control_socket: off")).await;
    let expected =
        "evener: changed.yaml gives the process no control socket: server.control_socket is `off`\n";
    assert_eq!((code, &*err), (1, expected));
    let absolute = running.file("edge.yaml");
    let elsewhere = Place::with("");
    let found = told(&elsewhere.evener(&["status", "-c", absolute.to_str().unwrap()]));
    assert_eq!((found.0, &*found.2), (0, ""));
}

// === The socket ===

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_socket_is_its_owners_only_and_gone_at_the_end() {
    let mut running = Running::start(&config_with_server(""), 1).await;
    let socket = running.file("run/evener.sock");
    assert!(running.banner.contains(&"  control  run/evener.sock".to_owned()), "{:?}", running.banner);
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn an_edge_inside_another_program_opens_none() {
    let edge = Edge::start(&config_with_server("")).await;
    assert_eq!(edge.get("/").await.status, 200);
    assert_eq!(std::fs::read_dir(edge.folder()).unwrap().count(), 0);
}

#[tokio::test]
async fn off_means_none() {
    let running = Running::start(&config_with_server("control_socket: off"), 1).await;
    assert!(!running.file("run").exists());
    assert!(running.banner.iter().all(|line| !line.starts_with("  control")), "{:?}", running.banner);
}

#[tokio::test]
async fn a_socket_that_was_left_is_replaced_and_one_that_answers_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("evener.sock");
    let config = config_with_server(&format!("control_socket: '{}'", socket.display()));
    let mut first = Running::start(&config, 1).await;
    first.signal(Signal::KILL);
    assert_eq!(first.exit_code().await, None);
    assert!(socket.exists());

    let mut second = Running::start(&config, 1).await;
    let third = Place::with(&config);
    let (code, out, err) = told(&third.evener(&["run", "-c", "edge.yaml"]));
    let expected = format!(
        "evener: the control socket {} cannot be opened: another process answers there; \
         name another place in server.control_socket, or write `off`\n",
        socket.display()
    );
    assert_eq!((code, &*out, &*err), (1, "", &*expected));
    assert_eq!(evener(&second, &["status", "-c", "edge.yaml"]).await.0, 0);
    second.signal(Signal::INT);
    assert_eq!(second.exit_code().await, Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn the_default_place_is_no_reason_not_to_start() {
    // The access log takes the name of the folder that the socket would be in.
    let config = "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: {} }]
log: { access: { to: run } }
";
    let running = Running::start(config, 1).await;
    running
        .tells("commands such as status and reload do not reach this process: the control socket run/evener.sock")
        .await;
    assert_eq!(get(&running).await, 200);
}

#[tokio::test]
async fn broken_requests_are_answered_and_survived() {
    let running = Running::start(&config_with_server(""), 1).await;
    let answer = |request: &[u8]| {
        let mut stream = UnixStream::connect(running.file("run/evener.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        answer["reply"]["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(answer(&[b'x'; 5000]), "the request is longer than 4KiB");
    assert!(answer(b"status\n").starts_with("the request is not understood: "));
    assert!(answer(b"\xff\xfe\n").starts_with("the request is not understood: "));
    assert!(answer(b"{\"v\":1,\"do\":\"reboot\"}\n").starts_with("the request is not understood: "));
    let version = "the request is of version 7 of the protocol, and only 1 is spoken here";
    assert_eq!(answer(b"{\"v\":7}\n"), version);
    assert_eq!(evener(&running, &["status"]).await.0, 0);
}

#[tokio::test]
async fn too_many_at_once_are_told_so() {
    let running = Running::start(&config_with_server(""), 1).await;
    let connect = || UnixStream::connect(running.file("run/evener.sock")).unwrap();
    let waiting: Vec<_> = std::iter::repeat_with(connect).take(16).collect();
    let (code, out, err) = evener(&running, &["status"]).await;
    assert_eq!((code, &*out, &*err), (1, "", "evener: 16 others ask this process already\n"));
    let mut client =
        Client::over(tokio::net::UnixStream::connect(running.file("run/evener.sock")).await.unwrap());
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let told = client.response().await;
    assert_eq!((told.status, told.header("content-type")), (503, Some("application/json")));
    let problem: serde_json::Value = serde_json::from_str(told.text()).unwrap();
    assert_eq!(problem["error"], "16 others ask this process already");
    assert!(client.is_closed().await);
    drop(waiting);
    eventually("there is room again", async || evener(&running, &["status"]).await.0 == 0).await;
}

#[tokio::test]
async fn a_client_that_is_gone_gives_its_place_back() {
    let gated = Gated::start().await;
    let target = gated.target();
    let _client = gated.begin().await;
    for _ in 0..16 {
        let mut drain = Started::new(&gated.running.file(""), &["drain", &target, "--timeout", "1h"]);
        assert_eq!(drain.line().await, "1 request in flight\n");
    }
    eventually("there is room again", async || evener(&gated.running, &["status"]).await.0 == 0).await;
}
