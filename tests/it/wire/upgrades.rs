use crate::support::{Client, Edge, Endpoint, Exchange, Request};

use super::{GET, site, site_with};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\n";

/// Refuses to switch at `/refuse…`, and answers everything else by switching.
async fn answering(refusal: &'static str) -> Endpoint {
    Endpoint::with(move |request: &Request| match request.path() {
        "/chat" => refusal.to_owned(),
        path => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()),
    })
    .await
}

#[tokio::test]
async fn the_handshake_passes() {
    let endpoint = answering(SWITCHED).await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(HANDSHAKE).await;
    let response = client.response().await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert!(response.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(response.header("sec-websocket-accept"), Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk="));
    let request = endpoint.last();
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert!(request.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert_eq!(request.header("sec-websocket-key"), Some("x3JJHMbDL1EzLkh9GBhXDw=="));
    assert_eq!(request.header("sec-websocket-version"), Some("13"));
    assert_eq!(request.header("sec-websocket-protocol"), Some("chat"));
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_refused_upgrade_leaves_an_ordinary_connection() {
    let refusals = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    ];
    for refusal in refusals {
        let endpoint = answering(refusal).await;
        let routes = "- { match: { path: /admin }, respond: { status: 403 } }\n- pool: app";
        let edge = Edge::start(&site_with(endpoint.address(), "", "", routes)).await;
        let mut client = edge.connect().await;
        // Sent ahead, as an attacker would who hopes for a tunnel.
        client.send(format!("{HANDSHAKE}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let first = client.response().await;
        assert_eq!(first.text(), "no", "{refusal:?}");
        assert_eq!(client.response().await.status, 403, "{refusal:?}");
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "/next", "{refusal:?}");
        let paths: Vec<String> = endpoint.requests().iter().map(|seen| seen.path().to_owned()).collect();
        assert_eq!(paths, ["/chat", "/next"], "{refusal:?}");
    }
}

#[tokio::test]
async fn the_filters_of_the_route_hold_for_upgrades() {
    let endpoint = answering(SWITCHED).await;
    let routes = "- { filters: [{ rate_limit: { rate: 1/m, burst: 1 } }], pool: app }";
    let edge = Edge::start(&site_with(endpoint.address(), "", "", routes)).await;
    let mut first = edge.connect().await;
    first.send(HANDSHAKE).await;
    assert_eq!(first.response().await.status, 101);
    assert_eq!(edge.send(HANDSHAKE).await.status, 429);
    assert_eq!(endpoint.requests().len(), 1);
}

async fn expect_no_tunnel(request: &str) {
    let endpoint = Endpoint::with(|_| SWITCHED.to_owned()).await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(request).await;
    let response = client.response().await;
    assert_eq!(response.status, 502, "{request:?}: {}", response.head);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&502.into(), &"unexpected_upgrade".into()), "{request:?}");
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_refused() {
    expect_no_tunnel(GET).await;
    expect_no_tunnel("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    // Without `Connection: upgrade` the field means nothing.
    expect_no_tunnel("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").await;
    for protocol in ["h2c", "h2c, websocket", "HTTP/2.0", "TLS/1.0", "connect-udp", "anything"] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        expect_no_tunnel(&request).await;
    }
    expect_no_tunnel("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n").await;
    expect_no_tunnel("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
}

#[tokio::test]
async fn http2_is_never_upgraded_to() {
    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    assert_eq!(edge.send(h2c).await.status, 502);

    let endpoint = Endpoint::answering("plain").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let response = edge.send(h2c).await;
    assert_eq!((response.status, response.text()), (200, "plain"));
    let request = endpoint.last();
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_switch_to_another_protocol_than_asked_for_is_refused() {
    let endpoint = Endpoint::with(|_| SWITCHED.replace("websocket", "irc")).await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    assert_eq!(edge.send(HANDSHAKE).await.status, 502);
}

#[tokio::test]
async fn an_upgrade_may_have_a_body() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        assert_eq!(exchange.request.body, b"hello");
        exchange.send(SWITCHED).await;
        let (mut read, mut write) = exchange.stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
        None
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client: Client = edge.connect().await;
    let with_body = HANDSHAKE.replace("Host: a\r\n", "Host: a\r\nContent-Length: 5\r\n");
    client.send(format!("{with_body}hello")).await;
    let response = client.response().await;
    assert_eq!(response.status, 101, "{}", response.head);
    client.send("beyond").await;
    assert_eq!(client.exactly(6).await, b"beyond");
    assert_eq!(endpoint.last().body, b"hello");
}
