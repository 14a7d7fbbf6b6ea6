//! HTTP/2 towards endpoints: one connection for many requests, and what becomes of each when something breaks.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Ca, Client, Edge, Endpoint, H2Endpoint, H2Exchange, H2Settings, PATIENCE, TlsFront, eventually,
};

use super::{GET, fleet};

const LONG: Duration = Duration::from_secs(5);

/// A configuration with one pool whose endpoints speak HTTP/2 without TLS.
fn h2c(pool: &str, endpoints: &[&dyn Display]) -> String {
    fleet(&format!("protocol: h2c, {pool}"), endpoints)
}

/// A connection of HTTP/2 to an edge.
async fn h2_client(edge: &Edge) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// Sends a request with a body and reads the whole answer; what broke it, if something did.
async fn send(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static [u8],
) -> Result<(Response<Vec<u8>>, Option<HeaderMap>), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(Bytes::from_static(body), true)?;
    }
    let (head, mut answer) = timeout(PATIENCE, response).await.expect("is answered in time")?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = timeout(PATIENCE, answer.data()).await.expect("goes on in time") {
        let piece = piece?;
        answer.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok((Response::from_parts(head, body), answer.trailers().await?))
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://example.com{path}")).body(()).unwrap()
}

/// An endpoint that answers `/held` only when the gate lets it, and everything else at once, with the number of the
/// connection.
async fn gated(settings: H2Settings) -> (H2Endpoint, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let script_gate = gate.clone();
    let endpoint = H2Endpoint::with(settings, move |mut exchange: H2Exchange| {
        let gate = script_gate.clone();
        async move {
            exchange.read().await;
            if exchange.path() == "/held" {
                gate.acquire().await.unwrap().forget();
            }
            let number = exchange.connection.to_string();
            exchange.reply(200, number);
        }
    })
    .await;
    (endpoint, gate)
}

/// Clients that wait for `/held`, once all of their requests are there.
async fn holding(edge: &Edge, endpoint: &H2Endpoint, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let before = endpoint.heads().len();
        let mut client = edge.connect().await;
        client.send("GET /held HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
        eventually("the request is there", async || endpoint.heads().len() > before).await;
        clients.push(client);
    }
    clients
}

// === Requests and answers ===

#[tokio::test]
async fn many_requests_share_a_connection_and_further_ones_open_another() {
    let (endpoint, gate) = gated(H2Settings::default()).await;
    let edge = Edge::start(&h2c("h2_streams: 4,", &[&endpoint.address()])).await;
    let clients = holding(&edge, &endpoint, 10).await;
    assert_eq!(endpoint.connections(), 3);
    gate.add_permits(10);
    for mut client in clients {
        assert_eq!(client.response().await.status, 200);
    }
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert_eq!(endpoint.connections(), 3);
}

#[tokio::test]
async fn an_endpoint_that_allows_fewer_requests_at_once_gets_no_more() {
    let (endpoint, gate) = gated(H2Settings { streams: 1, ..H2Settings::default() }).await;
    let edge = Edge::start(&h2c("timeouts: { first_byte: 10s },", &[&endpoint.address()])).await;
    assert_eq!(edge.get("/").await.status, 200);
    let mut held = holding(&edge, &endpoint, 1).await;
    assert_eq!(edge.get("/").await.text(), "2");
    gate.add_permits(1);
    assert_eq!(held[0].response().await.text(), "1");
}

#[tokio::test]
async fn any_version_goes_to_any_version_with_bodies_both_ways() {
    let echo = |mut exchange: H2Exchange| async move {
        let (body, _) = exchange.read().await;
        exchange.reply(200, body);
    };
    let second = H2Endpoint::scripted(echo).await;
    let first = Endpoint::scripted(|mut exchange| async move {
        let body = String::from_utf8(exchange.request.body.clone()).unwrap();
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        Some(exchange)
    })
    .await;
    for config in [h2c("", &[&second.address()]), fleet("", &[&first.address()])] {
        let edge = Edge::start(&config).await;
        let sized = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        let chunked =
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        for request in [sized, chunked] {
            assert_eq!(edge.send(request).await.text(), "hello");
        }
        let post = Request::post("http://example.com/x").body(()).unwrap();
        let (response, _) = send(&h2_client(&edge).await, post, b"hello").await.unwrap();
        assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"hello"[..]));
    }
}

#[tokio::test]
async fn the_head_is_one_of_http2() {
    let endpoint = H2Endpoint::answering("ok").await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let request = "GET /a?b=c HTTP/1.1\r\nHost: Shop.example:8080\r\nCookie: a=1\r\nCookie: b=2\r\n\
                   Connection: keep-alive, x-secret, TE\r\nX-Secret: 1\r\nTE: gzip\r\nKeep-Alive: timeout=5\r\n\
                   Upgrade: h2c\r\n\r\n";
    assert_eq!(edge.send(request).await.status, 200);
    let head = endpoint.heads().pop().unwrap();
    let uri = head.uri();
    assert_eq!((uri.scheme_str(), uri.path_and_query().unwrap().as_str()), (Some("http"), "/a?b=c"));
    assert_eq!(uri.authority().unwrap().as_str().to_lowercase(), "shop.example:8080");
    for gone in ["host", "connection", "keep-alive", "upgrade", "te", "x-secret", "transfer-encoding"] {
        assert!(!head.headers().contains_key(gone), "{gone}");
    }
    let cookies: Vec<_> = head.headers().get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(head.headers()["via"], "1.1 evener");
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let response = Response::builder().header("content-length", "5");
        match exchange.path() {
            "/204" => exchange.reply(204, ""),
            "/304" => drop(exchange.begin(response.status(304).body(()).unwrap(), true)),
            _ => drop(exchange.begin(response.body(()).unwrap(), true)),
        }
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let mut client = edge.connect().await;
    for (method, path, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/", 200)] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let response =
            if method == "HEAD" { client.response_to_head().await } else { client.response().await };
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.header("content-length"), (status != 204).then_some("5"), "{path}");
        assert_eq!(response.header("transfer-encoding"), None, "{path}");
    }
    assert!(client.is_silent_for(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn trailers_reach_clients_of_http2() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let mut stream = exchange.begin(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"body"), false).unwrap();
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "42".parse().unwrap())]);
        stream.send_trailers(trailers).unwrap();
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let (response, trailers) = send(&h2_client(&edge).await, get("/"), b"").await.unwrap();
    assert_eq!(response.body(), b"body");
    assert_eq!(trailers.unwrap()["x-sum"], "42");
    // HTTP/1 without a wish for them: the answer is whole all the same.
    assert_eq!(edge.send(GET).await.text(), "body");
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    const SIZE: usize = 3 * 1024 * 1024;
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let (body, _) = exchange.read().await;
        exchange.reply(200, body);
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let body: &'static [u8] = Vec::leak((0..SIZE).map(|at| (at % 251) as u8).collect());
    let (mut client, head) =
        (edge.connect().await, format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    client.send(head).await;
    client.send(body).await;
    assert!(client.response().await.body == body);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_itself_alone() {
    let sent = Arc::new(Mutex::new(0));
    let counted = sent.clone();
    let endpoint = H2Endpoint::scripted(move |mut exchange| {
        let counted = counted.clone();
        async move {
            if exchange.path() != "/endless" {
                return exchange.reply(200, "through");
            }
            let Some(mut stream) = exchange.begin(Response::new(()), false) else { return };
            loop {
                stream.reserve_capacity(16 * 1024);
                let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
                    return;
                };
                if stream.send_data(Bytes::from(vec![0; room]), false).is_err() {
                    return;
                }
                *counted.lock() += room;
            }
        }
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut client = edge.connect().await;
        client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
        stalled.push(client);
    }
    // What they can have is taken when nothing more goes out for a while.
    let mut before = 0;
    eventually("all of them stall", async || {
        sleep(Duration::from_millis(300)).await;
        let now = *sent.lock();
        let has_stopped = now == before && now > 0;
        before = now;
        has_stopped
    })
    .await;
    assert_eq!(edge.get("/").await.text(), "through");
    assert_eq!(endpoint.connections(), 1);
}

// === What HTTP/2 cannot do ===

#[tokio::test]
async fn a_websocket_is_refused_where_endpoints_speak_http2_alone() {
    let endpoint = H2Endpoint::answering("no").await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let websocket = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(edge.send(websocket).await.status, 501);
    assert_eq!(edge.log_of(1).await[0]["cause"], "upgrade_unsupported");
    assert!(endpoint.heads().is_empty());
}

#[tokio::test]
async fn where_endpoints_choose_a_websocket_makes_it_http1() {
    let ca = Ca::new("Fleet");
    let folder = tempfile::tempdir().unwrap();
    let path = ca.write(folder.path(), "ca.pem");
    let websocket = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let plain = Endpoint::scripted(|mut exchange| async move {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        Some(exchange)
    })
    .await;
    let server = ca.issue(&["127.0.0.1"]).server(&["h2", "http/1.1"]);
    let front = TlsFront::new(server, plain.address()).await;
    let tls = format!("protocol: auto, tls: {{ ca: '{}' }},", path.display());
    let edge = Edge::start(&fleet(&tls, &[&front.address()])).await;
    let mut client = edge.connect().await;
    client.send(websocket).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(front.handshakes()[0].protocol.as_deref(), Some("http/1.1"));
}

#[tokio::test]
async fn an_endpoint_that_does_not_choose_http2_is_not_spoken_to() {
    let ca = Ca::new("Fleet");
    let folder = tempfile::tempdir().unwrap();
    let path = ca.write(folder.path(), "ca.pem");
    for protocols in [&["http/1.1"][..], &[]] {
        let plain = Endpoint::answering("first").await;
        let front = TlsFront::new(ca.issue(&["127.0.0.1"]).server(protocols), plain.address()).await;
        let pool = |protocol: &str| format!("protocol: {protocol}, tls: {{ ca: '{}' }},", path.display());
        let edge = Edge::start(&fleet(&pool("h2"), &[&front.address()])).await;
        let response = edge.get("/").await;
        assert_eq!(response.status, 502, "{protocols:?}");
        assert!(response.header("proxy-status").unwrap().contains("tls_protocol_error"), "{protocols:?}");
        assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
        assert!(plain.requests().is_empty());
        let edge = Edge::start(&fleet(&pool("auto"), &[&front.address()])).await;
        assert_eq!(edge.get("/").await.text(), "first", "{protocols:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_at_once() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        exchange.read().await;
        exchange.reply(200, "");
    })
    .await;
    let config = h2c("", &[&endpoint.address()])
        .replace("127.0.0.1:0 }", "127.0.0.1:0, limits: { body: { size: 1KiB } } }");
    let edge = Edge::start(&config).await;
    let begun = Instant::now();
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n",
        "x".repeat(2048)
    );
    assert_eq!(edge.send(&chunked).await.status, 413);
    assert!(begun.elapsed() < LONG);
}

// === Failures ===

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_the_method() {
    let refusals = Arc::new(Mutex::new(1));
    let endpoint = H2Endpoint::scripted(move |mut exchange| {
        let refuses = std::mem::take(&mut *refusals.lock()) > 0;
        async move {
            if refuses {
                return exchange.reset(Reason::REFUSED_STREAM);
            }
            exchange.read().await;
            exchange.reply(200, "served");
        }
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(edge.send(post).await.text(), "served");
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_answer_is_a_502_and_retried_if_asked_for() {
    let endpoint =
        H2Endpoint::scripted(|mut exchange| async move { exchange.reset(Reason::INTERNAL_ERROR) }).await;
    for (retry, attempts) in [("attempts: 1", 1), ("attempts: 1, on: [reset]", 2)] {
        let edge = Edge::start(&h2c(&format!("retry: {{ {retry} }},"), &[&endpoint.address()])).await;
        assert_eq!(edge.send(GET).await.status, 502, "{retry}");
        let line = &edge.log_of(1).await[0];
        assert_eq!(
            (&line["cause"], &line["attempts"]),
            (&"upstream_closed".into(), &attempts.into()),
            "{retry}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_complete_one() {
    let is_heard = Arc::new(Semaphore::new(0));
    let told = is_heard.clone();
    let endpoint = H2Endpoint::scripted(move |mut exchange| {
        let told = told.clone();
        async move {
            let mut stream = exchange.begin(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"half"), false).unwrap();
            told.acquire().await.unwrap().forget();
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    let mut text = client.until(b"half").await;
    is_heard.add_permits(1);
    text.extend(client.rest().await);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("half") && !text.ends_with("0\r\n\r\n"), "{text}");
    let mut client = h2_client(&edge).await.ready().await.unwrap();
    let (response, _) = client.send_request(get("/"), true).unwrap();
    let mut answer = timeout(PATIENCE, response).await.expect("is answered in time").unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), "half");
    is_heard.add_permits(1);
    let broken = timeout(PATIENCE, answer.data()).await.expect("ends in time");
    assert!(broken.unwrap().unwrap_err().is_reset());
    for line in edge.log_of(2).await {
        assert_eq!(line["cause"], "upstream_closed", "{line}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_politely_costs_no_request() {
    let (endpoint, gate) = gated(H2Settings::default()).await;
    let edge = Arc::new(Edge::start(&h2c("", &[&endpoint.address()])).await);
    let mut held = holding(&edge, &endpoint, 2).await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = (0..4).map(|_| {
        let (edge, stop) = (edge.clone(), stop.clone());
        tokio::spawn(async move {
            let mut client = edge.connect().await;
            let mut count = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
                assert_eq!(client.response().await.status, 200);
                count += 1;
            }
            count
        })
    });
    let load: Vec<_> = load.collect();
    for round in 1..=10 {
        endpoint.go_away();
        eventually("another connection is made", async || endpoint.connections() > round).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
    gate.add_permits(2);
    for client in &mut held {
        assert_eq!(client.response().await.text(), "1");
    }
    let made = endpoint.connections();
    eventually("old connections are closed", async || endpoint.open_connections() < made / 2).await;
}

#[tokio::test]
async fn an_endpoint_that_dies_fails_what_it_had_and_nothing_later() {
    let (endpoint, _gate) = gated(H2Settings::default()).await;
    let edge = Edge::start(&h2c("retry: { attempts: 0 },", &[&endpoint.address()])).await;
    let mut client = edge.connect().await;
    client.send("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    eventually("the request is there", async || endpoint.heads().len() == 1).await;
    endpoint.cut();
    assert_eq!(client.response().await.status, 502);
    assert_eq!(edge.get("/").await.text(), "2");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_stream_and_no_other() {
    let resets: Arc<Mutex<Vec<Reason>>> = Arc::default();
    let (seen, gate) = (resets.clone(), Arc::new(Semaphore::new(0)));
    let script_gate = gate.clone();
    let endpoint = H2Endpoint::scripted(move |mut exchange: H2Exchange| {
        let (seen, gate) = (seen.clone(), script_gate.clone());
        async move {
            if exchange.path() == "/held" {
                gate.acquire().await.unwrap().forget();
                return exchange.reply(200, "held");
            }
            let reason = std::future::poll_fn(|cx| exchange.answer.poll_reset(cx)).await;
            seen.lock().push(reason.unwrap());
        }
    })
    .await;
    let edge = Edge::start(&h2c("", &[&endpoint.address()])).await;
    let mut held = holding(&edge, &endpoint, 1).await;
    let mut leaving = edge.connect().await;
    leaving.send(GET).await;
    let client = h2_client(&edge).await;
    let (response, mut stream) = client.clone().ready().await.unwrap().send_request(get("/"), false).unwrap();
    eventually("the requests are there", async || endpoint.heads().len() == 3).await;
    drop(leaving);
    eventually("the first stream is cancelled", async || *resets.lock() == [Reason::CANCEL]).await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    eventually("the second stream is cancelled", async || *resets.lock() == [Reason::CANCEL; 2]).await;
    gate.add_permits(1);
    assert_eq!(held[0].response().await.text(), "held");
    assert_eq!(endpoint.connections(), 1);
}

// === Limits ===

#[tokio::test]
async fn a_silent_stream_is_cut_and_the_others_of_its_connection_go_on() {
    for (timeouts, cause) in [("first_byte: 300ms", "response_timeout"), ("total: 300ms", "total_timeout")] {
        let (endpoint, gate) = gated(H2Settings::default()).await;
        let config = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
             pools: {{ app: {{ protocol: h2c, timeouts: {{ {timeouts} }}, endpoints: ['{}'] }} }}\n\
             routes: [{{ pool: app }}]\nlog: {{ access: {{ to: LOG }} }}\n",
            endpoint.address()
        );
        let edge = Edge::start(&config).await;
        // An event stream may pause for as long as it likes.
        let mut events = edge.connect().await;
        events.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
        assert_eq!(events.response().await.text(), "1");
        let begun = Instant::now();
        let requests = [
            "GET /held HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        ];
        for request in requests {
            let response = edge.send(request).await;
            assert_eq!(response.status, 504, "{timeouts} {request}");
            assert!(begun.elapsed() < LONG, "{timeouts}: {:?}", begun.elapsed());
        }
        for line in &edge.log_of(3).await[1..] {
            assert_eq!(line["cause"], cause, "{timeouts}: {line}");
        }
        assert_eq!(edge.get("/").await.status, 200);
        drop(gate);
    }
}

/// Each limit for itself, to a client of HTTP/2 and without giving up the connection to the endpoint.
#[tokio::test]
async fn the_streams_of_clients_of_http2_are_cut_one_by_one() {
    let cases = [
        ("first_byte: 300ms, idle: 30s", "/silent", 504, "response_timeout"),
        ("first_byte: 30s, idle: 300ms", "/halting", 200, "response_timeout"),
        ("total: 300ms", "/silent", 504, "total_timeout"),
        ("total: 300ms", "/halting", 200, "total_timeout"),
        ("total: 300ms", "/dripping", 200, "total_timeout"),
    ];
    for (timeouts, path, status, cause) in cases {
        let endpoint = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
            let path = exchange.path().to_owned();
            if path == "/" {
                return exchange.reply(200, "ok");
            }
            let mut stream = (path != "/silent").then(|| exchange.begin(Response::new(()), false).unwrap());
            while path == "/dripping"
                && let Some(stream) = &mut stream
                && stream.send_data(Bytes::from_static(b"x"), false).is_ok()
            {
                sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        })
        .await;
        let pool = format!("timeouts: {{ {timeouts} }}, retry: {{ attempts: 0 }},");
        let edge = Edge::start(&h2c(&pool, &[&endpoint.address()])).await;
        let client = h2_client(&edge).await;
        let begun = Instant::now();
        let answer = send(&client, get(path), b"").await;
        assert!(begun.elapsed() < LONG, "{timeouts} {path}");
        let line = edge.log_of(1).await.remove(0);
        assert_eq!((&line["status"], &line["cause"]), (&status.into(), &cause.into()), "{timeouts} {path}");
        assert_eq!(answer.is_ok(), status == 504, "{timeouts} {path}");
        assert_eq!(send(&client, get("/"), b"").await.unwrap().0.body(), b"ok");
        assert_eq!(endpoint.connections(), 1, "{timeouts} {path}");
    }
}

#[tokio::test]
async fn an_answer_may_pause_for_longer_than_its_first_byte_may_take() {
    let endpoint = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        let mut stream = exchange.begin(Response::new(()), false).unwrap();
        sleep(Duration::from_millis(600)).await;
        let _ = stream.send_data(Bytes::from_static(b"late"), true);
    })
    .await;
    let edge = Edge::start(&h2c("timeouts: { first_byte: 200ms, idle: 30s },", &[&endpoint.address()])).await;
    let (answer, _) = send(&h2_client(&edge).await, get("/"), b"").await.unwrap();
    assert_eq!(answer.body(), b"late");
}

#[tokio::test]
async fn a_silent_stream_is_tried_again_elsewhere() {
    let endpoint = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        if exchange.connection == 1 {
            std::future::pending::<()>().await;
        }
        exchange.reply(200, "second");
    })
    .await;
    let other = H2Endpoint::answering("other").await;
    let pool = "timeouts: { first_byte: 300ms }, retry: { on: [timeout], attempts: 1 }, balance: first,";
    let edge = Edge::start(&h2c(pool, &[&endpoint.address(), &other.address()])).await;
    let (answer, _) = send(&h2_client(&edge).await, get("/"), b"").await.unwrap();
    assert_eq!(answer.body(), b"other");
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_off_on_its_way_to_http2() {
    let endpoint = H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        exchange.read().await;
        exchange.reply(200, "");
    })
    .await;
    let config = h2c("", &[&endpoint.address()])
        .replace("127.0.0.1:0 }", "127.0.0.1:0, limits: { body: { idle: 200ms } } }");
    let edge = Edge::start(&config).await;
    let mut client = h2_client(&edge).await;
    let post = Request::post("http://example.com/").body(()).unwrap();
    let (answer, mut stream) = client.send_request(post, false).unwrap();
    stream.send_data(Bytes::from_static(b"half"), false).unwrap();
    let answer = timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
    assert_eq!(answer.status(), 408);
    assert_eq!(edge.log_of(1).await[0]["cause"], "body_timeout");
    assert_eq!(send(&client, get("/"), b"").await.unwrap().0.status(), 200);
    assert_eq!(endpoint.connections(), 1);
}

#[tokio::test]
async fn a_timeout_leaves_the_answers_of_others_alone() {
    let gate = Arc::new(Semaphore::new(0));
    let script_gate = gate.clone();
    let endpoint = H2Endpoint::scripted(move |mut exchange: H2Exchange| {
        let gate = script_gate.clone();
        async move {
            if exchange.path() == "/silent" {
                return std::future::pending().await;
            }
            let head = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
            let mut stream = exchange.begin(head, false).unwrap();
            stream.send_data(Bytes::from_static(b"begin "), false).unwrap();
            gate.acquire().await.unwrap().forget();
            stream.send_data(Bytes::from_static(b"end"), true).unwrap();
        }
    })
    .await;
    let edge = Edge::start(&h2c("timeouts: { first_byte: 300ms, idle: 30s },", &[&endpoint.address()])).await;
    let mut events = edge.connect().await;
    events.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
    eventually("the stream has begun", async || endpoint.heads().len() == 1).await;
    assert_eq!(edge.get("/silent").await.status, 504);
    gate.add_permits(1);
    assert_eq!(events.response().await.text(), "begin end");
}

#[tokio::test]
async fn a_long_upload_is_no_silence() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let (body, _) = exchange.read().await;
        exchange.reply(200, body.len().to_string());
    })
    .await;
    let edge =
        Edge::start(&h2c("timeouts: { first_byte: 300ms, idle: 300ms },", &[&endpoint.address()])).await;
    let mut client = edge.connect().await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..10 {
        sleep(Duration::from_millis(80)).await;
        client.send("1\r\nx\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "10");
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let mut stream = exchange.begin(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let edge =
        Edge::start(&h2c("timeouts: { first_byte: 300ms, idle: 300ms },", &[&endpoint.address()])).await;
    let begun = Instant::now();
    let mut client = edge.connect().await;
    client.send(GET).await;
    assert!(String::from_utf8(client.rest().await).unwrap().contains("half"));
    assert!(begun.elapsed() < LONG);
    assert_eq!(edge.log_of(1).await[0]["cause"], "response_timeout");
}
