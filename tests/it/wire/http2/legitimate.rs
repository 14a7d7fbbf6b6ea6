//! What real clients do, much of it, and none of it is taken for a flood.

use http::Request;
use tokio::time::timeout;

use crate::support::raw_h2::{
    ACK, DATA, END_STREAM, HEADERS, PING, PRIORITY, RawH2, WINDOW, frame, get, window_update,
};
use crate::support::{Edge, Endpoint, Exchange, PATIENCE, eventually};
use crate::wire::{echo_site, site};

use super::H2;

const LARGE: usize = 8 * 1024 * 1024;

/// An endpoint that answers with a large body.
async fn large() -> Endpoint {
    Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await;
        exchange.send(vec![b'x'; LARGE]).await;
        Some(exchange)
    })
    .await
}

/// Downloads a large body, sending what `answers` makes of each DATA frame. The number of DATA frames.
async fn download(edge: &Edge, answers: impl Fn(usize) -> Vec<u8>) -> usize {
    // SETTINGS_INITIAL_WINDOW_SIZE
    let mut client = RawH2::connect_with(edge, &[(0x4, 1024 * 1024)]).await;
    client.send([get(1), window_update(0, 1024 * 1024)].concat()).await;
    let (mut frames, mut length) = (0, 0);
    loop {
        let data = client.next_of(DATA).await;
        length += data.payload.len();
        frames += 1;
        if data.flags & END_STREAM != 0 {
            assert_eq!(length, LARGE);
            break;
        }
        client.send(answers(data.payload.len())).await;
    }
    // Still there, and still served.
    client.send([window_update(0, WINDOW / 2), get(3)].concat()).await;
    while client.next_of(HEADERS).await.stream != 3 {}
    frames
}

/// As Go's client does when it reads 4 KiB at a time, and as others do that open a window for every frame.
#[tokio::test]
async fn a_download_opens_windows_thousands_of_times() {
    let endpoint = large().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let frames = download(&edge, |length| {
        let mut updates = Vec::new();
        for start in (0..length).step_by(4096) {
            let increment = u32::try_from(4096.min(length - start)).unwrap();
            updates.extend([window_update(0, increment), window_update(1, increment)].concat());
        }
        updates
    })
    .await;
    assert!(frames >= LARGE / (16 * 1024), "{frames}");
}

/// gRPC measures the bandwidth with pings for the data that it gets.
#[tokio::test]
async fn a_download_is_measured_with_pings() {
    let endpoint = large().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let frames = download(&edge, |length| {
        let increment = u32::try_from(length.max(1)).unwrap();
        [window_update(0, increment), window_update(1, increment), frame(PING, 0, 0, [7; 8])].concat()
    })
    .await;
    assert!(frames > 400, "{frames}");
}

/// With the window of each stream set as curl does, and a priority as old browsers do for some.
#[tokio::test]
async fn a_thousand_requests_follow_one_another() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    for number in 0..1000 {
        let stream = 2 * number + 1;
        let mut request = [get(stream), window_update(stream, 10 * 1024 * 1024)].concat();
        if number % 4 == 0 {
            request.extend(frame(PRIORITY, 0, stream, [0, 0, 0, 0, 16]));
        }
        client.send(request).await;
        let data = client.next_of(DATA).await;
        assert_eq!((data.stream, data.payload.as_slice()), (stream, b"/".as_slice()));
    }
    assert_eq!(endpoint.requests().len(), 1000);
}

#[tokio::test]
async fn all_that_is_open_may_be_cancelled_in_one_go() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        if exchange.request.path() == "/slow" {
            std::future::pending::<()>().await;
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let client = H2::connect(&edge).await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(client.start(Request::get("http://a/slow"), "").await);
    }
    eventually("all are with the endpoint", async || endpoint.requests().len() == 100).await;
    drop(answers);
    assert_eq!(timeout(PATIENCE, client.get("/fast")).await.unwrap().body(), "ok");
    let lines = edge.log_of(101).await;
    assert_eq!(lines.iter().filter(|line| line["status"] == 499).count(), 100);
}

#[tokio::test]
async fn a_ping_is_answered() {
    let (_endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    client.send(frame(PING, 0, 0, b"are you?")).await;
    let pong = client.next_of(PING).await;
    assert_eq!((pong.flags, pong.payload.as_slice()), (ACK, b"are you?".as_slice()));
}
