//! What endpoints get of a refresh.

use super::{FRESH, OLD, held, is_old};
use crate::policy::cache::{config, did};
use crate::support::{Edge, Request, eventually};

const FILTERS: &str = "{ cache: { in: main, key: { headers: [X-Key], cookies: [lang] } } }, \
     { rewrite: { strip_prefix: /api } }, \
     { request_headers: { set: { X-Edge: 'a {request_id}', X-At: '{endpoint}' } } }, \
     { response_headers: { set: { X-Given: now } } }, { compress: { min_size: 1B } }";

/// What a client says that is of it alone.
const OWN: &str = "Cookie: id=1; lang=de; other=2\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\
     If-None-Match: \"client's\"\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Original-URL: /evil\r\n";

#[tokio::test]
async fn the_endpoint_gets_what_it_would_from_the_edge_and_nothing_of_the_client_alone() {
    let (endpoint, gate) = held(|_, number| {
        let fields = if number == 1 { OLD } else { FRESH };
        (200, format!("{fields}Content-Type: text/plain\r\nVary: Accept-Encoding\r\nETag: \"e\"\r\n"))
    })
    .await;
    let text = config(&[endpoint.address().to_string()], "");
    let edge = Edge::start(&text.replace("{ cache: { in: main,  } }", FILTERS)).await;
    let ask = async |fields: &str| {
        let shared = "Accept-Encoding: gzip\r\nX-Key: 1\r\nUser-Agent: test\r\n";
        edge.send(&format!("GET /api/a?b=c HTTP/1.1\r\nHost: example.com\r\n{shared}{fields}\r\n")).await
    };
    gate.add_permits(1);
    assert_eq!(ask("Cookie: lang=de\r\n").await.status, 200);
    let given = ask(OWN).await;
    assert!(did(&given).starts_with("evener; hit; ttl=-"), "{}", given.head);
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    let [first, refresh] = &endpoint.requests()[..] else { panic!() };
    assert_eq!(refresh.line(), "GET /a?b=c HTTP/1.1");
    let same = [
        "host",
        "accept-encoding",
        "x-key",
        "user-agent",
        "cookie",
        "via",
        "x-at",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    for name in same {
        assert_eq!(refresh.headers(name), first.headers(name), "{name}");
        assert_eq!(refresh.headers(name).len(), 1, "{name}");
    }
    let id = refresh.header("x-request-id").unwrap();
    assert_eq!(refresh.header("x-edge").unwrap(), format!("a {id}"));
    assert_eq!(
        (refresh.header("x-at").unwrap(), refresh.header("cookie").unwrap()),
        (&*endpoint.address().to_string(), "lang=de")
    );
    assert_eq!(refresh.headers("if-none-match"), ["\"e\""]);
    for name in ["cache-control", "pragma", "x-hop", "x-original-url", "connection"] {
        assert_eq!(refresh.header(name), None, "{name}");
    }
    gate.add_permits(1);
    eventually("what came is filtered as it is given", async || {
        let fresh = ask("Cookie: lang=de\r\n").await;
        let is_fresh = !did(&fresh).contains("ttl=-");
        if is_fresh {
            assert_eq!(
                (fresh.header("x-given"), fresh.header("content-encoding")),
                (Some("now"), Some("gzip"))
            );
        }
        is_fresh
    })
    .await;
    let plain =
        edge.send("GET /api/a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Key: 1\r\nCookie: lang=de\r\n\r\n");
    gate.add_permits(1);
    assert_eq!(plain.await.header("content-encoding"), None, "another variant");
}

#[tokio::test]
async fn what_a_trusted_proxy_says_goes_on() {
    let (endpoint, gate) = held(|_, number| (200, if number == 1 { OLD } else { FRESH }.to_owned())).await;
    let text = config(&[endpoint.address().to_string()], "");
    let edge = Edge::start(&text.replace("server: {", "server: { trusted_proxies: [127.0.0.0/8],")).await;
    let ask = async || {
        let fields = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Request-ID: theirs\r\n";
        edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await
    };
    gate.add_permits(1);
    ask().await;
    assert!(is_old(&ask().await));
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    let [first, refresh] = &endpoint.requests()[..] else { panic!() };
    let told = |request: &Request| {
        ["x-forwarded-for", "x-forwarded-proto", "x-request-id", "x-real-ip"]
            .map(|name| request.header(name).map(str::to_owned))
    };
    assert_eq!(told(refresh), told(first));
    assert_eq!(refresh.header("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
}
