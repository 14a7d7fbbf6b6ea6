use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::support::{Client, Edge, Endpoint};

use super::fleet;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An endpoint that switches protocols and then says everything back.
async fn echo() -> Endpoint {
    Endpoint::scripted(|mut exchange| async move {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = exchange.stream.read(&mut piece).await {
            exchange.stream.write_all(&piece[..count]).await.ok()?;
        }
        None
    })
    .await
}

async fn tunnel(edge: &Edge) -> Client {
    let mut client = edge.connect().await;
    client.send(UPGRADE).await;
    assert_eq!(client.response().await.status, 101);
    client
}

#[tokio::test]
async fn a_tunnel_that_is_silent_is_closed() {
    let endpoint = echo().await;
    let edge = Edge::start(&fleet("timeouts: { tunnel: 300ms },", &[&endpoint.address()])).await;
    let mut client = tunnel(&edge).await;
    let begun = Instant::now();
    assert!(client.is_closed().await);
    let took = begun.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_tunnel_that_is_used_lives_beyond_every_other_limit() {
    let endpoint = echo().await;
    let timeouts = "timeouts: { tunnel: 1s, first_byte: 200ms, idle: 200ms, total: 200ms },";
    let edge = Edge::start(&fleet(timeouts, &[&endpoint.address()])).await;
    let mut client = tunnel(&edge).await;
    for _ in 0..4 {
        sleep(Duration::from_millis(400)).await;
        client.send("hello").await;
        assert_eq!(client.exactly(5).await, b"hello");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_not_answered_has_the_limit_of_an_answer() {
    let endpoint = Endpoint::scripted(|exchange| async move {
        sleep(Duration::from_secs(3600)).await;
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&fleet("timeouts: { first_byte: 200ms },", &[&endpoint.address()])).await;
    assert_eq!(edge.send(UPGRADE).await.status, 504);
}
