use std::fmt::Display;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::support::{dead, eventually};

use super::server::Deaf;
use super::streams::next;
use super::{Ended, Keys, Server, edge, end_of, fate_of_one, greeted, in_front_of, who_serves};

#[tokio::test]
async fn another_endpoint_serves_where_one_refuses() {
    let (dead, good) = (dead().await, Server::named(b'g').await);
    let edge = edge(Keys::of_pool("balance: first,"), &[&dead, &good.address()]).await;
    let (_, mut client) = greeted(edge.connect().await).await.unwrap();
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    client.half_close().await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["attempts"], &line["ended"]), (&2.into(), &"finished".into()));
    assert_eq!(line["endpoint"], good.address().to_string());
}

#[tokio::test]
async fn where_all_refuse_the_client_is_reset() {
    let dead = [dead().await, dead().await];
    let edge = edge(Keys::default(), &[&dead[0], &dead[1]]).await;
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["attempts"], &line["ended"]), (&2.into(), &"connect_failed".into()));
    assert_eq!((&line["pool"], &line["closed_by"]), (&"app".into(), &"edge".into()));
    assert!(dead.iter().any(|address| line["endpoint"] == address.to_string()), "{line}");
}

#[tokio::test]
async fn as_many_are_tried_as_the_pool_says() {
    for (retry, attempts) in [("attempts: 0", 1), ("attempts: 3", 4), ("on: reset", 1)] {
        let dead = [dead().await, dead().await, dead().await, dead().await, dead().await];
        let pool = format!("retry: {{ {retry} }}, outlier: off,");
        let endpoints = dead.each_ref().map(|address| address as &dyn Display);
        let edge = edge(Keys::of_pool(&pool), &endpoints).await;
        assert_eq!(fate_of_one(&edge).await.1, Ended::Reset);
        assert_eq!(edge.log_of(1).await[0]["attempts"], attempts, "{retry}");
    }
}

#[tokio::test]
async fn another_endpoint_serves_where_one_never_answers() {
    let (deaf, good) = (Deaf::new().await, Server::named(b'g').await);
    let pool = "balance: first, timeouts: { connect: 200ms },";
    let edge = edge(Keys::of_pool(pool), &[&deaf.address(), &good.address()]).await;
    let (name, client) = greeted(edge.connect().await).await.unwrap();
    assert_eq!(name, b'g');
    drop(client);
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

#[tokio::test]
async fn connect_limits_all_attempts_together() {
    let deaf = [Deaf::new().await, Deaf::new().await, Deaf::new().await];
    let keys = Keys {
        tcp: "connect: 500ms,",
        pool: "retry: { attempts: 10 }, outlier: off, timeouts: { connect: 300ms },",
        ..Keys::default()
    };
    let addresses = deaf.each_ref().map(Deaf::address);
    let edge = edge(keys, &addresses.each_ref().map(|address| address as &dyn Display)).await;
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["attempts"]), (&"connect_timeout".into(), &2.into()));
}

#[tokio::test]
async fn where_nobody_is_fit_the_client_is_reset() {
    let (one, other) = (dead().await, dead().await);
    let pool = "health: { tcp: {}, interval: 100ms, timeout: 100ms, fall: 1 }, panic: 0%,";
    let edge = edge(Keys::of_pool(pool), &[&one, &other]).await;
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["attempts"]), (&"no_endpoint_fit".into(), &0.into()));
    assert_eq!((&line["pool"], &line["closed_by"]), (&"app".into(), &"edge".into()));
}

#[tokio::test]
async fn an_endpoint_that_dies_in_the_midst_resets_its_connections_and_gets_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dying, good): (SocketAddr, _) = (listener.local_addr().unwrap(), Server::named(b'g').await);
    let edge = edge(Keys::of_pool("balance: first,"), &[&dying, &good.address()]).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = edge.connect().await;
        client.send("under way").await;
        clients.push((client, next(&listener).await));
    }
    drop(listener);
    for (mut client, endpoint) in clients {
        // It dies with bytes that it has not read.
        endpoint.readable().await.unwrap();
        drop(endpoint);
        let _ = client.try_send("more").await;
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
    }
    for _ in 0..20 {
        assert_eq!(who_serves(&edge).await, Some(b'g'));
    }
    let lines = edge.log_of(30).await;
    let died: Vec<_> = lines.iter().filter(|line| line["ended"] == "reset").collect();
    assert_eq!(died.len(), 10);
    assert!(died.iter().all(|line| line["closed_by"] == "endpoint"), "{died:?}");
}

/// Nobody has to be told to wait for a connection that its client has given up.
#[tokio::test]
async fn a_client_that_leaves_while_an_endpoint_is_sought_is_no_failure_of_any() {
    let (deaf, good) = (Deaf::new().await, Server::named(b'g').await);
    let pool = "balance: first, outlier: { consecutive: 1 }, timeouts: { connect: 1s },";
    let edge = edge(Keys::of_pool(pool), &[&deaf.address(), &good.address()]).await;
    super::reset(edge.connect().await);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"client_gone".into(), &"client".into()), "{line}");
    assert_eq!(good.accepted(), 0, "a connection was made for nobody");
}

#[tokio::test]
async fn connections_are_spread_by_how_many_are_open() {
    let servers = [Server::named(b'a').await, Server::named(b'b').await, Server::named(b'c').await];
    let edge = in_front_of(Keys::of_pool("balance: least_requests,"), &servers.each_ref()).await;
    let mut clients = Vec::new();
    for _ in 0..9 {
        clients.push(greeted(edge.connect().await).await.unwrap());
    }
    assert_eq!(servers.each_ref().map(Server::open), [3, 3, 3]);
    // Whoever has fewest gets the next ones.
    let (of_b, others): (Vec<_>, Vec<_>) = clients.into_iter().partition(|(name, _)| *name == b'b');
    drop(of_b);
    eventually("its connections are over", async || edge.log().len() == 3).await;
    let mut next = Vec::new();
    for _ in 0..3 {
        next.push(greeted(edge.connect().await).await.unwrap());
    }
    assert!(next.iter().all(|(name, _)| *name == b'b'));
    drop(others);
}
