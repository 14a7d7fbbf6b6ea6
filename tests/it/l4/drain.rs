use std::process::Command;

use evener::app::App;
use evener::types::BindAddr;
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::process::{Running, told};
use crate::support::{Client, Edge, PATIENCE, eventually};

use super::sni::by_name;
use super::{Ended, Keys, Server, end_of, greeted, in_front_of};

#[tokio::test]
async fn a_stop_lets_open_connections_go_on_and_accepts_no_others() {
    let server = Server::named(b's').await;
    let edge = in_front_of(Keys::default(), &[&server]).await;
    let address = edge.address();
    let (_, mut client) = greeted(edge.connect().await).await.unwrap();
    let stop = tokio::spawn(edge.stop_and_keep());
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
    for _ in 0..10 {
        client.send("hello").await;
        assert_eq!(client.exactly(5).await, b"hello");
    }
    assert!(!stop.is_finished());
    client.half_close().await;
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
    let folder = timeout(PATIENCE, stop).await.expect("the stop ends").unwrap();
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert!(log.contains(r#""ended":"finished""#), "{log}");
}

#[tokio::test]
async fn a_client_that_has_not_said_whom_it_wants_does_not_hold_a_stop_up() {
    let server = Server::named(b's').await;
    let limits = "limits: { handshake: 60s },";
    let edge = Edge::start(&by_name(limits, "sni: { a.example: s }, pool: s", &[('s', &server)])).await;
    let silent = edge.connect().await;
    // It has been accepted once a later one was served.
    let mut other = edge.connect().await;
    other.send("x").await;
    assert!(greeted(other).await.is_some());
    let folder = timeout(PATIENCE, edge.stop_and_keep()).await.expect("the stop ends");
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_silent = lines.into_iter().find(|line| line["attempts"] == 0).unwrap();
    assert_eq!(of_silent["closed_by"], "edge", "{of_silent}");
    end_of(silent).await;
}

#[tokio::test]
async fn who_waits_to_be_accepted_when_a_stop_begins_is_passed_on() {
    let server = Server::named(b's').await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("db.sock");
    let config = format!(
        "listeners: {{ db: {{ bind: [127.0.0.1:0, 'unix:{}'], tcp: {{ pool: db }} }} }}
pools: {{ db: {{ endpoints: ['{}'] }} }}
log: {{ access: {{ format: off }} }}
",
        socket.display(),
        server.address()
    );
    let bound = App::builder().load_text("test.yaml", folder.path(), &config).unwrap().bind().unwrap();
    let BindAddr::Inet(address) = bound.addresses()[0].1 else { unreachable!() };
    let inet = Client::connect(address).await;
    let unix = Client::over(UnixStream::connect(&socket).await.unwrap());
    let stop = tokio::spawn(bound.start().stop());
    let (name, mut inet) = greeted(inet).await.unwrap();
    inet.half_close().await;
    let mut unix = unix;
    assert_eq!((name, unix.exactly(1).await), (b's', vec![b's']));
    unix.half_close().await;
    timeout(PATIENCE, stop).await.expect("the stop ends").unwrap();
}

// === As a process ===

/// A process with the listener `db`, and one of HTTP beside it.
async fn running(server: &Server, other: &Server) -> Running {
    let config = format!(
        "listeners: {{ db: {{ bind: 127.0.0.1:0, tcp: {{ pool: db }} }}, web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ db: {{ balance: least_requests, endpoints: ['{}', '{}'] }} }}
routes: [{{ respond: {{ body: hi }} }}]
log: {{ access: {{ to: access.log }} }}
",
        server.address(),
        other.address()
    );
    Running::start(&config, 1).await
}

async fn open(running: &Running) -> (u8, Client) {
    greeted(Client::connect(running.address()).await).await.unwrap()
}

async fn evener(running: &Running, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evener"));
    command.args(arguments).current_dir(running.file(""));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (code, out, err) = told(&output);
    assert_eq!((code, &*err), (0, ""), "{arguments:?}");
    out
}

#[tokio::test]
async fn sigterm_lets_open_connections_go_on() {
    let (one, other) = (Server::named(b'a').await, Server::named(b'b').await);
    let mut running = running(&one, &other).await;
    let address = running.address();
    let (_, mut client) = open(&running).await;
    running.signal(Signal::TERM);
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    assert!(running.is_running());
    client.half_close().await;
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
    assert_eq!(running.exit_code().await, Some(0));
    let log = std::fs::read_to_string(running.file("access.log")).unwrap();
    assert!(log.contains(r#""ended":"finished""#), "{log}");
}

/// Whoever ends a process knows what it was doing.
#[tokio::test]
async fn a_second_signal_cuts_connections_and_leaves_their_lines() {
    let (one, other) = (Server::named(b'a').await, Server::named(b'b').await);
    let mut running = running(&one, &other).await;
    let address = running.address();
    let (_, client) = open(&running).await;
    running.signal(Signal::TERM);
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    end_of(client).await;
    let log = std::fs::read_to_string(running.file("access.log")).unwrap();
    assert!(log.contains(r#""ended":"cut""#), "no line for the connection that was cut: {log:?}");
}

#[tokio::test]
async fn open_connections_are_shown_and_an_endpoint_in_drain_gets_no_more() {
    let (one, other) = (Server::named(b'a').await, Server::named(b'b').await);
    let running = running(&one, &other).await;
    let clients = [open(&running).await, open(&running).await, open(&running).await, open(&running).await];
    let status: Value = serde_json::from_str(&evener(&running, &["status", "--json"]).await).unwrap();
    let in_flight: Vec<_> = status["pools"][0]["endpoints"].as_array().unwrap().iter().collect();
    assert!(in_flight.iter().all(|endpoint| endpoint["in_flight"] == 2), "{status}");
    evener(&running, &["drain", "--no-wait", &format!("db/{}", one.address())]).await;
    for _ in 0..4 {
        assert_eq!(open(&running).await.0, b'b');
    }
    for (name, mut client) in clients {
        client.send("hello").await;
        assert_eq!(client.exactly(5).await, b"hello", "{}", char::from(name));
    }
}
