use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::process::Running;
use crate::support::{Client, Edge, PATIENCE, eventually};

use super::Server;

/// Where nobody else's datagrams come by: the answers of an endpoint may find that the port they go to is another's by now.
const ALONE: &str = "127.83.1.1:0";

/// An endpoint that sends everything back with its name in front. It is closed when this is dropped.
struct Echo {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Echo {
    async fn new(name: u8) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), name).await
    }

    async fn on(address: SocketAddr, name: u8) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            loop {
                // That a client is gone is told here, too, and concerns nobody else.
                let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
                let _ = socket.send_to(&[&[name], &buffer[..length]].concat(), client).await;
            }
        });
        Self { address, serving: serving.abort_handle() }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A configuration with the listener `dns`, which passes everything on to the pool `app`.
fn site(bind: &dyn Display, udp: &str, pool: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    format!(
        "listeners: {{ dns: {{ bind: '{bind}', udp: {{ {udp} pool: app }} }} }}\n\
         pools: {{ app: {{ balance: round_robin, {pool} endpoints: [{}] }} }}\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoints.join(", ")
    )
}

async fn edge(udp: &str, pool: &str, endpoints: &[&Echo]) -> Edge {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    Edge::start(&site(&ALONE, udp, pool, &endpoints)).await
}

/// A client that hears of nobody but whom it sends to.
async fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// The next answer, and who gave it.
async fn answer(client: &UdpSocket) -> (u8, Vec<u8>) {
    let mut buffer = vec![0; 1 << 16];
    let length = timeout(PATIENCE, client.recv(&mut buffer)).await.expect("an answer in time").unwrap();
    (buffer[0], buffer[1..length].to_vec())
}

/// Who answers.
async fn exchange(client: &UdpSocket, text: &[u8]) -> u8 {
    client.send(text).await.unwrap();
    let (name, echoed) = answer(client).await;
    assert_eq!(echoed, text);
    name
}

/// Who answers; asks again for as long as nobody does.
async fn ask(client: &UdpSocket) -> u8 {
    let mut name = None;
    eventually("somebody answers", async || {
        name = asked_once(client).await;
        name.is_some()
    })
    .await;
    name.unwrap()
}

/// Who answers, if anybody does soon.
async fn asked_once(client: &UdpSocket) -> Option<u8> {
    let mut buffer = [0; 64];
    client.send(b"?").await.unwrap();
    let answered = timeout(Duration::from_millis(100), client.recv(&mut buffer)).await;
    answered.is_ok_and(|received| received.is_ok()).then_some(buffer[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_send_a_thousand_datagrams_and_get_their_own_answers() {
    let endpoints = [Echo::new(b'a').await, Echo::new(b'b').await, Echo::new(b'c').await];
    let edge = edge("idle: 300ms,", "", &endpoints.each_ref()).await;
    let served = (0..50u32).map(async |number| {
        let client = client(edge.address()).await;
        let mut names = HashSet::new();
        for turn in 0..20u32 {
            names.insert(exchange(&client, &[number.to_be_bytes(), turn.to_be_bytes()].concat()).await);
        }
        names
    });
    let served = join_all(served).await;
    assert!(served.iter().all(|names| names.len() == 1), "a flow stays where it is: {served:?}");
    assert_eq!(served.into_iter().flatten().collect::<HashSet<_>>().len(), 3, "flows are spread");
    let lines = edge.log_of(50).await;
    let datagrams = |key: &str| lines.iter().map(|line| line[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((datagrams("datagrams_in"), datagrams("datagrams_out")), (1000, 1000));
    assert_eq!(edge.log().len(), 50);
}

#[tokio::test]
async fn a_flow_has_a_line_when_it_ends() {
    let endpoint = Echo::new(b'e').await;
    let edge = edge("idle: 200ms,", "", &[&endpoint]).await;
    let client = client(edge.address()).await;
    exchange(&client, b"hello").await;
    exchange(&client, b"").await;
    let line = edge.log_of(1).await.remove(0);
    let texts = ["client", "listener", "protocol", "pool", "endpoint", "ended", "closed_by"];
    let address = endpoint.address.to_string();
    let expected = ["127.0.0.1", "dns", "UDP", "app", &address, "idle_timeout", "edge"];
    assert_eq!(texts.map(|key| line[key].as_str().unwrap()), expected);
    let numbers = ["attempts", "datagrams_in", "datagrams_out", "bytes_in", "bytes_out"];
    assert_eq!(numbers.map(|key| line[key].as_u64().unwrap()), [1, 2, 2, 5, 7]);
    assert!(line["ms"]["first_byte"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["ms"]["total"].as_f64().unwrap() >= 200.0, "{line}");
}

#[tokio::test]
async fn the_last_expected_response_ends_a_flow() {
    let endpoint = Echo::new(b'e').await;
    let edge = edge("responses: 1,", "", &[&endpoint]).await;
    let client = client(edge.address()).await;
    for count in 1..=3 {
        exchange(&client, b"x").await;
        let line = edge.log_of(count).await.remove(count - 1);
        assert_eq!((&line["ended"], &line["closed_by"]), (&"finished".into(), &"endpoint".into()));
        assert_eq!((&line["datagrams_in"], &line["datagrams_out"]), (&1.into(), &1.into()));
    }
}

#[tokio::test]
async fn answers_come_from_the_address_that_was_asked() {
    let endpoint = Echo::new(b'e').await;
    let edge = Edge::start(&site(&"0.0.0.0:0", "", "", &[endpoint.address])).await;
    for host in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 8, 9, 10]] {
        let client = client((IpAddr::from(host), edge.address().port()).into()).await;
        assert_eq!(exchange(&client, b"x").await, b'e');
    }
}

#[tokio::test]
async fn long_datagrams_arrive_whole() {
    let endpoint = Echo::new(b'e').await;
    let edge = edge("", "", &[&endpoint]).await;
    let client = client(edge.address()).await;
    // The endpoint adds one byte, which makes the last one as long as a datagram can be.
    for length in [60 * 1024, 1, 0, 65_506] {
        assert_eq!(exchange(&client, &vec![b'x'; length]).await, b'e');
    }
}

#[tokio::test]
async fn datagrams_and_connections_share_a_port() {
    let (endpoint, server) = (Echo::new(b'e').await, Server::echo().await);
    // Bound for both, so that no other test is given it meanwhile.
    let (tcp, udp) = loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = std::net::UdpSocket::bind(tcp.local_addr().unwrap()) {
            break (tcp, udp);
        }
    };
    let address = tcp.local_addr().unwrap();
    drop((tcp, udp));
    let edge = Edge::start(&format!(
        "listeners:\n  dns: {{ bind: '{address}', udp: {{ pool: dns }} }}\n  \
         zones: {{ bind: '{address}', tcp: {{ pool: zones }} }}\n\
         pools: {{ dns: {{ endpoints: ['{}'] }}, zones: {{ endpoints: ['{}'] }} }}\n",
        endpoint.address,
        server.address()
    ))
    .await;
    assert_eq!(edge.addresses(), [address, address]);
    assert_eq!(exchange(&client(address).await, b"x").await, b'e');
    let mut connection = Client::connect(address).await;
    connection.send("hello").await;
    assert_eq!(connection.exactly(5).await, b"hello");
}

#[tokio::test]
async fn a_further_flow_ends_the_one_that_was_idle_the_longest() {
    let endpoint = Echo::new(b'e').await;
    let config = site(&ALONE, "flows: 2,", "", &[endpoint.address]);
    // One thread has one socket, so that all clients meet in one table.
    let edge = Edge::start(&format!("server: {{ threads: 1 }}\n{config}")).await;
    let clients = [0; 3].map(|_| client(edge.address()));
    let clients = join_all(clients).await;
    for number in [0, 1, 0, 2, 0] {
        exchange(&clients[number], &vec![b'x'; number + 1]).await;
    }
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"evicted".into(), &"edge".into()));
    assert_eq!((&line["datagrams_in"], &line["bytes_in"]), (&1.into(), &2.into()), "the second client's");
    assert_eq!(edge.log().len(), 1);
}

#[tokio::test]
async fn so_does_a_further_flow_than_an_endpoint_takes() {
    let endpoint = Echo::new(b'e').await;
    let config = site(&ALONE, "", "max_requests: 2,", &[endpoint.address]);
    let edge = Edge::start(&format!("server: {{ threads: 1 }}\n{config}")).await;
    for count in 0..6 {
        exchange(&client(edge.address()).await, b"x").await;
        let lines = edge.log_of(if count < 2 { 0 } else { count - 1 }).await;
        assert!(lines.iter().all(|line| line["ended"] == "evicted"), "{lines:?}");
    }
}

#[tokio::test]
async fn clients_of_an_endpoint_that_is_gone_are_served_by_another() {
    let (first, second) = (Echo::new(b'1').await, Echo::new(b'2').await);
    let edge = edge("", "", &[&first, &second]).await;
    let clients = join_all([0; 10].map(|_| client(edge.address()))).await;
    let mut before = Vec::new();
    for client in &clients {
        before.push(exchange(client, b"x").await);
    }
    assert_eq!(before.iter().filter(|name| **name == b'1').count(), 5);
    let gone = first.address;
    drop(first);
    for client in &clients {
        assert_eq!(ask(client).await, b'2');
    }
    let lines = edge.log_of(5).await;
    let of_gone = |line: &Value| line["endpoint"] == gone.to_string() && line["ended"] == "endpoint_failed";
    assert!(lines.iter().all(of_gone), "{lines:?}");
}

#[tokio::test]
async fn what_nobody_answers_blames_no_endpoint() {
    // Bound, and read by nobody.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = Echo::new(b'e').await;
    let endpoints = [silent.local_addr().unwrap(), endpoint.address];
    let outlier = "outlier: { consecutive: 1, min_requests: 1 },";
    let edge = Edge::start(&site(&ALONE, "idle: 200ms,", outlier, &endpoints)).await;
    for round in 1..=3 {
        // All at once, since a port that is free again may be the next one's, whose flow would be the same.
        let clients = join_all([0; 10].map(|_| client(edge.address()))).await;
        for client in &clients {
            client.send(b"x").await.unwrap();
        }
        let lines = edge.log_of(10 * round).await;
        let mut by_endpoint = HashMap::<&str, usize>::new();
        for line in &lines {
            assert_eq!(line["ended"], "idle_timeout");
            *by_endpoint.entry(line["endpoint"].as_str().unwrap()).or_default() += 1;
        }
        assert!(by_endpoint.len() == 2 && by_endpoint.values().all(|flows| *flows == 5 * round));
    }
}

#[tokio::test]
async fn flows_leave_an_endpoint_that_fails_its_probes_and_none_begin_where_nobody_is_fit() {
    let at = |host: u8, port: u16| SocketAddr::from(([127, 83, 0, host], port));
    let (one, other) = (Echo::on(at(1, 0), b'1').await, Echo::on(at(2, 0), b'2').await);
    // What is probed instead of them, so that they fail their probes and would serve on.
    let health = Echo::on(at(1, 0), b'h').await;
    let port = health.address.port();
    let health_of_other = Echo::on(at(2, port), b'h').await;
    let pool = format!(
        "panic: 0%, health: {{ port: {port}, udp: {{ send: PING, expect: hPING }}, interval: 100ms, \
         timeout: 100ms, rise: 1, fall: 1 }},"
    );
    let edge = edge("", &pool, &[&one, &other]).await;
    let clients = join_all([0; 4].map(|_| client(edge.address()))).await;
    for client in &clients {
        ask(client).await;
    }
    drop(health);
    for client in &clients {
        eventually("it is served by the fit one", async || asked_once(client).await == Some(b'2')).await;
    }
    drop(health_of_other);
    // Whoever is served stays where nobody else is better.
    eventually("nobody new is served", async || asked_once(&client(edge.address()).await).await.is_none())
        .await;
    assert_eq!(ask(&clients[0]).await, b'2');
    let _again = Echo::on(at(1, port), b'h').await;
    for client in &clients {
        eventually("the fit one serves", async || asked_once(client).await == Some(b'1')).await;
    }
}

// === The process ===

/// Beside a listener for HTTP, whose example ends the banner.
async fn run(udp: &str, pool: &str, endpoints: &[SocketAddr]) -> (Running, SocketAddr) {
    let config = site(&ALONE, udp, pool, endpoints).replace("LOG", "access.log");
    let config = config.replace(" } }\npools", " }, web: { bind: 127.0.0.1:0 } }\npools");
    let running = Running::start(&format!("{config}routes: [{{ respond: {{}} }}]\n"), 1).await;
    let address = running.address();
    (running, address)
}

/// What `evener status` says of the listener.
fn status(running: &Running) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evener"));
    let output = command.args(["status", "--json"]).current_dir(running.file("")).output().unwrap();
    let mut told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["listeners"][0].take()
}

/// The process that runs in this folder.
fn process_in(folder: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let mut found =
        processes.filter(|path| std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == folder));
    found.next().expect("it runs")
}

/// Descriptors that are open, and the memory that is used, in KiB.
fn usage(process: &Path) -> (usize, u64) {
    let descriptors = std::fs::read_dir(process.join("fd")).unwrap().count();
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, memory.trim().trim_end_matches(" kB").parse().unwrap())
}

#[tokio::test]
async fn status_counts_flows_and_what_was_dropped() {
    let endpoint = Echo::new(b'e').await;
    let (running, address) = run("", "panic: 0%,", &[endpoint.address]).await;
    let clients = join_all([0; 3].map(|_| client(address))).await;
    for client in &clients[..2] {
        exchange(client, b"x").await;
    }
    let mut drain = Command::new(env!("CARGO_BIN_EXE_evener"));
    let name = format!("app/{}", endpoint.address);
    let drained = drain.args(["drain", "--no-wait", &name]).current_dir(running.file("")).output().unwrap();
    assert!(drained.status.success(), "{drained:?}");
    for _ in 0..5 {
        clients[2].send(b"nobody takes it").await.unwrap();
    }
    eventually("all are counted", async || status(&running)["dropped"] == 5).await;
    exchange(&clients[0], b"goes on").await;
    let status = status(&running);
    assert_eq!((&status["open"], &status["serves"]), (&2.into(), &"udp".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_many_ports_takes_no_more_than_it_may_and_others_are_served() {
    const FLOWS: usize = 500;
    let endpoint = Echo::new(b'e').await;
    let (running, address) = run(&format!("flows: {FLOWS},"), "", &[endpoint.address]).await;
    let process = process_in(&running.file(""));
    let honest = client(address).await;
    assert_eq!(exchange(&honest, b"x").await, b'e');
    let (descriptors, memory) = usage(&process);
    let flood = tokio::task::spawn_blocking(move || {
        for _ in 0..30_000 {
            // Bound anew for each, and gone before anything comes back.
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let _ = socket.send_to(&[b'x'; 1000], address);
        }
    });
    let mut served = 0;
    while !flood.is_finished() {
        assert_eq!(ask(&honest).await, b'e');
        served += 1;
        let status = status(&running);
        assert!(status["open"].as_u64().unwrap() <= FLOWS as u64, "{status}");
    }
    flood.await.unwrap();
    assert!(served > 0);
    let (descriptors_after, memory_after) = usage(&process);
    // A new flow has its socket before an old one is closed, in each thread.
    assert!(descriptors_after <= descriptors + FLOWS + 16, "{descriptors} {descriptors_after}");
    assert!(memory_after < memory + 32 * 1024, "{memory} {memory_after}");
    assert_eq!(ask(&honest).await, b'e');
}
