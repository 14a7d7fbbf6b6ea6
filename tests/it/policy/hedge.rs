//! Requests that go to a second endpoint: who answers, what becomes of the other, and which requests never do.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use evener::app::App;
use futures::future::join_all;

use crate::support::{Ca, Edge, Endpoint, Exchange, H2Endpoint, PATIENCE, Spy, dead, eventually};

use super::http2;

/// A pool that asks `first` first.
fn config_of(first: impl Display, second: impl Display, hedge: &str, pool: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n  app: {{ balance: first, endpoints: ['{first}', '{second}'], {pool} }}\n\
         routes: [{{ pool: app, filters: [{{ hedge: {hedge} }}] }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    )
}

fn config(first: &Endpoint, second: &Endpoint, pool: &str) -> String {
    config_of(first.address(), second.address(), "{ after: 20ms }", pool)
}

/// Never answers, and counts the requests that are taken back.
async fn forsaken() -> (Endpoint, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let count = counting.clone();
        async move {
            let is_closed = matches!(exchange.stream.read(&mut [0; 1]).await, Ok(0) | Err(_));
            count.fetch_add(usize::from(is_closed), Ordering::Relaxed);
            None
        }
    })
    .await;
    (endpoint, count)
}

async fn is(count: &AtomicUsize, expected: usize) {
    eventually("the request is taken back", async || count.load(Ordering::Relaxed) == expected).await;
}

#[tokio::test]
async fn the_second_endpoint_answers_for_a_slow_one_whose_request_is_dropped() {
    let (slow, dropped) = forsaken().await;
    let fast = Endpoint::answering("fast").await;
    let edge = Edge::start(&config(&slow, &fast, "outlier: { consecutive: 1 }")).await;
    let mut client = edge.connect().await;
    for count in 1..=3 {
        client.send("GET /a?b HTTP/1.1\r\nHost: www.example.com\r\nCookie: a=1\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (200, "fast"));
        assert_ne!(response.header("connection"), Some("close"));
        is(&dropped, count).await;
    }
    // Both saw the same, with one of each field.
    assert_eq!((slow.requests().len(), fast.requests().len()), (3, 3));
    let (lost, won) = (slow.last(), fast.last());
    assert_eq!(lost.head, won.head);
    assert_eq!((won.line(), won.header("host")), ("GET /a?b HTTP/1.1", Some("www.example.com")));
    assert_eq!((won.headers("x-request-id").len(), won.header("connection")), (1, None));
    for line in edge.log_of(3).await {
        assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &2.into()), "{line}");
        assert_eq!(line["endpoint"], fast.address().to_string(), "{line}");
        assert!(line["cause"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn an_endpoint_that_answers_in_time_is_the_only_one_asked() {
    let (first, second) = (Endpoint::answering("first").await, Endpoint::answering("second").await);
    let config = config_of(first.address(), second.address(), "{ after: 1m }", "");
    let edge = Edge::start(&config).await;
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.text(), "first");
    }
    assert!(second.requests().is_empty());
    let head = edge.send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(head.await.header("content-length"), Some("5"));
    let log = edge.log_of(6).await;
    assert!(log.iter().all(|line| line["attempts"] == 1 && line["status"] == 200), "{log:?}");
}

#[tokio::test]
async fn where_both_are_slow_the_first_head_counts_and_nobody_else_is_asked() {
    let (slow, gate) = Endpoint::held().await;
    let (other, dropped) = forsaken().await;
    let edge = Edge::start(&config(&slow, &other, "")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("both are asked", async || slow.requests().len() + other.requests().len() == 2).await;
    gate.add_permits(1);
    assert_eq!(client.response().await.text(), "ok");
    is(&dropped, 1).await;
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["attempts"], &line["endpoint"]), (&2.into(), &slow.address().to_string().into()));
}

#[tokio::test]
async fn requests_that_may_not_be_sent_twice_never_are() {
    let (held, gate) = Endpoint::held().await;
    let second = Endpoint::answering("second").await;
    let edge = Edge::start(&config(&held, &second, "sticky: { cookie: srv }")).await;
    let requests = [
        "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        "PATCH /never HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /never HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        "PUT /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "GET /never HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST /never HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
    ];
    let mut clients = Vec::new();
    for request in requests {
        let mut client = edge.connect().await;
        client.send(request).await;
        clients.push(client);
    }
    eventually("all are there", async || held.requests().len() == requests.len()).await;
    // By the time that these were sent twice, the others would have been.
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let request = format!("{method} /hedged HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(edge.send(&request).await.status, 200);
    }
    assert!(second.requests().iter().all(|request| request.path() == "/hedged"));
    assert_eq!(second.requests().len(), 4);
    gate.add_permits(100);
    join_all(clients.iter_mut().map(|client| client.response())).await;
    let log = edge.log_of(11).await;
    let attempts = |path: &str, attempts: u64| {
        let of_path = log.iter().filter(|line| line["target"] == path);
        of_path.clone().count() > 0 && of_path.clone().all(|line| line["attempts"] == attempts)
    };
    assert!(attempts("/never", 1) && attempts("/hedged", 2), "{log:?}");
}

#[tokio::test]
async fn a_client_that_is_bound_to_an_endpoint_waits_for_it() {
    let (held, gate) = Endpoint::held().await;
    let second = Endpoint::answering("second").await;
    let edge = Edge::start(&config(&held, &second, "sticky: { cookie: srv }")).await;
    gate.add_permits(1);
    let mut cookie = String::new();
    // Whoever answers binds the client; until that is the slow one.
    eventually("the slow one has answered", async || {
        let response = edge.get("/").await;
        cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        response.text() == "ok"
    })
    .await;
    let before = held.requests().len();
    let mut client = edge.connect().await;
    client.send(format!("GET /bound HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await;
    eventually("it is asked", async || held.requests().len() == before + 1).await;
    assert_eq!(edge.get("/").await.text(), "second");
    gate.add_permits(100);
    assert_eq!(client.response().await.text(), "ok");
    assert!(second.requests().iter().all(|request| request.path() != "/bound"));
}

#[tokio::test]
async fn without_budget_there_is_one_attempt() {
    let ((held, gate), (other, _)) = (Endpoint::held().await, forsaken().await);
    let edge = Edge::start(&config(&held, &other, "retry: { budget: 0%, budget_min: 1 }")).await;
    // One hedge is under way for as long as neither of its endpoints answers.
    let mut first = edge.connect().await;
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the first is hedged", async || other.requests().len() == 1).await;
    let mut second = edge.connect().await;
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the second is there", async || held.requests().len() == 2).await;
    // It has asked for leave in vain by the time that another delay is over.
    tokio::time::timeout(PATIENCE, async {
        while !second.is_silent_for(Duration::from_millis(100)).await {}
    })
    .await
    .unwrap();
    assert_eq!(other.requests().len(), 1);
    gate.add_permits(2);
    assert_eq!((first.response().await.text(), second.response().await.text()), ("ok", "ok"));
    // And there is leave again.
    assert_eq!(held.requests().len(), 2);
    let mut third = edge.connect().await;
    third.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the third is hedged", async || other.requests().len() == 2).await;
}

#[tokio::test]
async fn bodies_larger_than_all_buffers_pass_whole() {
    const SIZE: usize = 8 * 1024 * 1024;
    let (slow, _dropped) = forsaken().await;
    let big = Endpoint::scripted(|mut exchange| async move {
        let body: Vec<u8> = (0..SIZE).map(|index| (index / 7) as u8).collect();
        let path = exchange.request.path().to_owned();
        match path.as_str() {
            "/length" => exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")).await,
            "/chunks" => exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await,
            _ => exchange.send("HTTP/1.1 200 OK\r\n\r\n").await,
        }
        for piece in body.chunks(300_000) {
            if path == "/chunks" {
                exchange.send(format!("{:x}\r\n", piece.len())).await;
            }
            exchange.send(piece).await;
            if path == "/chunks" {
                exchange.send("\r\n").await;
            }
        }
        if path == "/chunks" {
            exchange.send("0\r\n\r\n").await;
        }
        (path != "/close").then_some(exchange)
    })
    .await;
    let edge = Edge::start(&config(&slow, &big, "")).await;
    for path in ["/length", "/chunks", "/close"] {
        let response = edge.get(path).await;
        assert_eq!(response.status, 200, "{path}");
        let is_whole = response.body.iter().enumerate().all(|(index, &byte)| byte == (index / 7) as u8);
        assert!(is_whole && response.body.len() == SIZE, "{path}: {}", response.body.len());
    }
    for line in edge.log_of(3).await {
        assert!(line["cause"].is_null() && line["attempts"] == 2, "{line}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_off_for_the_client() {
    let (slow, _dropped) = forsaken().await;
    let broken = Endpoint::scripted(|mut exchange| async move {
        let framing = match exchange.request.path() {
            "/length" => "Content-Length: 100\r\n\r\n",
            _ => "Transfer-Encoding: chunked\r\n\r\n10\r\n",
        };
        exchange.send(format!("HTTP/1.1 200 OK\r\n{framing}half")).await;
        None
    })
    .await;
    let edge = Edge::start(&config(&slow, &broken, "outlier: off")).await;
    for path in ["/length", "/chunks"] {
        let mut client = edge.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(rest.starts_with("HTTP/1.1 200") && !rest.ends_with("0\r\n\r\n"), "{path}: {rest}");
    }
    for line in edge.log_of(2).await {
        assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &2.into()), "{line}");
        assert!(line["cause"] == "upstream_closed" || line["cause"] == "upstream_invalid", "{line}");
        assert_eq!(line["endpoint"], broken.address().to_string());
    }
}

/// Answers each request with this text when it gets a permit; an empty one closes the connection.
async fn gated(text: &'static str) -> (Endpoint, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let inner = gate.clone();
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let gate = inner.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            exchange.send(text).await;
            None
        }
    })
    .await;
    (endpoint, gate)
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
const FAILURE: &str = "HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\nfailure";
const OVERLOAD: &str = "HTTP/1.1 429 No\r\nContent-Length: 4\r\n\r\nlate";

#[tokio::test]
async fn a_failure_does_not_win_while_the_other_may() {
    for (first, second, expected) in [
        (FAILURE, GOOD, 200),
        ("", GOOD, 200),
        (OVERLOAD, GOOD, 200),
        (GOOD, FAILURE, 200),
        (GOOD, "", 200),
        (GOOD, OVERLOAD, 200),
        (FAILURE, "", 500),
        ("", FAILURE, 502),
    ] {
        for is_first_sooner in [true, false] {
            let ((one, one_gate), (two, two_gate)) = (gated(first).await, gated(second).await);
            let is_bad = |text: &str| text != GOOD;
            // The one that is released first is the one that fails, if not both do.
            if is_first_sooner != is_bad(first) && expected == 200 {
                continue;
            }
            let pool = "outlier: off, retry: { on: [429], attempts: 0 }";
            let edge = Edge::start(&config(&one, &two, pool)).await;
            let mut client = edge.connect().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            eventually("both are asked", async || two.requests().len() == 1).await;
            let (sooner, later) =
                if is_first_sooner { (&one_gate, &two_gate) } else { (&two_gate, &one_gate) };
            sooner.add_permits(1);
            assert!(client.is_silent_for(Duration::from_millis(50)).await, "{first:?} {second:?}");
            later.add_permits(1);
            assert_eq!(client.response().await.status, expected, "{first:?} {second:?}");
            let line = &edge.log_of(1).await[0];
            let winner = if expected == 200 && is_bad(first) { &two } else { &one };
            assert_eq!(line["attempts"], 2, "{line}");
            assert_eq!(line["endpoint"], winner.address().to_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn failures_are_those_of_the_endpoint_that_failed() {
    let (failing, gate) = gated(FAILURE).await;
    let (slow, slow_gate) = gated(GOOD).await;
    let edge = Edge::start(&config(&failing, &slow, "outlier: { consecutive: 1, eject: 1h }")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("both are asked", async || slow.requests().len() == 1).await;
    gate.add_permits(1);
    assert!(client.is_silent_for(Duration::from_millis(50)).await);
    slow_gate.add_permits(2);
    assert_eq!(client.response().await.text(), "good");
    // The one that failed is ejected, the other is not.
    assert_eq!(edge.get("/").await.text(), "good");
    assert_eq!((failing.requests().len(), slow.requests().len()), (1, 2));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_retried_as_ever() {
    let second = Endpoint::answering("second").await;
    let gone = dead().await;
    let edge = Edge::start(&config_of(gone, second.address(), "{ after: 1m }", "outlier: off")).await;
    assert_eq!(edge.get("/").await.text(), "second");
    edge.reload(&config_of(gone, dead().await, "{ after: 1m }", "outlier: off, retry: { attempts: 0 }"))
        .await;
    assert_eq!(edge.get("/").await.status, 502);
    let log = edge.log_of(2).await;
    assert_eq!((&log[0]["attempts"], &log[1]["attempts"]), (&2.into(), &1.into()));
    assert_eq!(log[1]["cause"], "connect_failed");
}

#[tokio::test]
async fn limits_hold_for_both() {
    let ((one, _), (two, _)) = (forsaken().await, forsaken().await);
    for (limits, cause) in [
        ("timeouts: { first_byte: 200ms }", "response_timeout"),
        ("timeouts: { total: 200ms }", "total_timeout"),
    ] {
        let pool = format!("outlier: off, retry: {{ attempts: 0 }}, {limits}");
        let edge = Edge::start(&config(&one, &two, &pool)).await;
        assert_eq!(edge.get("/").await.status, 504, "{limits}");
        let line = &edge.log_of(1).await[0];
        assert_eq!((&line["cause"], &line["attempts"]), (&cause.into(), &2.into()), "{line}");
    }
}

#[tokio::test]
async fn both_requests_end_with_their_client() {
    let ((one, one_dropped), (two, two_dropped)) = (forsaken().await, forsaken().await);
    let spy = Spy::default();
    let text = config(&one, &two, "outlier: off").replace("balance: first", "balance: { spy: {} }");
    let edge = Edge::start_with(spy.register(App::builder()), &text).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    spy.has_in_flight(2).await;
    eventually("both are asked", async || one.requests().len() + two.requests().len() == 2).await;
    drop(client);
    is(&one_dropped, 1).await;
    is(&two_dropped, 1).await;
    spy.has_in_flight(0).await;
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["status"], &line["attempts"]), (&499.into(), &2.into()), "{line}");

    // And so it is with streams.
    let requests = http2::connect(&edge).await;
    let mut ready = requests.clone().ready().await.unwrap();
    let request = http::Request::get("http://example.com/").body(()).unwrap();
    let (response, mut stream) = ready.send_request(request, true).unwrap();
    spy.has_in_flight(2).await;
    eventually("both are asked", async || one.requests().len() + two.requests().len() == 4).await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    is(&one_dropped, 2).await;
    is(&two_dropped, 2).await;
    spy.has_in_flight(0).await;
}

#[tokio::test]
async fn streams_are_hedged_and_so_are_endpoints_of_http2_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new("own");
    let tls = || Arc::new(ca.issue(&["app.internal"]).server(&["h2"]));
    let resets = Arc::new(AtomicUsize::new(0));
    let counting = resets.clone();
    let slow = H2Endpoint::secured(tls(), move |mut exchange| {
        let resets = counting.clone();
        async move {
            let reset = std::future::poll_fn(|cx| exchange.answer.poll_reset(cx)).await;
            resets.fetch_add(usize::from(reset.is_ok()), Ordering::Relaxed);
        }
    })
    .await;
    let fast = H2Endpoint::secured(tls(), |mut exchange| async move {
        exchange.read().await;
        let host = exchange.head.uri().host().unwrap().to_owned();
        exchange.reply(200, format!("{} {host}", exchange.path()).repeat(10_000));
    })
    .await;
    let file = ca.write(folder.path(), "ca.pem");
    let pool =
        format!("outlier: off, protocol: h2, tls: {{ ca: \"{}\", sni: app.internal }}", file.display());
    let config = config_of(slow.address(), fast.address(), "{ after: 20ms }", &pool);
    let edge = Edge::start(&config).await;
    let expected = "/a example.com".repeat(10_000);
    for _ in 0..3 {
        let response = edge.send("GET /a HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n").await;
        assert_eq!((response.status, response.text() == expected), (200, true));
    }
    let requests = http2::connect(&edge).await;
    for _ in 0..3 {
        assert_eq!(http2::status(&requests, &[]).await, 200);
    }
    eventually("the slow requests are reset", async || resets.load(Ordering::Relaxed) == 6).await;
    assert_eq!((slow.connections(), fast.connections()), (1, 1));
    for line in edge.log_of(6).await {
        assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &2.into()), "{line}");
        assert_eq!(line["endpoint"], fast.address().to_string(), "{line}");
    }
}

#[tokio::test]
async fn the_delay_is_learnt_from_the_answers() {
    let first = Endpoint::scripted(|mut exchange| async move {
        if exchange.request.path() == "/slow" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await;
        Some(exchange)
    })
    .await;
    let second = Endpoint::answering("second").await;
    let hedge = "{ min_samples: 20 }";
    let edge = Edge::start(&config_of(first.address(), second.address(), hedge, "")).await;
    // Nothing is known yet.
    assert_eq!(edge.get("/slow").await.text(), "first");
    assert!(second.requests().is_empty());
    eventually("a slow answer is not waited for", async || {
        for _ in 0..40 {
            edge.get("/").await;
        }
        edge.get("/slow").await.text() == "second"
    })
    .await;
}

#[tokio::test]
async fn the_answer_that_wins_is_stored() {
    let (slow, _dropped) = forsaken().await;
    let fast = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 4\r\n\r\nfast".to_owned()
    })
    .await;
    let text = config(&slow, &fast, "").replace("filters: [", "filters: [{ cache: { in: main } }, ");
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{}} }} }}\n{text}")).await;
    for _ in 0..3 {
        assert_eq!(edge.get("/stored").await.text(), "fast");
    }
    assert_eq!((slow.requests().len(), fast.requests().len()), (1, 1));
    let log = edge.log_of(3).await;
    assert_eq!((&log[0]["attempts"], &log[0]["cache"]), (&2.into(), &"miss".into()));
    assert!(log[1..].iter().all(|line| line["cache"] == "hit" && line["attempts"] == 0), "{log:?}");
}
