use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, Edge, Endpoint, Exchange, eventually};

use super::{site, site_with};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Switches, says `greeting` in the same packet, and then sends back what it gets until the client ends.
async fn echoing(greeting: &'static str) -> Endpoint {
    Endpoint::scripted(move |mut exchange: Exchange| async move {
        exchange.send(format!("{SWITCHED}{greeting}")).await;
        let ahead = std::mem::take(&mut exchange.ahead);
        exchange.send(ahead).await;
        let (mut read, mut write) = exchange.stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
        None
    })
    .await
}

async fn switched(edge: &Edge) -> Client {
    let mut client = edge.connect().await;
    client.send(HANDSHAKE).await;
    assert_eq!(client.response().await.status, 101);
    client
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let endpoint = echoing("").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = switched(&edge).await;
    for number in 0..100 {
        // What looks like a request is none any more.
        let text = format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n\0\u{ff}");
        client.send(&text).await;
        assert_eq!(client.exactly(text.len()).await, text.as_bytes());
    }
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn the_endpoint_may_speak_first_in_the_packet_of_its_answer() {
    let endpoint = echoing("welcome").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = switched(&edge).await;
    assert_eq!(client.exactly(7).await, b"welcome");
    client.send("thanks").await;
    assert_eq!(client.exactly(6).await, b"thanks");
}

#[tokio::test]
async fn the_client_may_speak_before_the_answer() {
    let endpoint = echoing("").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(format!("{HANDSHAKE}early ")).await;
    client.send("bird").await;
    assert_eq!(client.response().await.status, 101);
    assert_eq!(client.exactly(10).await, b"early bird");
}

#[tokio::test]
async fn both_may_speak_at_once_and_much() {
    const SIZE: usize = 4 * 1024 * 1024;
    let endpoint = echoing("welcome").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let (stream, mut read) = switched(&edge).await.into_parts();
    let (mut reader, mut writer) = stream.into_split();
    let sent: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    let sending = {
        let sent = sent.clone();
        tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer
        })
    };
    while read.len() < SIZE + 7 {
        assert!(reader.read_buf(&mut read).await.unwrap() > 0, "closed after {}", read.len());
    }
    assert!(read[..7] == *b"welcome" && read[7..] == sent);
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn the_end_of_the_client_is_told_to_the_endpoint() {
    let (told, mut ended) = tokio::sync::mpsc::channel(1);
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let told = told.clone();
        async move {
            exchange.send(SWITCHED).await;
            let mut rest = Vec::new();
            exchange.stream.read_to_end(&mut rest).await.ok();
            told.try_send(rest).unwrap();
            None
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = switched(&edge).await;
    client.send("last words").await;
    drop(client);
    let rest = tokio::time::timeout(crate::support::PATIENCE, ended.recv()).await.expect("is told in time");
    assert_eq!(rest.unwrap(), b"last words");
    let line = edge.log_of(1).await.remove(0);
    assert_eq!(line["status"], 101);
    assert_eq!(line.get("cause"), None, "{line}");
}

#[tokio::test]
async fn the_end_of_the_endpoint_is_told_to_the_client() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send(format!("{SWITCHED}bye")).await;
        None
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = switched(&edge).await;
    assert_eq!(client.rest().await, b"bye");
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], line.get("cause")), (&101.into(), None));
}

#[tokio::test]
async fn a_silent_tunnel_ends_and_a_speaking_one_does_not() {
    let endpoint = echoing("").await;
    let pool = "timeouts: { tunnel: 300ms, idle: 100ms, first_byte: 100ms }";
    let config = site_with(endpoint.address(), "limits: { body: { idle: 100ms } }", pool, "- pool: app");
    let edge = Edge::start(&config).await;
    let mut client = switched(&edge).await;
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(600) {
        assert!(client.is_silent_for(std::time::Duration::from_millis(50)).await);
        client.send("ping").await;
        assert_eq!(client.exactly(4).await, b"ping");
    }
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_tunnel_gives_its_place_back() {
    let endpoint = echoing("").await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { connections: 1 }")).await;
    let mut client = switched(&edge).await;
    client.send("x").await;
    assert_eq!(client.exactly(1).await, b"x");
    drop(client);
    eventually("the place is free", async || {
        let mut client = edge.connect().await;
        client.try_send(HANDSHAKE).await.is_ok() && !client.is_closed().await
    })
    .await;
}
