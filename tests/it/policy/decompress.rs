use std::io::Write;

use crate::support::{Edge, Endpoint, Response};

use super::filtered;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

/// An endpoint that codes whatever is asked for: this body, with these fields.
async fn insisting(body: Vec<u8>, fields: &'static str) -> Endpoint {
    Endpoint::scripted(move |mut exchange| {
        let body = body.clone();
        async move {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nETag: \"x\"\r\n{fields}\r\n"
            );
            let is_head = exchange.request.line().starts_with("HEAD ");
            exchange.send([head.as_bytes(), if is_head { b"" } else { &body }].concat()).await;
            Some(exchange)
        }
    })
    .await
}

async fn ask(edge: &Edge, fields: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn who_does_not_take_the_coding_can_read_the_answer() {
    let text = "plain text\n".repeat(50_000);
    let endpoint = insisting(gzip(text.as_bytes()), "").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ decompress: {} }")).await;
    for fields in ["", "Accept-Encoding: br\r\n", "Accept-Encoding: identity\r\n"] {
        let response = ask(&edge, fields).await;
        assert_eq!((response.status, response.header("content-encoding")), (200, None), "{fields}");
        assert_eq!(
            (response.header("etag"), response.header("vary")),
            (Some("W/\"x--plain\""), Some("Accept-Encoding"))
        );
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), text);
    }
    let response = ask(&edge, "Accept-Encoding: gzip\r\n").await;
    assert_eq!((response.header("content-encoding"), response.header("etag")), (Some("gzip"), Some("\"x\"")));
    assert_eq!(response.body, gzip(text.as_bytes()));
    let head = edge.send("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert_eq!((head.header("content-encoding"), head.header("content-length")), (None, None));
}

#[tokio::test]
async fn one_coding_is_taken_off_and_another_put_on() {
    let text = "plain text\n".repeat(500);
    let endpoint = insisting(gzip(text.as_bytes()), "").await;
    let filters = "{ compress: { algorithms: [zstd] } }, { decompress: { always: true } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    let response = ask(&edge, "Accept-Encoding: gzip;q=0.5, zstd\r\n").await;
    assert_eq!(
        (response.headers("content-encoding"), response.header("etag")),
        (vec!["zstd"], Some("W/\"x--plain\""))
    );
    assert_eq!(zstd::stream::decode_all(&response.body[..]).unwrap(), text.as_bytes());
    assert_eq!(ask(&edge, "Accept-Encoding: gzip\r\n").await.text(), text);
}

#[tokio::test]
async fn a_bomb_never_reaches_a_client_and_the_log_names_it() {
    let endpoint = insisting(gzip(&vec![0; 40 << 20]), "").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ decompress: {} }")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    // It may be known before the head has gone out, or after it.
    let got = client.rest().await;
    assert!(got.len() < 16 << 20, "{} bytes came through", got.len());
    assert!(!got.ends_with(b"\r\n0\r\n\r\n") || got.starts_with(b"HTTP/1.1 502 "), "looks whole");
    assert_eq!(edge.log_of(1).await[0]["cause"], "decompress_bomb");
}

#[tokio::test]
async fn what_cannot_be_decoded_fails_where_everything_has_to_be() {
    let endpoint = insisting(b"not gzip at all, but long enough".to_vec(), "Content-Encoding: br\r\n").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ decompress: { always: true } }")).await;
    assert_eq!(ask(&edge, "Accept-Encoding: gzip, br\r\n").await.status, 502);
    assert_eq!(edge.log_of(1).await[0]["cause"], "decompress_failed");
}

#[tokio::test]
async fn a_stored_answer_is_decoded_for_whoever_needs_it() {
    let endpoint = insisting(gzip(b"stored"), "Cache-Control: max-age=600\r\n").await;
    let config = filtered(endpoint.address(), "{ cache: { in: main } }, { decompress: {} }");
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\n{config}")).await;
    for _ in 0..2 {
        assert_eq!(ask(&edge, "").await.text(), "stored");
        assert_eq!(ask(&edge, "Accept-Encoding: gzip\r\n").await.body, gzip(b"stored"));
        let known = ask(&edge, "If-None-Match: W/\"x--plain\"\r\n").await;
        assert_eq!((known.status, known.header("etag")), (304, Some("W/\"x--plain\"")));
    }
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn who_asks_for_a_part_gets_all_of_it_decoded() {
    let text = "plain text\n".repeat(500);
    let endpoint = insisting(gzip(text.as_bytes()), "Accept-Ranges: bytes\r\n").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ decompress: {} }")).await;
    let response = ask(&edge, "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n").await;
    assert_eq!((response.status, response.text()), (200, text.as_str()));
    assert_eq!(response.header("accept-ranges"), None);
    assert_eq!((endpoint.last().header("range"), endpoint.last().header("if-range")), (None, None));
    let all = "Range: bytes=0-9\r\nAccept-Encoding: gzip, br, zstd, deflate\r\n";
    ask(&edge, all).await;
    assert_eq!(endpoint.last().header("range"), Some("bytes=0-9"));
}

#[tokio::test]
async fn a_client_whose_answers_do_not_end_keeps_nobody_else_out() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        let body = gzip(b"plain");
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        if exchange.request.line().contains("/whole") {
            exchange.send([head.as_bytes(), &body].concat()).await;
            return Some(exchange);
        }
        exchange.send([head.as_bytes(), &body[..10]].concat()).await;
        std::future::pending().await
    })
    .await;
    let config = filtered(endpoint.address(), "{ decompress: { memory: 32MiB } }");
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{config}")).await;
    let mut heads = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..260 {
        let mut client = edge.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n").await;
        heads.push(client.head().await);
        clients.push(client);
    }
    let count = |status: &str| heads.iter().filter(|head| head.starts_with(status)).count();
    assert_eq!((count("HTTP/1.1 200 "), count("HTTP/1.1 503 ")), (256, 4));
    let other =
        edge.send("GET /whole HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n").await;
    assert_eq!((other.status, other.text()), (200, "plain"));
}
