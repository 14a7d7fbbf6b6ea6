use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::support::{Edge, eventually};

use super::server::listen;
use super::{Ended, Keys, Server, connect, end_of, fate_of_one, greeted, in_front_of};

#[tokio::test]
async fn a_connection_on_which_nothing_is_said_is_closed() {
    let server = Server::named(b's').await;
    let edge = in_front_of(Keys::of_tcp("idle: 300ms,"), &[&server]).await;
    assert_eq!(fate_of_one(&edge).await, (b"s".to_vec(), Ended::Cleanly));
    eventually("the endpoint's is closed too", async || server.open() == 0).await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"idle_timeout".into(), &"edge".into()));
}

/// Bytes that a client does not take are no sign of life, and their end is no clean one.
#[tokio::test]
async fn a_connection_that_stalls_is_reset() {
    let server = Server::with(async |mut stream| {
        let piece = vec![7; 1024 * 1024];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    let edge = in_front_of(Keys::of_tcp("idle: 500ms,"), &[&server]).await;
    let client = edge.connect().await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"idle_timeout".into(), &"edge".into()));
    assert_eq!(end_of(client).await.1, Ended::Reset);
    eventually("the endpoint's is closed too", async || server.open() == 0).await;
}

#[tokio::test]
async fn a_byte_in_either_direction_is_enough() {
    let talking = Server::with(async |mut stream| {
        for _ in 0..12 {
            stream.write_all(b"x").await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let edge = in_front_of(Keys::of_tcp("idle: 600ms,"), &[&talking]).await;
    assert_eq!(fate_of_one(&edge).await, (b"x".repeat(12), Ended::Cleanly));
    let listening = Server::with(listen).await;
    let edge = in_front_of(Keys::of_tcp("idle: 600ms,"), &[&listening]).await;
    let mut client = edge.connect().await;
    for _ in 0..12 {
        client.send("x").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.half_close().await;
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
    assert_eq!(edge.log_of(1).await[0]["ended"], "finished");
}

#[tokio::test]
async fn a_connection_that_is_busy_ends_when_its_lifetime_is_over() {
    let server = Server::echo().await;
    let edge = in_front_of(Keys::of_tcp("lifetime: 500ms,"), &[&server]).await;
    let (mut client, begun) = (edge.connect().await, Instant::now());
    while client.try_send("x").await.is_ok() && edge.log().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(500));
    // It was in the midst of something.
    super::streams::drain(&mut client.into_parts().0).await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"lifetime_over".into(), &"edge".into()));
    eventually("the endpoint's is closed too", async || server.open() == 0).await;
}

/// So many stay, the next is refused without reaching an endpoint, and one comes in for each that leaves.
async fn lets_in(server: &Server, edge: &Edge, most: usize) {
    let mut clients = Vec::new();
    for _ in 0..most {
        clients.push(greeted(edge.connect().await).await.unwrap());
    }
    assert_eq!(fate_of_one(edge).await.0, b"");
    assert_eq!((server.accepted(), server.open()), (most, most));
    drop(clients.pop());
    let mut next = None;
    eventually("another is let in", async || {
        next = match connect(edge).await {
            Some(client) => greeted(client).await,
            None => None,
        };
        next.is_some()
    })
    .await;
    assert_eq!(server.accepted(), most + 1);
}

#[tokio::test]
async fn a_listener_has_so_many_connections() {
    let server = Server::named(b's').await;
    let edge = in_front_of(Keys::of_listener("limits: { connections: 3 },"), &[&server]).await;
    lets_in(&server, &edge, 3).await;
}

#[tokio::test]
async fn a_client_has_so_many_connections() {
    let server = Server::named(b's').await;
    let edge = in_front_of(Keys::of_listener("limits: { per_client: 3 },"), &[&server]).await;
    lets_in(&server, &edge, 3).await;
}

#[tokio::test]
async fn all_listeners_together_have_so_many_connections() {
    let server = Server::named(b's').await;
    let config = super::site(Keys::default(), &[&server.address()]);
    let edge = Edge::start(&format!("server: {{ connections: 3 }}\n{config}")).await;
    lets_in(&server, &edge, 3).await;
}

/// A server that closes at once looks like one that has nothing to say; a client that is refused should see the
/// difference, as it does where there is no endpoint.
#[tokio::test]
async fn a_connection_that_is_refused_is_reset() {
    let server = Server::named(b's').await;
    let edge = in_front_of(Keys::of_listener("limits: { connections: 1 },"), &[&server]).await;
    let _first = greeted(edge.connect().await).await.unwrap();
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
}
