use crate::support::{Edge, Endpoint, Exchange};

use super::{GET, echo_site, site};

#[tokio::test]
async fn a_body_may_come_in_tiny_pieces() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n").await;
    for _ in 0..60 {
        client.send("x").await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response().await.status, 200);
    assert_eq!(endpoint.last().body, [b'x'; 60]);
}

#[tokio::test]
async fn a_chunked_body_reaches_the_endpoint_whole() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for byte in b"4;name=\"v\"\r\nWiki\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response().await.status, 200);
    let request = endpoint.last();
    assert_eq!(request.body, b"Wiki0123456789abcdef");
    assert_eq!(request.headers("transfer-encoding"), ["chunked"]);
    assert_eq!(request.header("content-length"), None);
}

#[tokio::test]
async fn a_body_of_no_length_is_none() {
    let (endpoint, edge) = echo_site("").await;
    let response = edge.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(response.status, 200);
    assert_eq!(endpoint.last().header("content-length"), Some("0"));
    assert_eq!(edge.send("DELETE /p HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
    assert_eq!(endpoint.last().header("transfer-encoding"), None);
}

#[tokio::test]
async fn answers_without_a_body_keep_the_connection() {
    let endpoint = Endpoint::with(|request| {
        let head = match request.path() {
            "/head" => "200 OK\r\nContent-Length: 10",
            "/headchunked" => "200 OK\r\nTransfer-Encoding: chunked",
            "/204" => "204 No Content",
            _ => "304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 10",
        };
        format!("HTTP/1.1 {head}\r\n\r\n")
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.header("content-length"), Some("10"));
        client.send("HEAD /headchunked HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let empty = client.response().await;
        assert_eq!((empty.status, empty.header("content-length")), (204, None));
        client.send("GET /304 HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n").await;
        let same = client.response().await;
        assert_eq!((same.status, same.header("etag")), (304, Some("\"x\"")));
    }
    assert_eq!(endpoint.requests().len(), 8);
}

/// Bytes that repeat nowhere near the sizes of buffers.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(count).collect()
}

#[tokio::test]
async fn large_bodies_pass_both_ways_unchanged() {
    const SIZE: usize = 8 * 1024 * 1024;
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        let body = std::mem::take(&mut exchange.request.body);
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        exchange.send(body).await;
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let body = noise(SIZE);
    let mut client = edge.connect().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    client.send(&body).await;
    assert!(client.response().await.body == body);

    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for piece in body.chunks(77_777) {
        client.send(format!("{:x}\r\n", piece.len())).await;
        client.send(piece).await;
        client.send("\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert!(client.response().await.body == body);
    client.send(GET).await;
    assert_eq!(client.response().await.body, b"");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives_and_ends_the_connection() {
    let edge = Edge::start(&super::site_with("127.0.0.1:1", "", "", "- respond: { status: 403 }")).await;
    let mut client = edge.connect().await;
    client.send("POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n").await;
    // What is still on its way does not reset the connection before the answer is read.
    client.send([b'x'; 20_000]).await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("connection")), (403, Some("close")));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_short_body_that_nobody_reads_does_not_cost_the_connection() {
    let edge =
        Edge::start(&super::site_with("127.0.0.1:1", "", "", "- { match: { path: /x }, respond: {} }")).await;
    let mut client = edge.connect().await;
    for _ in 0..3 {
        client.send("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (404, Some("keep-alive")));
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
        assert_eq!(client.response().await.status, 200);
        client.send("lo").await;
    }
    // One that is not short, or of unknown length, does.
    client
        .send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.header("connection"), Some("close"));
    assert!(client.is_closed().await);
}
