use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Client, Edge, Endpoint, PATIENCE};

use super::{GET, echo_site, site, site_with};

const HEADER_LIMIT: &str = "limits: { header: { timeout: 200ms } }";
const PACE: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_header_that_dribbles_is_cut_off() {
    let (endpoint, edge) = echo_site(HEADER_LIMIT).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await;
    let begun = Instant::now();
    while client.is_silent_for(PACE).await {
        assert!(begun.elapsed() < PATIENCE, "never cut off");
        client.try_send("x").await.ok();
    }
    let response = client.response().await;
    assert_eq!(response.status, 408);
    assert_eq!(response.header("connection"), Some("close"));
    assert!(client.is_closed().await);
    assert!(endpoint.requests().is_empty());
    assert_eq!(edge.log_of(1).await[0]["cause"], "header_timeout");
}

#[tokio::test]
async fn the_second_header_has_its_limit_too() {
    let (_endpoint, edge) = echo_site(HEADER_LIMIT).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    client.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(client.response().await.status, 408);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_silently() {
    let (_endpoint, edge) = echo_site(HEADER_LIMIT).await;
    let mut client = edge.connect().await;
    assert!(client.is_closed().await);
    assert!(edge.log().is_empty());
}

#[tokio::test]
async fn half_a_preface_of_http2_is_cut_off() {
    let (_endpoint, edge) = echo_site(HEADER_LIMIT).await;
    for start in ["P", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut client = edge.connect().await;
        client.send(start).await;
        // Whatever it is told, the connection ends.
        client.rest().await;
    }
}

#[tokio::test]
async fn a_preface_and_then_nothing_is_cut_off() {
    let (_endpoint, edge) =
        echo_site("limits: { header: { timeout: 200ms }, keepalive: { idle: 200ms } }").await;
    let mut client = edge.connect().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.rest().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_off() {
    let (endpoint, edge) = echo_site("limits: { body: { idle: 200ms } }").await;
    for text in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nha"] {
        let mut client = edge.connect().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{text}")).await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (408, Some("close")));
        assert!(client.is_closed().await);
    }
    assert!(endpoint.requests().is_empty());
    assert!(edge.log_of(2).await.iter().all(|line| line["cause"] == "body_timeout"));
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
        for _ in 0..1000 {
            exchange.send(vec![b'x'; 100_000]).await;
        }
        None
    })
    .await;
    let edge =
        Edge::start(&site_with(endpoint.address(), "limits: { send_idle: 200ms }", "", "- pool: app")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!(line["status"], 200);
    assert_eq!(line["cause"], "client_gone");
    assert!(client.rest().await.len() < 100_000_000);
}

/// Lets the clock of this test's runtime jump, sockets and all.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_cut_off() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = Edge::start(&site(listener.local_addr().unwrap(), "")).await;
    for (first, expected) in [(1_000, Some(408)), (10_000, None)] {
        let mut client = edge.connect().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n").await;
        let mut endpoint = Client::over(listener.accept().await.unwrap().0);
        endpoint.head().await;
        // The wait before the body is not the body's.
        pass(Duration::from_secs(8)).await;
        client.send(vec![b'x'; first]).await;
        endpoint.exactly(first).await;
        // The least pace is 1 KiB/s, judged after five seconds.
        pass(Duration::from_secs(6)).await;
        client.send("y").await;
        match expected {
            Some(status) => assert_eq!(client.response().await.status, status),
            None => assert_eq!(endpoint.exactly(1).await, b"y"),
        }
    }
    assert_eq!(edge.log_of(1).await[0]["cause"], "body_timeout");
}
