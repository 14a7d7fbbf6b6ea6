//! Flow control from end to end: who does not take stops who sends, and neither for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{Duration, sleep, timeout};

use crate::support::raw_h2::{DATA, RawH2, WINDOW, get, window_update};
use crate::support::{Edge, Endpoint, Exchange, PATIENCE};
use crate::wire::{site, site_with};

use super::H2;

/// Far more than all sockets and buffers between the two ends hold.
const ENDLESS: usize = 256 * 1024 * 1024;
const PIECE: usize = 64 * 1024;
/// What sockets and buffers may hold at most: those of the kernel are up to 6 MiB for each of two connections.
const HELD: usize = 32 * 1024 * 1024;

/// An endpoint that sends without end; how much it got rid of, and for how many requests it has stopped.
async fn pouring() -> (Endpoint, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (sent, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counter, ended) = (sent.clone(), stopped.clone());
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let (counter, ended) = (counter.clone(), ended.clone());
        async move {
            exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n")).await;
            while exchange.stream.write_all(&[b'x'; PIECE]).await.is_ok() {
                counter.fetch_add(PIECE, Ordering::AcqRel);
            }
            ended.fetch_add(1, Ordering::AcqRel);
            None
        }
    })
    .await;
    (endpoint, sent, stopped)
}

async fn has_stopped(stopped: &AtomicUsize, count: usize) {
    crate::support::eventually("the endpoint is let go", async || stopped.load(Ordering::Acquire) == count)
        .await;
}

#[tokio::test]
async fn a_window_that_stays_shut_stops_the_endpoint_and_then_ends_the_response() {
    let (endpoint, sent, stopped) = pouring().await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { send_idle: 300ms }")).await;
    let mut client = RawH2::connect(&edge).await;
    client.send(get(1)).await;
    has_stopped(&stopped, 1).await;
    assert!(sent.load(Ordering::Acquire) < HELD);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&200.into(), &"client_gone".into()));
    // Only the stream is ended.
    assert_eq!(client.next_of(crate::support::raw_h2::RST_STREAM).await.stream, 1);
}

#[tokio::test]
async fn a_window_that_opens_drop_by_drop_does_not_keep_a_response_alive() {
    const DROP: u32 = 10;
    let (endpoint, sent, stopped) = pouring().await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { send_idle: 300ms }")).await;
    // SETTINGS_INITIAL_WINDOW_SIZE
    let mut client = RawH2::connect_with(&edge, &[(0x4, DROP)]).await;
    client.send(get(1)).await;
    let mut got = 0;
    while let Some(frame) = client.next().await {
        if frame.kind == crate::support::raw_h2::RST_STREAM {
            break;
        }
        if frame.kind == DATA {
            got += frame.payload.len();
            // The client's own pace; many drops fit into `send_idle`.
            sleep(Duration::from_millis(10)).await;
            client.send(window_update(1, DROP)).await;
        }
    }
    assert!(got > 0);
    has_stopped(&stopped, 1).await;
    assert!(sent.load(Ordering::Acquire) < HELD);
}

/// The windows are open, and the socket is not read.
#[tokio::test]
async fn a_socket_that_is_not_read_stops_all_endpoints() {
    const REQUESTS: usize = 4;
    let (endpoint, sent, stopped) = pouring().await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { send_idle: 300ms }")).await;
    let mut client = RawH2::connect_with(&edge, &[(0x4, WINDOW)]).await;
    client.send(window_update(0, WINDOW / 2)).await;
    for stream in [1, 3, 5, 7] {
        client.send(get(stream)).await;
    }
    has_stopped(&stopped, REQUESTS).await;
    assert!(sent.load(Ordering::Acquire) < REQUESTS * HELD);
    let lines = edge.log_of(REQUESTS).await;
    assert!(lines.iter().all(|line| line["cause"] == "client_gone"), "{lines:#?}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_read_stops_the_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let deaf = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let config = site_with(
        address,
        "limits: { body: { size: 1GiB } }",
        "timeouts: { idle: 500ms, first_byte: 500ms }, retry: { attempts: 0 }",
        "- pool: app",
    );
    let edge = Edge::start(&config).await;
    let client = H2::connect(&edge).await;
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (answer, mut body) =
        requests.send_request(Request::post("http://a/").body(()).unwrap(), false).unwrap();
    let mut sent = 0;
    // Ends with the stream, which is answered or reset once the endpoint has taken nothing for long enough.
    while sent < ENDLESS {
        body.reserve_capacity(PIECE);
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx));
        let Some(Ok(room)) = timeout(PATIENCE, room).await.expect("goes on or ends in time") else { break };
        if body.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
            break;
        }
        sent += room;
    }
    assert!(sent < HELD, "{sent}");
    let answer = timeout(PATIENCE, answer).await.expect("is told in time");
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 504));
    deaf.abort();
}
