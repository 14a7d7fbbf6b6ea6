//! Trailers of an endpoint that speaks HTTP/2, at a client that speaks HTTP/1.1.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use crate::support::{Client, Edge, Endpoint, H2Endpoint, H2Exchange};

use super::{site, site_with};

/// Answers with this body, in these pieces, and with these trailers; of known length where the path is `/length`.
async fn trailing(pieces: &'static [&'static str], trailers: HeaderMap) -> (H2Endpoint, Edge) {
    let endpoint = H2Endpoint::scripted(move |mut exchange: H2Exchange| {
        let trailers = trailers.clone();
        async move {
            let length: usize = pieces.iter().map(|piece| piece.len()).sum();
            let mut head = http::Response::builder();
            if exchange.path() == "/length" {
                head = head.header("content-length", length);
            }
            let Some(mut stream) = exchange.begin(head.body(()).unwrap(), false) else { return };
            let pieces = if exchange.head.method() == Method::HEAD { &[] } else { pieces };
            for piece in pieces {
                let _ = stream.send_data(Bytes::from_static(piece.as_bytes()), false);
                tokio::task::yield_now().await;
            }
            let _ = stream.send_trailers(trailers);
        }
    })
    .await;
    let edge = Edge::start(&site_with(endpoint.address(), "", "protocol: h2c", "- pool: app")).await;
    (endpoint, edge)
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for &(name, value) in fields {
        map.append(name, HeaderValue::from_static(value));
    }
    map
}

/// All that comes after the head, up to the end of the chunks.
async fn chunks(client: &mut Client, path: &str, te: &str) -> String {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{te}\r\n")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("ransfer-"), "{head}");
    let mut text = Vec::new();
    loop {
        let line = client.until(b"\r\n").await;
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        text.extend_from_slice(&line);
        if size == 0 {
            break;
        }
        text.extend(client.exactly(size + 2).await);
    }
    loop {
        let line = client.until(b"\r\n").await;
        text.extend_from_slice(&line);
        if line == b"\r\n" {
            return String::from_utf8(text).unwrap();
        }
    }
}

const TE: &str = "Connection: TE\r\nTE: trailers\r\n";

#[tokio::test]
async fn they_reach_a_client_that_understands_them() {
    let trailers = fields(&[("x-sum", "abc"), ("x-sum", "def"), ("server-timing", "db;dur=5")]);
    let (endpoint, edge) = trailing(&["hello"], trailers).await;
    let mut client = edge.connect().await;
    for te in [TE, "Connection: te\r\nTE: gzip;q=0.5, Trailers\r\n"] {
        let text = chunks(&mut client, "/", te).await;
        assert!(text.starts_with("5\r\nhello\r\n0\r\n") && text.ends_with("\r\n\r\n"), "{text:?}");
        for line in ["x-sum: abc\r\n", "x-sum: def\r\n", "server-timing: db;dur=5\r\n"] {
            assert!(text.contains(line), "{text:?}");
        }
        assert_eq!(endpoint.heads().pop().unwrap().headers().get("te").unwrap(), "trailers");
    }
    // A client that does not gets none, and the endpoint is told so.
    assert_eq!(chunks(&mut client, "/", "").await, "5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(endpoint.heads().pop().unwrap().headers().get("te"), None);
}

#[tokio::test]
async fn they_stand_at_the_end_and_nowhere_else() {
    const LOOKALIKE: &str = "0\r\n\r\n";
    let (_endpoint, edge) =
        trailing(&[LOOKALIKE, LOOKALIKE, "0\r\n", "\r\n"], fields(&[("x-sum", "abc")])).await;
    let mut client = edge.connect().await;
    for _ in 0..20 {
        let text = chunks(&mut client, "/", TE).await;
        assert!(text.ends_with("0\r\nx-sum: abc\r\n\r\n"), "{text:?}");
        assert_eq!(text.matches("x-sum").count(), 1, "{text:?}");
    }
}

#[tokio::test]
async fn they_are_those_of_their_own_answer() {
    let (_endpoint, edge) = trailing(&["hello"], fields(&[("x-sum", "abc")])).await;
    let mut client = edge.connect().await;
    // There is no place for trailers after a body of known length, nor after the answer to a HEAD.
    client.send(format!("GET /length HTTP/1.1\r\nHost: a\r\n{TE}\r\n")).await;
    let response = client.response().await;
    assert_eq!((response.header("content-length"), response.text()), (Some("5"), "hello"));
    client.send(format!("HEAD / HTTP/1.1\r\nHost: a\r\n{TE}\r\n")).await;
    assert_eq!(client.response_to_head().await.status, 200);
    assert_eq!(chunks(&mut client, "/", "").await, "5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(chunks(&mut client, "/", TE).await, "5\r\nhello\r\n0\r\nx-sum: abc\r\n\r\n");
}

#[tokio::test]
async fn what_must_not_trail_does_not() {
    let trailers = fields(&[
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("set-cookie", "a=b"),
        ("host", "evil"),
        ("trailer", "x"),
        ("www-authenticate", "Basic"),
        ("x-sum", "abc"),
    ]);
    let (_endpoint, edge) = trailing(&["hello"], trailers).await;
    let mut client = edge.connect().await;
    assert_eq!(chunks(&mut client, "/", TE).await, "5\r\nhello\r\n0\r\nx-sum: abc\r\n\r\n");
}

#[tokio::test]
async fn too_many_are_left_out() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-large", HeaderValue::try_from("y".repeat(9000)).unwrap());
    let (_endpoint, edge) = trailing(&["hello"], trailers).await;
    let mut client = edge.connect().await;
    assert_eq!(chunks(&mut client, "/", TE).await, "5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_client_of_http10_gets_neither_trailers_nor_chunks() {
    let (_endpoint, edge) = trailing(&["hello"], fields(&[("x-sum", "abc")])).await;
    let mut client = edge.connect().await;
    client.send(format!("GET / HTTP/1.0\r\nHost: a\r\n{TE}\r\n")).await;
    let response = client.response().await;
    assert_eq!((response.header("transfer-encoding"), response.text()), (None, "hello"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn trailers_that_do_not_come_are_not_announced() {
    let answer = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: abc\r\n\r\n";
    let endpoint = Endpoint::with(|_| answer.to_owned()).await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let response = edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{TE}\r\n")).await;
    assert_eq!((response.text(), response.header("trailer")), ("hi", None));
}
