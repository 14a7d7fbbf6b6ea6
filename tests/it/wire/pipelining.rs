use crate::support::{Edge, Endpoint, Request};

use super::{echo_site, site_with};

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    client
        .send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
             POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n\
             HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n\
             PUT /5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: t\r\n\r\n\
             GET /6 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
             GET /7 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.response().await.text(), path);
    }
    assert_eq!(client.response_to_head().await.header("content-length"), Some("2"));
    for path in ["/5", "/6"] {
        assert_eq!(client.response().await.text(), path);
    }
    assert!(client.is_closed().await);
    let seen = endpoint.requests();
    assert_eq!(seen.iter().map(Request::path).collect::<Vec<_>>(), ["/1", "/2", "/3", "/4", "/5", "/6"]);
    assert_eq!(seen[1].body, b"hello");
    assert_eq!(seen[2].body, b"abcde");
}

#[tokio::test]
async fn each_request_takes_its_own_way_through_router_and_filters() {
    let endpoint = Endpoint::answering("pool").await;
    let edge = Edge::start(&site_with(
        endpoint.address(),
        "",
        "",
        "- { match: { path: /edge }, respond: { status: 418, body: tea } }\n\
         - { match: { path: /limited }, filters: [{ rate_limit: { rate: 1/m, burst: 1 } }], pool: app }\n\
         - { match: { path: /open }, pool: app }",
    ))
    .await;
    let mut client = edge.connect().await;
    let requests: String = ["/limited", "/edge", "/limited", "/nowhere", "/open"]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .concat();
    client.send(requests).await;
    for expected in [200, 418, 429, 404, 200] {
        assert_eq!(client.response().await.status, expected);
    }
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_broken_request_ends_the_row_after_the_answers_before_it() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    client
        .send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n\
             GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.text(), "/1");
    assert_eq!(client.response().await.status, 400);
    assert!(client.is_closed().await);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn what_is_sent_ahead_waits_for_a_slow_answer() {
    let (release, held) = tokio::sync::watch::channel(false);
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let mut held = held.clone();
        async move {
            if exchange.request.path() == "/slow" {
                held.wait_for(|released| *released).await.unwrap();
            }
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::start(&super::site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    crate::support::eventually("the first is there", async || endpoint.requests().len() == 1).await;
    // More than is read ahead in one go.
    let next = format!("GET /next HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(3000));
    client.send(next.repeat(20)).await;
    release.send(true).unwrap();
    for _ in 0..21 {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(endpoint.requests().len(), 21);
}
