use tokio::time::timeout;

use crate::support::{Edge, Endpoint, Exchange, H2Endpoint, H2Exchange, PATIENCE};

use super::{echo_site, refused, site, site_with};

/// Asks for the body with a 100 before it answers.
async fn asking() -> Endpoint {
    Endpoint::speaking_first("HTTP/1.1 100 Continue\r\n\r\n", |mut exchange: Exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        Some(exchange)
    })
    .await
}

#[tokio::test]
async fn the_endpoint_asks_for_the_body_that_the_client_holds_back() {
    let endpoint = asking().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
        assert_eq!(client.response().await.status, 100);
        client.send("body").await;
        assert_eq!(client.response().await.text(), "done");
        assert_eq!(endpoint.last().body, b"body");
    }
}

#[tokio::test]
async fn an_endpoint_may_refuse_without_the_body() {
    let endpoint =
        Endpoint::speaking_first("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", |_| async { None })
            .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    assert_eq!(client.response().await.status, 403);
}

#[tokio::test]
async fn other_expectations_cannot_be_met() {
    let (endpoint, edge) = echo_site("").await;
    for expect in [
        "miracles",
        "",
        "100-continue, miracles",
        "100-continue\r\nExpect: miracles",
        "100",
        "\"100-continue\"",
    ] {
        let response = edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\n\r\n")).await;
        assert_eq!(response.status, 417, "{expect}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let (endpoint, edge) = echo_site("limits: { body: { size: 1KiB } }").await;
    let mut client = edge.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n").await;
    assert_eq!(client.response().await.status, 413);
    assert!(endpoint.requests().is_empty());
    let close = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n";
    assert_eq!(refused(&edge, close).await.status, 413);
}

#[tokio::test]
async fn what_is_refused_early_asks_for_no_body() {
    let edge = Edge::start(&site_with("127.0.0.1:1", "", "", "- respond: { status: 401 }")).await;
    for _ in 0..2 {
        let mut client = edge.connect().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n").await;
        let response = client.response().await;
        // The client may send the body or not, so nothing can follow.
        assert_eq!((response.status, response.header("connection")), (401, Some("close")));
        assert!(client.is_closed().await);
    }
}

/// Whoever asks for the body: an endpoint of HTTP/1 itself, and the edge for one of HTTP/2.
#[tokio::test]
async fn clients_of_http2_are_asked_for_their_bodies() {
    let second = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        assert_eq!(exchange.read().await.0, b"body");
        exchange.reply(200, "done");
    })
    .await;
    let first = asking().await;
    let sites = [site(first.address(), ""), site_with(second.address(), "", "protocol: h2c", "- pool: app")];
    for config in sites {
        let edge = Edge::start(&config).await;
        let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post("http://a/").header("expect", "100-continue");
        let (mut answer, mut body) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx));
        let interim = timeout(PATIENCE, interim).await.expect("is asked in time").unwrap().unwrap();
        assert_eq!(interim.status(), 100);
        body.send_data("body".into(), true).unwrap();
        let answer = timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
        assert_eq!(answer.into_body().data().await.unwrap().unwrap(), "done");
    }
}

#[tokio::test]
async fn the_edge_asks_for_a_body_that_goes_to_http2() {
    let endpoint = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        assert!(!exchange.head.headers().contains_key("expect"));
        let (body, _) = exchange.read().await;
        exchange.reply(200, body);
    })
    .await;
    let edge = Edge::start(&site_with(endpoint.address(), "", "protocol: h2c", "- pool: app")).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
        assert_eq!(client.response().await.status, 100);
        client.send("body").await;
        assert_eq!(client.response().await.body, b"body");
    }
}
