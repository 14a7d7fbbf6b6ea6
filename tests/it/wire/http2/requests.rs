use crate::support::raw_h2::{END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, RawH2, frame};
use crate::support::{Edge, Endpoint, Exchange, eventually};
use crate::wire::{GET, echo, echo_site, refused, site, site_with};
use http::{HeaderMap, Request, StatusCode};

use super::{H2, read};

#[tokio::test]
async fn requests_and_bodies_pass() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        let body = String::from_utf8(std::mem::take(&mut exchange.request.body)).unwrap();
        let text = format!("{} {body}", exchange.request.line());
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let client = H2::connect(&edge).await;
    assert_eq!(client.get("/a?b").await.body(), "GET /a?b HTTP/1.1 ");
    let post = client.send(Request::post("http://example.com/p"), "hello").await;
    assert_eq!(post.body(), "POST /p HTTP/1.1 hello");
    let request = endpoint.last();
    assert_eq!(request.headers("host"), ["example.com"]);
    assert_eq!(request.headers("via"), ["2 evener"]);
    assert_eq!(request.headers("x-forwarded-host"), ["example.com"]);
    let line = edge.log_of(2).await.remove(0);
    assert_eq!((&line["protocol"], &line["host"]), (&"HTTP/2".into(), &"example.com".into()));
}

#[tokio::test]
async fn cookie_crumbs_are_joined() {
    let (endpoint, edge) = echo_site("").await;
    let client = H2::connect(&edge).await;
    let request = Request::get("http://example.com/").header("cookie", "a=1").header("cookie", "b=2; c=3");
    assert_eq!(client.send(request, "").await.status(), 200);
    assert_eq!(endpoint.last().headers("cookie"), ["a=1; b=2; c=3"]);
}

#[tokio::test]
async fn requests_of_a_connection_run_side_by_side() {
    let (release, held) = tokio::sync::watch::channel(false);
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let client = H2::connect(&edge).await;
    let mut answers = Vec::new();
    for number in 0..50 {
        answers.push(client.start(Request::get(format!("http://a/{number}")), "").await);
    }
    eventually("all are with the endpoint", async || endpoint.requests().len() == 50).await;
    release.send(true).unwrap();
    for answer in answers {
        assert_eq!(read(answer).await.body(), "ok");
    }
}

#[tokio::test]
async fn refusals_are_those_of_http1() {
    let endpoint = echo().await;
    let edge = Edge::start(&site_with(
        endpoint.address(),
        "limits: { header: { count: 10 }, body: { size: 4B } }",
        "",
        "- { match: { path: /here }, pool: app }",
    ))
    .await;
    let client = H2::connect(&edge).await;
    let trace = client.send(Request::builder().method("TRACE").uri("http://a/here"), "").await;
    assert_eq!(trace.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(trace.headers().contains_key("allow"));
    let connect = client.send(Request::builder().method("CONNECT").uri("a:80"), "").await;
    assert_eq!(connect.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.get("/nowhere").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(client.get("/here/%00").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(client.get("/here/../here").await.body(), "/here");
    let mut many = Request::get("http://a/here");
    for number in 0..11 {
        many = many.header(format!("x-{number}"), "y");
    }
    assert_eq!(client.send(many, "").await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let large = client.send(Request::post("http://a/here"), "too long").await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.get("/here").await.status(), StatusCode::OK);
    let user = client.send(Request::get("http://user@a/here"), "").await;
    assert_eq!(user.status(), StatusCode::BAD_REQUEST);
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn an_authority_and_another_host_do_not_go_together() {
    let (endpoint, edge) = echo_site("").await;
    let client = H2::connect(&edge).await;
    let request = Request::get("http://a/").header("host", "b");
    let answer = client.send(request, "").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.body().starts_with(b"400 "), "{answer:?}");
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&400.into(), &"bad_request".into()));
    assert_eq!((&line["protocol"], &line["bytes_out"]), (&"HTTP/2".into(), &answer.body().len().into()));
    assert_eq!(client.get("/").await.status(), StatusCode::OK);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn requests_that_name_no_host_cost_the_connection_in_the_end() {
    const MALFORMED: usize = 32;
    let (endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    // RFC 7541 appendix A: ":method: GET", ":path: /", ":scheme: http".
    for stream in (1..).step_by(2).take(MALFORMED) {
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, [0x82, 0x84, 0x86])).await;
    }
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    let mut lines = edge.log_of(MALFORMED + 1).await;
    assert_eq!(lines.pop().unwrap()["cause"], "http2_abuse");
    assert!(lines.iter().all(|line| line["cause"] == "bad_request"), "{lines:#?}");
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_listener_speaks_the_versions_that_it_is_told_to() {
    let (endpoint, edge) = echo_site("http: { versions: [h1] }").await;
    assert_eq!(edge.send(GET).await.status, 200);
    assert_eq!(refused(&edge, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.status, 505);
    assert_eq!(endpoint.requests().len(), 1);

    let (endpoint, edge) = echo_site("http: { versions: [h2] }").await;
    assert_eq!(H2::connect(&edge).await.get("/").await.status(), 200);
    assert_eq!(refused(&edge, GET).await.status, 505);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn a_filter_may_rewrite_the_host() {
    let endpoint = Endpoint::answering("hi").await;
    let routes = "- { filters: [{ rewrite: { host: inner.example } }], pool: app }";
    let edge = Edge::start(&site_with(endpoint.address(), "", "", routes)).await;
    let client = H2::connect(&edge).await;
    assert_eq!(client.get("/x").await.body(), "hi");
    let request = endpoint.last();
    assert_eq!(request.headers("host"), ["inner.example"]);
    assert_eq!(request.header("x-forwarded-host"), Some("example.com"));
}

#[tokio::test]
async fn fields_of_http1_connections_do_not_reach_http2() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\nX-Secret: s\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            .to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let response = H2::connect(&edge).await.get("/").await;
    let names: HeaderMap = response.headers().clone();
    for name in ["connection", "keep-alive", "x-secret", "transfer-encoding"] {
        assert!(!names.contains_key(name), "{name}");
    }
    assert_eq!(response.body(), "ok");
}

#[tokio::test]
async fn an_upgrade_is_nothing_that_http2_can_ask_for() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let client = H2::connect(&edge).await;
    assert_eq!(client.get("/").await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(endpoint.last().header("upgrade"), None);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!(line["cause"], "unexpected_upgrade");
}
