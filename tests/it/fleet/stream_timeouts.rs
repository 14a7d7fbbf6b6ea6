use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::{Edge, Endpoint};

use super::fleet;

const LONG: Duration = Duration::from_secs(5);

/// An endpoint that answers with this head, and then so many bytes, each after this pause.
async fn dripping(head: &'static str, pause: Duration, count: usize) -> Endpoint {
    Endpoint::scripted(move |mut exchange| async move {
        exchange.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n")).await;
        for _ in 0..count {
            sleep(pause).await;
            exchange.send("x").await;
        }
        None
    })
    .await
}

/// The body that a client gets to see, and how long it took.
async fn body(timeouts: &str, endpoint: &Endpoint) -> (usize, Duration, serde_json::Value) {
    let config = fleet(&format!("timeouts: {{ {timeouts} }},"), &[&endpoint.address()]);
    let edge = Edge::start(&config).await;
    let begun = Instant::now();
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    client.head().await;
    let body = client.rest().await;
    let line = edge.log_of(1).await.remove(0);
    (body.iter().filter(|byte| **byte == b'x').count(), begun.elapsed(), line)
}

const SIZED: &str = "Content-Length: 10\r\n";
const UNSIZED: &str = "Connection: close\r\n";
const EVENTS: &str = "Content-Type: text/event-stream\r\n";

#[tokio::test]
async fn silence_within_an_answer_has_its_limit_whatever_the_others_are() {
    for head in [SIZED, UNSIZED, EVENTS] {
        let endpoint = dripping(head, Duration::from_secs(3600), 10).await;
        for timeouts in ["idle: 200ms", "idle: 200ms, first_byte: 200ms", "idle: 200ms, first_byte: 100ms"] {
            let (bytes, took, line) = body(timeouts, &endpoint).await;
            assert_eq!(bytes, 0);
            assert!(took < LONG, "{timeouts}: {took:?}");
            assert_eq!(line["cause"], "response_timeout", "{timeouts}, {head}");
        }
    }
}

#[tokio::test]
async fn pauses_that_are_allowed_cut_nothing() {
    let endpoint = dripping(SIZED, Duration::from_millis(100), 10).await;
    for timeouts in ["idle: 10s, first_byte: 50ms", "idle: 1s, first_byte: 10s", "idle: 1s, first_byte: 1s"] {
        let (bytes, _, line) = body(timeouts, &endpoint).await;
        assert_eq!(bytes, 10, "{timeouts}");
        assert!(line.get("cause").is_none(), "{timeouts}: {line}");
    }
}

#[tokio::test]
async fn the_total_ends_an_answer_that_drips() {
    for head in [SIZED, UNSIZED] {
        let endpoint = dripping(head, Duration::from_millis(100), 100).await;
        for timeouts in ["total: 450ms", "total: 450ms, idle: 300ms, first_byte: 300ms"] {
            let (bytes, took, line) = body(timeouts, &endpoint).await;
            assert!((1..=5).contains(&bytes), "{timeouts}: {bytes}");
            assert!(took < LONG, "{timeouts}: {took:?}");
            assert_eq!(line["cause"], "total_timeout", "{timeouts}: {line}");
        }
    }
}

#[tokio::test]
async fn the_total_ends_an_answer_that_stalls() {
    let endpoint = dripping(SIZED, Duration::from_secs(3600), 1).await;
    let (bytes, took, line) = body("total: 200ms", &endpoint).await;
    assert_eq!((bytes, &line["cause"]), (0, &"total_timeout".into()));
    assert!(took < LONG, "{took:?}");
}

#[tokio::test]
async fn events_go_on_beyond_the_total() {
    let endpoint = dripping(EVENTS, Duration::from_millis(400), 3).await;
    let (bytes, _, line) = body("total: 200ms", &endpoint).await;
    assert_eq!(bytes, 3);
    assert!(line.get("cause").is_none(), "{line}");
}
