//! Copies of requests: what the other pool gets, and that nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Edge, Endpoint, H2Endpoint, Request, Response, dead, eventually};

fn config(app: &Endpoint, shadow: SocketAddr, pool: &str, keys: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n  app: {{ endpoints: ['{}'] }}\n  shadow: {{ endpoints: ['{shadow}'], {pool} }}\n\
         routes: [{{ name: api, filters: [{{ mirror: {{ pool: shadow, {keys} }} }}], pool: app }}]\n\
         log: {{ access: {{ to: LOG }} }}\n",
        app.address()
    )
}

async fn has_come(shadow: &Endpoint, count: usize) {
    eventually("the copies have come", async || shadow.requests().len() == count).await;
}

async fn post(edge: &Edge, body: &str) -> Response {
    let length = body.len();
    edge.send(&format!("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")).await
}

#[tokio::test]
async fn the_shadow_gets_what_the_endpoint_gets() {
    let (app, shadow) = (Endpoint::answering("app").await, Endpoint::answering("shadow").await);
    let keys = "methods: [GET, POST], max_body: 1KiB";
    let edge = Edge::start(&config(&app, shadow.address(), "", keys)).await;
    let request = "GET /a%20b?c=d HTTP/1.1\r\nHost: www.example.com\r\nCookie: sid=1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";
    assert_eq!(edge.send(request).await.text(), "app");
    has_come(&shadow, 1).await;
    let (seen, copy) = (app.last(), shadow.last());
    assert_eq!((copy.line(), copy.header("x-evener-mirror")), (seen.line(), Some("api")));
    assert_eq!(fields_of(&copy), fields_of(&seen));
    assert!(copy.header("x-real-ip").is_some() && copy.header("via") == Some("1.1 evener"), "{}", copy.head);
    assert_eq!(seen.header("x-evener-mirror"), None);

    assert_eq!(post(&edge, &"x".repeat(1024)).await.text(), "app");
    has_come(&shadow, 2).await;
    assert_eq!(shadow.last().body, "x".repeat(1024).as_bytes());
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(edge.send(chunked).await.text(), "app");
    has_come(&shadow, 3).await;
    let copy = shadow.last();
    assert_eq!((copy.body.as_slice(), copy.header("content-length")), (&b"abcde"[..], Some("5")));

    // Too large, and of another method: the endpoint gets them alone.
    assert_eq!(post(&edge, &"x".repeat(1025)).await.text(), "app");
    assert_eq!(app.last().body.len(), 1025);
    assert_eq!(edge.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.text(), "app");
    assert_eq!(edge.get("/last").await.text(), "app");
    has_come(&shadow, 4).await;
    assert_eq!(shadow.last().path(), "/last");
}

/// The fields of a request in an order of their own, but for the one that says that it is a copy.
fn fields_of(request: &Request) -> Vec<String> {
    let fields = request.head.lines().skip(1).map(str::to_ascii_lowercase);
    let mut fields: Vec<_> = fields.filter(|line| !line.starts_with("x-evener-mirror:")).collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn the_shadow_is_told_what_trusted_proxies_say() {
    let (app, shadow) = (Endpoint::answering("app").await, Endpoint::answering("shadow").await);
    let trusting =
        format!("server: {{ trusted_proxies: [127.0.0.1] }}\n{}", config(&app, shadow.address(), "", ""));
    let edge = Edge::start(&trusting).await;
    let asked = "GET / HTTP/1.0\r\nHost: inner.example\r\nX-Forwarded-For: 192.0.2.7, 192.0.2.8\r\n\
                 X-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.example\r\nVia: 1.1 outer\r\n\r\n";
    assert_eq!(edge.send(asked).await.text(), "app");
    has_come(&shadow, 1).await;
    let (seen, copy) = (app.last(), shadow.last());
    assert_eq!(fields_of(&copy), fields_of(&seen));
    assert_eq!(copy.header("x-forwarded-for"), Some("192.0.2.7, 192.0.2.8, 127.0.0.1"));
    assert_eq!((copy.header("x-forwarded-proto"), copy.headers("via").len()), (Some("https"), 2));
}

#[tokio::test]
async fn copies_do_not_go_round() {
    let app = Endpoint::answering("app").await;
    let inner = Edge::start(&config(&app, app.address(), "", "")).await;
    let outer = Edge::start(&config(&app, inner.address(), "", "")).await;
    assert_eq!(outer.get("/").await.text(), "app");
    // The request, and the copy that the inner edge serves and does not copy again.
    eventually("the copy has come", async || app.requests().len() == 2).await;
    assert_eq!(inner.log_of(1).await[0]["status"], 200);
    assert_eq!(outer.get("/").await.text(), "app");
    eventually("the copy has come", async || app.requests().len() == 4).await;
    inner.log_of(2).await;
    assert_eq!(app.requests().len(), 4);
}

#[tokio::test]
async fn a_shadow_that_is_slow_gone_or_broken_is_not_noticed() {
    let app = Endpoint::answering("app").await;
    let silent = Endpoint::silent().await;
    let edge = Edge::start(&config(&app, silent.address(), "", "in_flight: 2, timeout: 1m")).await;
    // Far more than there is room for; every answer comes before any of the shadow's.
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.text(), "app");
    }
    has_come(&silent, 2).await;

    edge.reload(&config(&app, dead().await, "", "")).await;
    assert_eq!(edge.get("/").await.text(), "app");
    let broken = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
        None
    })
    .await;
    edge.reload(&config(&app, broken.address(), "outlier: off", "")).await;
    for _ in 0..3 {
        assert_eq!(edge.get("/").await.text(), "app");
    }
    has_come(&broken, 3).await;
    let nobody = "health: { http: { path: / }, interval: 100ms, timeout: 100ms, fall: 1 }, panic: 0%";
    edge.reload(&config(&app, dead().await, nobody, "")).await;
    assert_eq!(edge.get("/").await.text(), "app");
    assert_eq!(app.requests().len(), 25);
    let log = edge.log_of(25).await;
    assert!(log.iter().all(|line| line["status"] == 200 && line["pool"] == "app"), "{log:?}");
}

#[tokio::test]
async fn what_is_under_way_goes_on_after_a_reload_and_a_place_is_given_back() {
    let app = Endpoint::answering("app").await;
    let (shadow, gate) = Endpoint::held().await;
    let with_mirror = config(&app, shadow.address(), "", "in_flight: 1, timeout: 1m");
    let edge = Edge::start(&with_mirror).await;
    edge.get("/first").await;
    has_come(&shadow, 1).await;
    edge.get("/dropped").await;
    gate.add_permits(10);
    let again = async || {
        edge.get("/again").await;
        shadow.requests().iter().any(|copy| copy.path() == "/again")
    };
    eventually("there is room again", again).await;
    assert!(shadow.requests().iter().all(|copy| copy.path() != "/dropped"));
}

#[tokio::test]
async fn copies_are_made_of_streams_and_for_them() {
    let app = Endpoint::answering("app").await;
    let shadow = H2Endpoint::answering("shadow").await;
    let keys = "methods: [GET, POST]";
    let edge = Edge::start(&config(&app, shadow.address(), "protocol: h2c", keys)).await;
    let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (method, body) in [("GET", None), ("POST", Some("sent")), ("POST", None)] {
        let request = http::Request::builder().method(method).uri("http://www.example.com/a");
        let mut requests = requests.clone().ready().await.unwrap();
        let (response, mut sending) =
            requests.send_request(request.body(()).unwrap(), body.is_none()).unwrap();
        if let Some(body) = body {
            sending.send_data(bytes::Bytes::from(body), true).unwrap();
        }
        let response = tokio::time::timeout(Duration::from_secs(20), response).await;
        assert_eq!(response.expect("is answered in time").unwrap().status(), 200);
    }
    eventually("the copies have come", async || shadow.heads().len() == 3).await;
    let mut came: Vec<_> = shadow
        .heads()
        .iter()
        .map(|head| {
            let length =
                head.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
            (head.method().to_string(), head.uri().host().unwrap().to_owned(), length)
        })
        .collect();
    came.sort();
    let host = "www.example.com".to_owned();
    let copy =
        |method: &str, length: Option<&str>| (method.to_owned(), host.clone(), length.map(str::to_owned));
    assert_eq!(came, [copy("GET", None), copy("POST", Some("0")), copy("POST", Some("4"))]);
}
