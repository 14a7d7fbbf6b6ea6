//! Bodies that a filter reads before an endpoint is chosen.

use async_trait::async_trait;
use bytes::Bytes;
use evener::app::{App, AppBuilder};
use evener::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Rejection, RequestView, testing,
};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use crate::support::{Edge, Endpoint, H2Endpoint, H2Exchange};
use crate::wire::http2::{H2, read};

/// Reads so much of a body, tells the endpoint what it saw, and refuses bodies with evil in them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peek {
    limit: usize,
}

const X_PEEK: HeaderName = HeaderName::from_static("x-peek");

#[async_trait]
impl Filter for Peek {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        _: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        // A filter that does not care is not asked either.
        let Ok(body) = request.read_body(self.limit).await else { return Ok(Flow::Continue) };
        if body.bytes.windows(4).any(|window| window == b"evil") {
            return Ok(Rejection::new(StatusCode::FORBIDDEN, "evil").into());
        }
        assert!(body.is_whole || body.bytes.len() > self.limit.min(RequestView::MOST_READ));
        let seen = if body.is_whole { format!("all {}", body.bytes.len()) } else { "part".to_owned() };
        request.add_header(X_PEEK, HeaderValue::from_str(&seen).unwrap())?;
        Ok(Flow::Continue)
    }
}

fn builder() -> AppBuilder {
    App::builder().filter("peek", |peek: Peek, _: &BuildCx<'_>| Ok::<_, BuildError>(peek))
}

fn config(pool: &str, filters: &str, listener: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0, {listener} }} }}\n\
         pools: {{ app: {{ {pool} }} }}\n\
         routes: [{{ filters: [{filters}], pool: app }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    )
}

async fn start(endpoint: &Endpoint, filters: &str, listener: &str) -> Edge {
    let pool = format!("endpoints: [{}]", endpoint.address());
    Edge::start_with(builder(), &config(&pool, filters, listener)).await
}

/// Bytes that do not repeat soon.
fn body_of(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 251) as u8 & 0x7f).collect()
}

fn by_length(body: &[u8]) -> Vec<u8> {
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn in_chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

const SIZES: [usize; 9] = [0, 1, 100, 4096, 49_151, 49_152, 49_153, 65_537, 1_000_000];

#[tokio::test]
async fn what_was_read_goes_on_as_if_nobody_had_read_it() {
    let endpoint = Endpoint::answering("ok").await;
    for limit in [0, 10, 48 * 1024, usize::MAX] {
        let edge = start(&endpoint, &format!("{{ peek: {{ limit: {limit} }} }}"), "").await;
        let mut client = edge.connect().await;
        for size in SIZES {
            let body = body_of(size);
            let whole = [by_length(&body), in_chunks(&body, 7000), in_chunks(&body, 200_000)];
            let in_small_chunks = (size <= 4096).then(|| in_chunks(&body, 1));
            for request in whole.into_iter().chain(in_small_chunks) {
                client.send(&request).await;
                assert_eq!(client.response().await.status, 200, "{size} of {limit}");
                let seen = endpoint.last();
                assert!(seen.body == body, "{size} of {limit}: {} came", seen.body.len());
                let told = seen.header("x-peek").unwrap();
                let is_small = size <= limit.min(RequestView::MOST_READ);
                let is_seen = told == format!("all {size}");
                assert!(is_seen || told == "part" && !is_small, "{size} of {limit}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn so_it_does_between_both_versions_of_http() {
    let h1 = Endpoint::answering("ok").await;
    let h2 = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        let (body, _) = exchange.read().await;
        exchange.reply(200, body);
    })
    .await;
    let pools =
        [format!("endpoints: [{}]", h1.address()), format!("protocol: h2c, endpoints: [{}]", h2.address())];
    for pool in pools {
        let edge = Edge::start_with(builder(), &config(&pool, "{ peek: { limit: 49152 } }", "")).await;
        let (from_h2, mut from_h1) = (H2::connect(&edge).await, edge.connect().await);
        for size in SIZES {
            let body: &'static [u8] = body_of(size).leak();
            // Frames do not care for letters.
            let body_text: &'static str = String::from_utf8_lossy(body).into_owned().leak();
            let answer = from_h2.send(Request::put("http://example.com/"), body_text).await;
            assert_eq!(answer.status(), 200, "{size}");
            from_h1.send(in_chunks(body, 5000)).await;
            let response = from_h1.response().await;
            assert_eq!(response.status, 200, "{size}");
            if pool.contains("h2c") {
                assert!(answer.body() == body_text.as_bytes() && response.body == body, "{size}");
            } else {
                let seen = h1.requests();
                assert!(
                    seen[seen.len() - 2].body == body_text.as_bytes() && seen[seen.len() - 1].body == body
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_is_asked_once() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = start(&endpoint, "{ peek: { limit: 100 } }", "").await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
        assert_eq!(client.response().await.status, 100);
        client.send("body").await;
        assert_eq!(client.response().await.status, 200);
        let seen = endpoint.last();
        assert_eq!((seen.header("expect"), &seen.body[..]), (None, &b"body"[..]));
    }
}

#[tokio::test]
async fn another_attempt_sends_it_again() {
    let closing = Endpoint::scripted(|_| async { None }).await;
    let good = Endpoint::answering("ok").await;
    let pool = format!(
        "balance: first, retry: {{ on: [reset] }}, endpoints: ['{}', '{}']",
        closing.address(),
        good.address()
    );
    let edge = Edge::start_with(builder(), &config(&pool, "{ peek: { limit: 49152 } }", "")).await;
    for size in [0, 1, 49_152] {
        let body = body_of(size);
        for request in [by_length(&body), in_chunks(&body, 999)] {
            let mut client = edge.connect().await;
            client.send(request).await;
            assert_eq!(client.response().await.status, 200, "{size}");
            assert!(good.last().body == body && closing.last().body == body, "{size}");
        }
    }
}

#[tokio::test]
async fn a_refused_body_has_met_no_endpoint() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = start(&endpoint, "{ peek: { limit: 49152 } }", "").await;
    let late = [body_of(40_000), b"evil".to_vec()].concat();
    let upgrade =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 4\r\n\r\nevil";
    for request in [by_length(b"evil"), in_chunks(b"evil", 1), in_chunks(&late, 9000), upgrade.into()] {
        let mut client = edge.connect().await;
        client.send(request).await;
        assert_eq!(client.response().await.status, 403);
    }
    assert_eq!(H2::connect(&edge).await.send(Request::post("http://a/"), "so evil").await.status(), 403);
    assert!(endpoint.requests().is_empty());
    // The rest of the body is not taken for a request.
    let mut client = edge.connect().await;
    client.send(by_length(b"evil")).await;
    assert_eq!(client.response().await.status, 403);
    client.send(by_length(b"good")).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_client_that_fails_is_not_let_through() {
    let endpoint = Endpoint::answering("ok").await;
    let limits = "limits: { body: { idle: 300ms, size: 20kB } }";
    let edge = start(&endpoint, "{ peek: { limit: 49152 } }", limits).await;
    let put = "PUT / HTTP/1.1\r\nHost: a\r\n";
    let chunked = format!("{put}Transfer-Encoding: chunked\r\n\r\n");
    let cases = [
        (format!("{put}Content-Length: 9\r\n\r\nbody").into_bytes(), 408, "body_timeout"),
        (format!("{chunked}4\r\nbody\r\n").into_bytes(), 408, "body_timeout"),
        (format!("{chunked}4\r\nbodybody").into_bytes(), 400, "bad_request"),
        (in_chunks(&body_of(30_000), 5000), 413, "body_too_large"),
    ];
    for (number, (request, status, cause)) in cases.into_iter().enumerate() {
        let mut client = edge.connect().await;
        client.send(request).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{}", response.text());
        assert_eq!(edge.log_of(number + 1).await[number]["cause"], cause);
    }
    let mut gone = edge.connect().await;
    gone.send(format!("{put}Content-Length: 9\r\n\r\nbody")).await;
    drop(gone);
    let log = edge.log_of(5).await;
    assert_eq!(log[4]["cause"], "client_gone");
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn limits_and_other_filters_apply_to_what_was_read() {
    let endpoint = Endpoint::answering("ok").await;
    let filters = "{ peek: { limit: 10 } }, { body: { max: 200B } }, { peek: { limit: 150 } }";
    let edge = start(&endpoint, filters, "").await;
    for (size, status, told) in [(5, 200, "all 5"), (120, 200, "all 120"), (201, 413, "")] {
        let mut client = edge.connect().await;
        client.send(in_chunks(&body_of(size), 64)).await;
        assert_eq!(client.response().await.status, status, "{size}");
        if status == 200 {
            assert_eq!(endpoint.last().headers("x-peek").last(), Some(&told));
        }
    }
}

#[tokio::test]
async fn a_stream_of_http2_that_ends_later_is_waited_for() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = start(&endpoint, "{ peek: { limit: 100 } }", "").await;
    let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    let request = Request::put("http://example.com/").body(()).unwrap();
    let (response, mut body) = requests.send_request(request, false).unwrap();
    for piece in ["a", "b", "c"] {
        body.send_data(Bytes::from_static(piece.as_bytes()), false).unwrap();
        tokio::task::yield_now().await;
    }
    body.send_data(Bytes::new(), true).unwrap();
    assert_eq!(read(response).await.status(), 200);
    assert_eq!(endpoint.last().body, b"abc");
    assert_eq!(endpoint.last().header("x-peek"), Some("all 3"));
}

#[tokio::test]
async fn bodies_can_be_read_in_tests_without_a_network() {
    let mut exchange = testing::Exchange::get("/", Instant::now()).with_body("so evil");
    let flow = exchange.on_request(&Peek { limit: 10 }).await.unwrap();
    assert!(matches!(flow, Flow::Reject(_)));
    let mut part = testing::Exchange::get("/", Instant::now()).with_body(body_of(20));
    part.on_request(&Peek { limit: 10 }).await.unwrap();
    assert_eq!(part.request_headers()["x-peek"], "part");
}
