use std::time::Duration;

use crate::support::Endpoint;

use super::{GET, echo_site, refused};

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    for number in 0..100 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let response = client.response().await;
        assert_eq!(response.text(), format!("/{number}"));
        assert_ne!(response.header("connection"), Some("close"));
    }
    assert_eq!(endpoint.requests().len(), 100);
}

#[tokio::test]
async fn a_client_may_ask_for_the_end() {
    let (_endpoint, edge) = echo_site("").await;
    for field in ["Connection: close", "connection: Close", "Connection: foo, close"] {
        let response = refused(&edge, format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")).await;
        assert_eq!(response.status, 200, "{field}");
    }
}

#[tokio::test]
async fn an_endpoint_that_closes_does_not_close_the_client() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        None
    })
    .await;
    let edge = crate::support::Edge::start(&super::site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..5 {
        client.send(GET).await;
        assert_eq!(client.response().await.text(), "ok");
    }
}

#[tokio::test]
async fn a_connection_ends_after_its_number_of_requests() {
    let (_endpoint, edge) = echo_site("limits: { keepalive: { requests: 3 } }").await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send(GET).await;
        assert_ne!(client.response().await.header("connection"), Some("close"));
    }
    client.send(GET).await;
    assert_eq!(client.response().await.header("connection"), Some("close"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn an_old_connection_ends_with_its_next_request() {
    let (_endpoint, edge) = echo_site("limits: { keepalive: { age: 50ms } }").await;
    let mut client = edge.connect().await;
    let mut served = 0;
    loop {
        client.send(GET).await;
        served += 1;
        let response = client.response().await;
        assert_eq!(response.status, 200);
        if response.header("connection") == Some("close") {
            break;
        }
        assert!(client.is_silent_for(Duration::from_millis(5)).await);
    }
    assert!(served > 1);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_connection_that_rests_too_long_ends_silently() {
    let (_endpoint, edge) = echo_site("limits: { keepalive: { idle: 100ms } }").await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    let begun = tokio::time::Instant::now();
    assert!(client.is_closed().await);
    // The header's own limit is ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert_eq!(edge.log_of(1).await.len(), 1);
}

#[tokio::test]
async fn line_ends_between_requests_are_skipped() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n").await;
    assert_eq!(client.response().await.text(), "/1");
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n\r").await;
    assert_eq!(client.response().await.text(), "/2");
    client.send("\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "/3");
    assert_eq!(endpoint.requests().len(), 3);
}

#[tokio::test]
async fn a_line_end_after_a_request_begins_no_request() {
    let (_endpoint, edge) =
        echo_site("limits: { header: { timeout: 100ms }, keepalive: { idle: 400ms } }").await;
    for rest in ["\r\n", "\r"] {
        let mut client = edge.connect().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{rest}")).await;
        assert_eq!(client.response().await.status, 200);
        assert!(client.is_silent_for(Duration::from_millis(200)).await, "{rest:?}");
        assert!(client.is_closed().await, "{rest:?}");
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    for byte in b"GET /slow HTTP/1.1\r\nHost: example.com\r\nX-A: b\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response().await.text(), "/slow");
    assert_eq!(endpoint.last().header("x-a"), Some("b"));
}

#[tokio::test]
async fn half_a_header_and_a_close_is_no_request() {
    let (endpoint, edge) = echo_site("").await;
    for start in ["GET", "GET / HTTP/1.1\r\nHos", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut client = edge.connect().await;
        client.send(start).await;
        client.half_close().await;
        assert!(client.is_closed().await, "{start:?}");
    }
    assert_eq!(edge.get("/").await.status, 200);
    assert_eq!(edge.log_of(1).await.len(), 1);
    assert_eq!(endpoint.requests().len(), 1);
}
