use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use super::support::{PATIENCE, Running, SETTINGS, client, echo, eventually, exchange, pool, proxy};
use crate::l4::udp::{Discard, EndReason, Turn, UdpSettings};

#[tokio::test]
async fn a_drain_lets_flows_go_on_and_begins_none() {
    let settings = UdpSettings { idle: Duration::from_millis(500), ..SETTINGS };
    let running = Running::new("127.0.0.1:0", &[echo().await], settings);
    let old = client(running.address).await;
    exchange(&old, b"x").await;
    running.drain.send_replace(true);
    let new = client(running.address).await;
    new.send(b"x").await.unwrap();
    eventually("a new client gets nothing", || running.proxy.discards.of(Discard::Draining) == 1).await;
    exchange(&old, b"y").await;
    tokio::time::timeout(PATIENCE, running.task).await.expect("the run ends").unwrap().unwrap();
    assert_eq!(running.ends.lock()[0].reason, EndReason::Idle);
    assert_eq!(running.proxy.open_flows(), 0);
}

#[tokio::test]
async fn a_drain_without_flows_is_over_at_once() {
    let running = Running::new("127.0.0.1:0", &[echo().await], SETTINGS);
    running.drain.send_replace(true);
    tokio::time::timeout(PATIENCE, running.task).await.expect("the run ends").unwrap().unwrap();
}

/// So many sockets at one address.
fn group(size: usize) -> (SocketAddr, Vec<std::net::UdpSocket>) {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = |_| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        address = socket.local_addr().unwrap().as_socket().unwrap();
        socket.into()
    };
    let sockets = (0..size).map(bound).collect();
    (address, sockets)
}

/// The kernel spreads clients by the number of sockets.
#[tokio::test]
async fn a_socket_without_flows_stays_open_for_the_flows_of_others() {
    let pool = pool(&[echo().await], "", tokio::time::Instant::now());
    let (proxy, _) = proxy(pool, SETTINGS);
    let (drain, drained) = watch::channel(false);
    let (address, sockets) = group(16);
    let run = |socket| tokio::spawn(proxy.clone().run(socket, Turn::default(), drained.clone()));
    let runs: Vec<_> = sockets.into_iter().map(run).collect();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = client(address).await;
        exchange(&client, b"x").await;
        clients.push(client);
    }
    drain.send_replace(true);
    // Longer than the runs take that have nothing left to do.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    for client in &clients {
        exchange(client, b"y").await;
    }
    assert_eq!(proxy.discards.total(), 0);
    runs.iter().for_each(|run| run.abort());
}

#[tokio::test]
async fn all_sockets_are_closed_with_the_last_flow() {
    let settings = UdpSettings { idle: Duration::from_millis(300), ..SETTINGS };
    let (proxy, ends) = proxy(pool(&[echo().await], "", tokio::time::Instant::now()), settings);
    let (drain, drained) = watch::channel(false);
    let (address, sockets) = group(4);
    let run = |socket| tokio::spawn(proxy.clone().run(socket, Turn::default(), drained.clone()));
    let runs: Vec<_> = sockets.into_iter().map(run).collect();
    exchange(&client(address).await, b"x").await;
    drain.send_replace(true);
    for run in runs {
        tokio::time::timeout(PATIENCE, run).await.expect("the run ends").unwrap().unwrap();
    }
    assert_eq!(ends.lock()[0].reason, EndReason::Idle);
}
