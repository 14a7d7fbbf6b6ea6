//! Tunnels under load and at their edges: nothing is lost around the switch, whoever speaks first.

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{Client, Edge, Endpoint, Exchange, PATIENCE};

use super::site;

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Switches and greets in the way that the request's `X-Order` says, and then sends back what it gets.
async fn greeting() -> Endpoint {
    Endpoint::scripted(|mut exchange: Exchange| async move {
        match exchange.request.header("x-order") {
            Some("together") => exchange.send(format!("{SWITCHED}welcome")).await,
            Some("apart") => {
                exchange.send(SWITCHED).await;
                tokio::task::yield_now().await;
                exchange.send("welcome").await;
            }
            _ => exchange.send(SWITCHED).await,
        }
        let ahead = std::mem::take(&mut exchange.ahead);
        exchange.send(ahead).await;
        let (mut read, mut write) = exchange.stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
        None
    })
    .await
}

/// Opens a tunnel in one of the orders in which both sides can speak, and expects every byte of both.
async fn race(edge: &Edge, number: usize) {
    let order = ["together", "apart", "silent"][number % 3];
    let mut client: Client = edge.connect().await;
    let handshake = format!("{HANDSHAKE}X-Order: {order}\r\n\r\n");
    let frame = format!("frame {number}");
    match number / 3 % 3 {
        0 => client.send(format!("{handshake}{frame}")).await,
        1 => {
            client.send(handshake).await;
            client.send(&frame).await;
        }
        _ => {
            client.send(handshake).await;
            assert!(client.head().await.starts_with("HTTP/1.1 101"));
            client.send(&frame).await;
        }
    }
    if number / 3 % 3 != 2 {
        assert!(client.head().await.starts_with("HTTP/1.1 101"));
    }
    if order != "silent" {
        assert_eq!(client.exactly(7).await, b"welcome", "{order}");
    }
    assert_eq!(client.exactly(frame.len()).await, frame.as_bytes(), "{order}");
    client.send("more").await;
    assert_eq!(client.exactly(4).await, b"more", "{order}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_around_the_switch() {
    const RACES: usize = 1000;
    const AT_ONCE: usize = 20;

    let endpoint = greeting().await;
    let edge = Arc::new(Edge::start(&site(endpoint.address(), "")).await);
    let mut racing = JoinSet::new();
    for lane in 0..AT_ONCE {
        let edge = edge.clone();
        racing.spawn(async move {
            for number in (lane..RACES).step_by(AT_ONCE) {
                race(&edge, number).await;
            }
        });
    }
    let all = async {
        while let Some(lane) = racing.join_next().await {
            lane.unwrap();
        }
    };
    timeout(PATIENCE, all).await.expect("all tunnels work in time");
    assert_eq!(endpoint.requests().len(), RACES);
}

async fn tunnel(edge: &Edge) -> Client {
    let mut client = edge.connect().await;
    client.send(format!("{HANDSHAKE}\r\n")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    client
}

#[tokio::test]
async fn many_tunnels_live_side_by_side() {
    const TUNNELS: usize = 200;

    let endpoint = greeting().await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { per_client: 1000 }")).await;
    let mut tunnels = Vec::new();
    for _ in 0..TUNNELS {
        tunnels.push(tunnel(&edge).await);
    }
    for round in 0..3 {
        for (number, client) in tunnels.iter_mut().enumerate() {
            client.send(format!("{round}:{number};")).await;
        }
        for (number, client) in tunnels.iter_mut().enumerate() {
            assert_eq!(client.until(b";").await, format!("{round}:{number};").into_bytes());
        }
    }
    assert_eq!(endpoint.requests().len(), TUNNELS);
}

/// Adds up to the same only for the same bytes in the same order, for all that these tests need.
fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Sends a large message and says what it adds up to, while it does the same with what comes.
async fn exchange_messages(stream: TcpStream, ahead: Vec<u8>, seed: u64) -> (u64, u64) {
    const SIZE: usize = 8 * 1024 * 1024;

    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        let (mut sum, mut state) = (0, seed);
        for _ in 0..SIZE / 4096 {
            let mut piece = Vec::with_capacity(4096);
            while piece.len() < 4096 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                piece.extend_from_slice(&state.to_le_bytes());
            }
            sum = checksum(sum, &piece);
            write.write_all(&piece).await.unwrap();
        }
        (write, sum)
    });
    let (mut left, mut sum) = (SIZE - ahead.len(), checksum(0, &ahead));
    let mut piece = vec![0; 64 * 1024];
    while left > 0 {
        let count = timeout(PATIENCE, read.read(&mut piece)).await.expect("goes on in time").unwrap();
        assert!(count > 0, "closed with {left} bytes to come");
        sum = checksum(sum, &piece[..count]);
        left = left.checked_sub(count).expect("no byte more");
    }
    let (_write, sent) = sending.await.unwrap();
    (sent, sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_pass_both_ways_at_once() {
    let (told, mut sums) = tokio::sync::mpsc::channel(1);
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let told = told.clone();
        async move {
            exchange.send(SWITCHED).await;
            told.send(exchange_messages(exchange.stream, exchange.ahead, 1).await).await.unwrap();
            None
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let (stream, ahead) = tunnel(&edge).await.into_parts();
    let (client_sent, client_got) = exchange_messages(stream, ahead, 2).await;
    let (endpoint_sent, endpoint_got) = sums.recv().await.unwrap();
    assert_eq!((client_sent, client_got), (endpoint_got, endpoint_sent));
}

/// Closes a connection by a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_reset_of_the_client_ends_the_tunnel() {
    let (told, mut ended) = tokio::sync::mpsc::channel(1);
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let told = told.clone();
        async move {
            exchange.send(SWITCHED).await;
            let mut rest = Vec::new();
            exchange.stream.read_to_end(&mut rest).await.ok();
            told.send(()).await.unwrap();
            None
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    reset(tunnel(&edge).await.into_parts().0);
    timeout(PATIENCE, ended.recv()).await.expect("is told in time");
    assert_eq!(edge.log_of(1).await[0]["status"], 101);
}

#[tokio::test]
async fn a_reset_of_the_endpoint_ends_the_tunnel() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send(SWITCHED).await;
        // The client is in the tunnel.
        let mut byte = [0];
        exchange.stream.read_exact(&mut byte).await.unwrap();
        reset(exchange.stream);
        None
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = tunnel(&edge).await;
    client.send("x").await;
    assert!(client.is_closed().await);
    assert_eq!(edge.log_of(1).await[0]["status"], 101);
}

#[tokio::test]
async fn the_words_of_a_closing_handshake_pass_both_ways() {
    // A close frame with code 1000, masked as clients have to, and one with code 1011 and a reason.
    const CLIENT: &[u8] = b"\x88\x82\x01\x02\x03\x04\x02\xea";
    const ENDPOINT: &[u8] = b"\x88\x06\x03\xf3oops";

    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send(SWITCHED).await;
        let mut frame = [0; 8];
        exchange.stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame, CLIENT);
        exchange.send(ENDPOINT).await;
        None
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = tunnel(&edge).await;
    client.send(CLIENT).await;
    assert_eq!(client.rest().await, ENDPOINT);
}
