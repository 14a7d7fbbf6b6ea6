use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Edge, dead, eventually};

use super::server::{greet, listen};
use super::{Ended, Keys, Server, connect, edge, fate_of_one, greeted, in_front_of, reset, who_serves};

/// Connects as often as that, and waits each time until the connection is over.
async fn come_and_go(edge: &Edge, times: usize) {
    for _ in 0..times {
        let Some(mut client) = connect(edge).await else { continue };
        let _ = client.try_send("hello").await;
        let (mut stream, _) = client.into_parts();
        let _ = stream.shutdown().await;
        super::streams::drain(&mut stream).await;
    }
    eventually("all are over", async || edge.log().len() >= times).await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_is_left_out() {
    let (dead, good) = (dead().await, Server::named(b'g').await);
    let pool = "balance: round_robin, outlier: { consecutive: 3 },";
    let edge = edge(Keys::of_pool(pool), &[&dead, &good.address()]).await;
    for _ in 0..20 {
        assert_eq!(who_serves(&edge).await, Some(b'g'));
    }
    let lines = edge.log_of(20).await;
    let attempts: u64 = lines.iter().map(|line| line["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 23, "three attempts go to the dead one");
}

#[tokio::test]
async fn one_that_resets_before_its_first_byte_is_left_out() {
    let (bad, good) = (Server::resetting().await, Server::named(b'g').await);
    let pool = "balance: round_robin, outlier: { consecutive: 3 },";
    let edge = in_front_of(Keys::of_pool(pool), &[&bad, &good]).await;
    come_and_go(&edge, 20).await;
    assert_eq!((bad.accepted(), good.accepted()), (3, 17));
}

#[tokio::test]
async fn one_that_ends_well_or_had_begun_is_not() {
    let scripts: [fn(tokio::net::TcpStream) -> futures::future::BoxFuture<'static, ()>; 3] = [
        // Hears something and closes without a word.
        |mut stream| {
            Box::pin(async move {
                let _ = stream.read_exact(&mut [0; 5]).await;
            })
        },
        // Listens to the end.
        |stream| Box::pin(listen(stream)),
        // Breaks after its first byte.
        |mut stream| {
            Box::pin(async move {
                let _ = stream.write_all(b"x").await;
                let mut one = [0];
                let _ = stream.peek(&mut one).await;
                stream.set_zero_linger().unwrap();
            })
        },
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let (odd, good) = (Server::with(script).await, Server::named(b'g').await);
        let pool = "balance: round_robin, outlier: { consecutive: 3, min_requests: 5 },";
        let edge = in_front_of(Keys::of_pool(pool), &[&odd, &good]).await;
        come_and_go(&edge, 20).await;
        assert_eq!((odd.accepted(), good.accepted()), (10, 10), "script {number}");
    }
}

#[tokio::test]
async fn clients_that_break_their_connections_blame_nobody() {
    let (one, other) = (Server::with(listen).await, Server::with(listen).await);
    let pool = "balance: round_robin, outlier: { consecutive: 3, min_requests: 5 },";
    let edge = in_front_of(Keys::of_pool(pool), &[&one, &other]).await;
    for number in 1..=20 {
        let client = edge.connect().await;
        eventually("it is passed on", async || one.accepted() + other.accepted() == number).await;
        reset(client);
    }
    edge.log_of(20).await;
    assert_eq!((one.accepted(), other.accepted()), (10, 10));
}

#[tokio::test]
async fn the_last_one_serves_on_however_badly() {
    let bad = Server::resetting().await;
    let edge = in_front_of(Keys::of_pool("outlier: { consecutive: 1 },"), &[&bad]).await;
    for number in 1..=5 {
        assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
        assert_eq!(bad.accepted(), number);
    }
}

/// An endpoint that breaks connections until it is told to be well, and greets then; and one that always greets.
async fn recovering(outlier: &str) -> (Server, Server, Edge, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(false));
    let switch = is_well.clone();
    let flaky = Server::with(move |stream| {
        let is_well = switch.load(Ordering::Relaxed);
        async move { if is_well { greet(stream, b'f').await } else { stream.set_zero_linger().unwrap() } }
    })
    .await;
    let good = Server::named(b'g').await;
    let pool = format!("balance: round_robin, slow_start: 0s, outlier: {{ {outlier} }},");
    let edge = in_front_of(Keys::of_pool(&pool), &[&flaky, &good]).await;
    (flaky, good, edge, is_well)
}

#[tokio::test]
async fn one_that_has_recovered_returns() {
    let (flaky, _good, edge, is_well) = recovering("eject: 100ms, consecutive: 1").await;
    eventually("it fails", async || who_serves(&edge).await.is_none()).await;
    is_well.store(true, Ordering::Relaxed);
    eventually("it is back", async || who_serves(&edge).await == Some(b'f')).await;
    // The connection that it was tried with may go on; others come meanwhile.
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(greeted(edge.connect().await).await.unwrap());
    }
    eventually("it serves half of them", async || flaky.open() == 4).await;
}

/// In some protocols servers have nothing to say for hours.
#[tokio::test]
async fn one_that_only_listens_returns_too() {
    let is_well = Arc::new(AtomicBool::new(false));
    let switch = is_well.clone();
    let flaky = Server::with(move |stream| {
        let is_well = switch.load(Ordering::Relaxed);
        async move { if is_well { listen(stream).await } else { stream.set_zero_linger().unwrap() } }
    })
    .await;
    let good = Server::with(listen).await;
    let pool = "balance: round_robin, slow_start: 0s, outlier: { eject: 100ms, consecutive: 1 },";
    let edge = in_front_of(Keys::of_pool(pool), &[&flaky, &good]).await;
    eventually("it fails", async || {
        drop(connect(&edge).await);
        edge.log().iter().any(|line| line["ended"] == "reset")
    })
    .await;
    is_well.store(true, Ordering::Relaxed);
    let mut open = Vec::new();
    eventually("it has several connections, all of which stay open", async || {
        let mut client = edge.connect().await;
        client.send("a line that nobody answers").await;
        open.push(client);
        flaky.open() > 1
    })
    .await;
}
