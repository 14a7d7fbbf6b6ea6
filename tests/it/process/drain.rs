//! `server.drain`: what a process that ends leaves its clients of time, step by step.

use std::process::Command;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{Client, Endpoint, H2Endpoint, PATIENCE, eventually};

use super::{Running, told};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n";

/// A process with the listener `web`, one pool and these times of the drain.
async fn process(drain: &str, pool: &str, endpoint: impl std::fmt::Display) -> Running {
    let config = format!(
        "server: {{ drain: {{ {drain} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ {pool} endpoints: ['{endpoint}'] }} }}
routes:
  - {{ match: {{ path: /here }}, respond: {{ body: hi }} }}
  - {{ match: {{ path: /later }}, respond: {{ body: hi, delay: 60s }} }}
  - {{ pool: app }}
log: {{ access: {{ to: access.log }} }}
"
    );
    Running::start(&config, 1).await
}

/// An endpoint that answers requests for an upgrade with a tunnel that echoes, and others with an event stream that
/// never ends, or not at all.
async fn endpoint() -> Endpoint {
    Endpoint::scripted(|mut exchange| async move {
        if exchange.request.header("upgrade").is_some() {
            exchange
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                .await;
            let (mut read, mut write) = exchange.stream.split();
            tokio::io::copy(&mut read, &mut write).await.ok();
            return None;
        }
        let head = match exchange.request.path() {
            "/events" => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            }
            "/half" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            _ => "",
        };
        exchange.send(head).await;
        while exchange.request.path() == "/events"
            && exchange.stream.write_all(b"3\r\n:\n\n\r\n").await.is_ok()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::future::pending().await
    })
    .await
}

async fn client(running: &Running) -> Client {
    Client::connect(running.address()).await
}

async fn get(client: &mut Client, path: &str) -> crate::support::Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    client.response().await
}

async fn tunnel(running: &Running) -> Client {
    let mut client = client(running).await;
    client.send(UPGRADE).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    echoes(&mut client).await;
    client
}

async fn echoes(client: &mut Client) {
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
}

async fn is_closed(running: &Running) {
    let address = running.address();
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
}

/// The lines of the access log, once the process has ended.
fn lines(running: &Running) -> Vec<Value> {
    let log = std::fs::read_to_string(running.file("access.log")).unwrap_or_default();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn ends(running: &mut Running) {
    assert_eq!(running.exit_code().await, Some(0));
}

/// A connection of HTTP/2 by prior knowledge.
struct H2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl H2 {
    async fn connect(running: &Running) -> Self {
        let stream = TcpStream::connect(running.address()).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> ResponseFuture {
        let mut request = Request::get(format!("http://a{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await.unwrap();
        requests.send_request(request.body(()).unwrap(), true).unwrap().0
    }

    /// Whether the edge ends the connection politely.
    async fn sent_off(self) -> bool {
        // While there is somebody who could begin a request, the connection goes on.
        drop(self.requests);
        timeout(PATIENCE, self.connection).await.expect("it ends").unwrap().is_ok()
    }
}

// === The grace ===

#[tokio::test]
async fn in_its_grace_a_process_serves_everybody_and_sends_them_off() {
    let endpoint = Endpoint::answering("ok").await;
    let mut running = process("accept_grace: 10m", "", endpoint.address()).await;
    let (mut proxied, mut local) = (client(&running).await, client(&running).await);
    assert_ne!(get(&mut proxied, "/").await.header("connection"), Some("close"));
    assert_ne!(get(&mut local, "/here").await.header("connection"), Some("close"));
    let old = H2::connect(&running).await;
    assert_eq!(old.get("/", &[]).await.await.unwrap().status(), 200);
    running.signal(Signal::TERM);
    running.tells("draining http=3 tunnels=0 tcp=0 udp=0 accept_grace=10m").await;
    let mut evener = Command::new(env!("CARGO_BIN_EXE_evener"));
    evener.arg("status").current_dir(running.file(""));
    let status = tokio::task::spawn_blocking(move || evener.output().unwrap()).await.unwrap();
    assert!(told(&status).1.lines().next().unwrap().ends_with(", draining"), "{status:?}");
    assert!(timeout(PATIENCE, old.connection).await.expect("it gets GOAWAY").unwrap().is_ok());
    for client in [&mut proxied, &mut local, &mut client(&running).await] {
        let response = get(client, "/").await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(client.is_closed().await);
    }
    let response = get(&mut client(&running).await, "/here").await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    let new = H2::connect(&running).await;
    assert_eq!(new.get("/", &[]).await.await.unwrap().status(), 200);
    assert!(new.sent_off().await);
    assert!(running.is_running());
    running.signal(Signal::TERM);
    ends(&mut running).await;
}

#[tokio::test]
async fn after_the_grace_nobody_is_accepted_and_what_rests_is_closed() {
    let endpoint = Endpoint::answering("ok").await;
    let mut running = process("accept_grace: 300ms", "", endpoint.address()).await;
    let mut resting = client(&running).await;
    assert_eq!(get(&mut resting, "/").await.status, 200);
    running.signal(Signal::TERM);
    assert!(resting.is_closed().await);
    is_closed(&running).await;
    ends(&mut running).await;
    running.tells("nobody is accepted any more").await;
    running.tells("drained").await;
}

// === Requests ===

#[tokio::test]
async fn requests_that_take_too_long_are_answered_with_503_and_logged() {
    let endpoint = endpoint().await;
    let mut running =
        process("requests: 200ms", "max_requests: 3, queue: { timeout: 1m },", endpoint.address()).await;
    let mut clients = Vec::new();
    for path in ["/", "/", "/half", "/queued", "/later"] {
        let mut client = client(&running).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        clients.push(client);
        let asked = clients.len().min(3);
        eventually("it is with the endpoint", async || endpoint.requests().len() == asked).await;
    }
    let h2 = H2::connect(&running).await;
    let later = h2.get("/later", &[]).await;
    // What is answered after it shows that the others have been taken in.
    assert_eq!(h2.get("/here", &[]).await.await.unwrap().status(), 200);
    running.signal(Signal::TERM);
    assert_eq!(timeout(PATIENCE, later).await.expect("is answered").unwrap().status(), 503);
    let mut half = clients.remove(2);
    for mut client in clients {
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (503, Some("close")));
        assert!(response.header("proxy-status").unwrap().ends_with("details=\"cut\""), "{}", response.head);
    }
    assert!(half.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(half.rest().await, b"half");
    ends(&mut running).await;
    running.tells("requests have had their time http=6 tunnels=0 tcp=0 udp=0").await;
    let lines = lines(&running);
    let cut: Vec<_> = lines.iter().filter(|line| line["cause"] == "cut").collect();
    assert_eq!((lines.len(), cut.len()), (7, 6), "{lines:?}");
}

#[tokio::test]
async fn a_cut_blames_no_endpoint() {
    let endpoint = endpoint().await;
    let mut running =
        process("requests: 100ms", "retry: { attempts: 3, on: [reset] },", endpoint.address()).await;
    let mut client = client(&running).await;
    client.send(GET).await;
    eventually("it is with the endpoint", async || endpoint.requests().len() == 1).await;
    running.signal(Signal::TERM);
    assert_eq!(client.response().await.status, 503);
    ends(&mut running).await;
    assert_eq!(endpoint.requests().len(), 1);
}

/// What has been sent of an answer that a filter holds up has gone out, and the rest does not keep the process.
#[tokio::test]
async fn what_a_filter_holds_up_is_cut_in_time() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 262144\r\nCache-Control: max-age=60\r\n\r\n";
        exchange.send([head.as_bytes(), &[b'x'; 262_144]].concat()).await;
        Some(exchange)
    })
    .await;
    let config = format!(
        "server: {{ drain: {{ requests: 100ms }}, caches: {{ main: {{ memory: 8MiB }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes:
  - {{ match: {{ path: /stored }}, filters: [{{ bandwidth: {{ down: 4KiB/s }} }}, {{ cache: {{ in: main }} }}], pool: app }}
  - {{ filters: [{{ bandwidth: {{ down: 4KiB/s }} }}], pool: app }}
log: {{ access: {{ to: access.log }} }}
",
        endpoint.address()
    );
    let mut running = Running::start(&config, 1).await;
    let mut clients = Vec::new();
    for path in ["/", "/stored"] {
        let mut client = client(&running).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        clients.push(client);
    }
    let h2 = H2::connect(&running).await;
    let mut body = h2.get("/", &[]).await.await.unwrap().into_body();
    running.signal(Signal::TERM);
    for client in &mut clients {
        assert!(client.rest().await.len() < 262_144);
    }
    while let Some(Ok(piece)) = timeout(PATIENCE, body.data()).await.expect("it ends") {
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    ends(&mut running).await;
    let lines = lines(&running);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line["cause"] == "cut"), "{lines:?}");
}

// === What goes on for as long as its clients like ===

#[tokio::test]
async fn tunnels_and_streams_outlive_requests() {
    let endpoint = endpoint().await;
    let mut running = process("requests: 100ms, tunnels: 10m", "", endpoint.address()).await;
    let mut tunnel = tunnel(&running).await;
    let mut events = client(&running).await;
    events.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(events.head().await.contains("text/event-stream"));
    let h2 = H2::connect(&running).await;
    let answer = h2.get("/events", &[]).await.await.unwrap();
    let mut h2_events = answer.into_body();
    running.signal(Signal::TERM);
    running.tells("requests have had their time http=3 tunnels=3 tcp=0 udp=0").await;
    for _ in 0..10 {
        echoes(&mut tunnel).await;
        events.until(b":\n\n").await;
        let piece = timeout(PATIENCE, h2_events.data()).await.unwrap().unwrap().unwrap();
        h2_events.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert!(running.is_running());
    drop((tunnel, events, h2_events));
    assert!(h2.sent_off().await);
    ends(&mut running).await;
    running.tells("drained").await;
}

#[tokio::test]
async fn calls_of_grpc_outlive_requests_also_without_an_answer() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let _ = std::future::poll_fn(|cx| exchange.answer.poll_reset(cx)).await;
    })
    .await;
    let mut running = process("requests: 100ms, tunnels: 500ms", "protocol: h2c,", endpoint.address()).await;
    let h2 = H2::connect(&running).await;
    let call = h2.get("/test/Hang", &[("content-type", "application/grpc"), ("te", "trailers")]).await;
    eventually("it is with the endpoint", async || endpoint.heads().len() == 1).await;
    running.signal(Signal::TERM);
    running.tells("requests have had their time http=1 tunnels=1 tcp=0 udp=0").await;
    let answer = timeout(PATIENCE, call).await.expect("is answered").unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"14".parse().unwrap()));
    running.tells("drain cut short").await;
    ends(&mut running).await;
    let lines = lines(&running);
    assert_eq!((lines.len(), &lines[0]["cause"]), (1, &Value::from("cut")), "{lines:?}");
}

/// Echoes on a port of its own, by TCP and UDP.
async fn echo() -> u16 {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    tokio::spawn(async move {
        let mut datagram = [0; 100];
        while let Ok((size, peer)) = udp.recv_from(&mut datagram).await {
            udp.send_to(&datagram[..size], peer).await.unwrap();
        }
    });
    address.port()
}

#[tokio::test]
async fn what_lasts_is_cut_at_last_and_says_so() {
    let (endpoint, echo) = (endpoint().await, echo().await);
    let config = format!(
        "server: {{ drain: {{ requests: 100ms, tunnels: 1s }} }}
listeners:
  web: {{ bind: 127.0.0.1:0 }}
  db: {{ bind: 127.0.0.1:0, tcp: {{ pool: echo }} }}
  dns: {{ bind: 127.0.0.1:0, udp: {{ pool: echo }} }}
pools: {{ app: {{ endpoints: ['{}'] }}, echo: {{ balance: round_robin, endpoints: [127.0.0.1:{echo}] }} }}
routes: [{{ pool: app }}]
log: {{ access: {{ to: access.log }} }}
",
        endpoint.address()
    );
    let mut running = Running::start(&config, 1).await;
    let [_, db, dns] = running.addresses()[..] else { panic!("three listeners") };
    let mut tunnel = tunnel(&running).await;
    let mut stream = TcpStream::connect(db).await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(dns).await.unwrap();
    let mut answer = [0; 5];
    stream.write_all(b"hello").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    socket.send(b"hello").await.unwrap();
    timeout(PATIENCE, socket.recv(&mut answer)).await.expect("is answered").unwrap();
    running.signal(Signal::TERM);
    running.tells("requests have had their time http=1 tunnels=1 tcp=1 udp=1").await;
    echoes(&mut tunnel).await;
    stream.write_all(b"hello").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    socket.send(b"hello").await.unwrap();
    timeout(PATIENCE, socket.recv(&mut answer)).await.expect("is answered").unwrap();
    running.tells("drain cut short http=1 tunnels=1 tcp=1 udp=1 reason=\"it took too long\"").await;
    assert!(tunnel.is_closed().await);
    let error = timeout(PATIENCE, stream.read(&mut answer)).await.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    ends(&mut running).await;
    let lines = lines(&running);
    let of = |protocol: &str| lines.iter().find(|line| line["protocol"] == protocol).unwrap();
    assert_eq!((&of("HTTP/1.1")["status"], &of("HTTP/1.1")["cause"]), (&101.into(), &"cut".into()));
    assert_eq!(of("TCP")["ended"], "cut");
    assert_eq!(of("UDP")["ended"], "cut");
}

#[tokio::test]
async fn a_second_signal_cuts_everything_at_once_in_every_step() {
    let endpoint = endpoint().await;
    for drain in ["accept_grace: 10m", "requests: 1h, tunnels: 1h", "requests: 0s"] {
        let mut running = process(drain, "", endpoint.address()).await;
        let mut tunnel = tunnel(&running).await;
        let mut events = client(&running).await;
        events.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
        events.until(b":\n\n").await;
        running.signal(Signal::TERM);
        running.tells(if drain == "requests: 0s" { "their time" } else { "draining" }).await;
        echoes(&mut tunnel).await;
        running.signal(Signal::TERM);
        ends(&mut running).await;
        running.tells("drain cut short http=2 tunnels=2 tcp=0 udp=0 reason=\"by a second signal\"").await;
        let lines = lines(&running);
        assert!(lines.len() == 2 && lines.iter().all(|line| line["cause"] == "cut"), "{lines:?}");
    }
}
