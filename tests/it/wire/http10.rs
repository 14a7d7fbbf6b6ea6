use crate::support::{Edge, Endpoint};

use super::{echo_site, site, site_with};

#[tokio::test]
async fn http10_closes_unless_asked_to_stay() {
    let (_endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    client.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "/x");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn http10_may_ask_to_stay() {
    let (_endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    for number in 0..3 {
        client.send(format!("GET /{number} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")).await;
        let response = client.response().await;
        assert_eq!(response.text(), format!("/{number}"));
        assert_eq!(response.header("connection").map(str::to_ascii_lowercase), Some("keep-alive".to_owned()));
    }
}

#[tokio::test]
async fn http10_needs_no_host_and_endpoints_get_one() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site_with(
        endpoint.address(),
        "",
        "",
        "- { match: { host: named.example }, respond: { status: 418 } }\n- pool: app",
    ))
    .await;
    let response = edge.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(response.status, 200);
    let request = endpoint.last();
    assert_eq!(request.line(), "GET / HTTP/1.1");
    assert_eq!(request.headers("host"), [endpoint.address().to_string()]);
    assert_eq!(request.header("x-forwarded-host"), None);
    assert_eq!(request.header("via"), Some("1.0 evener"));
}

#[tokio::test]
async fn chunked_answers_reach_http10_without_chunks() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
            .to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    for keep in ["", "Connection: keep-alive\r\n"] {
        let mut client = edge.connect().await;
        client.send(format!("GET / HTTP/1.0\r\nHost: a\r\n{keep}\r\n")).await;
        let response = client.response().await;
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.text(), "hello world");
        assert!(client.is_closed().await);
        assert_eq!(endpoint.requests().len(), if keep.is_empty() { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_body_of_http10_has_a_length() {
    let (endpoint, edge) = echo_site("").await;
    let response = edge.send("POST /p HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").await;
    assert_eq!(response.status, 200);
    assert_eq!(endpoint.last().body, b"body");
}
