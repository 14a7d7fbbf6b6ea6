use crate::support::{Edge, Endpoint, Request};

use super::{GET, site, site_with};

const FORGED: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
     X-Forwarded-Port: 666\r\nX-Forwarded-Prefix: /evil\r\nX-Real-IP: 6.6.6.6\r\nX-Request-ID: forged\r\n\
     Forwarded: for=6.6.6.6\r\nVia: 1.1 evil\r\nProxy: http://evil/\r\n";

async fn forwarded(fields: &str, trusted: &str) -> Request {
    let endpoint = Endpoint::answering("hi").await;
    let config = site(endpoint.address(), "");
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [{trusted}] }}\n{config}")).await;
    let response = edge.send(&format!("GET /x HTTP/1.1\r\nHost: Example.com:80\r\n{fields}\r\n")).await;
    assert_eq!(response.status, 200);
    endpoint.last()
}

#[tokio::test]
async fn endpoints_are_told_of_the_client() {
    let request = forwarded("", "").await;
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(request.headers("x-forwarded-host"), ["Example.com:80"]);
    assert_eq!(request.headers("host"), ["Example.com:80"]);
    assert_eq!(request.headers("via"), ["1.1 evener"]);
    let id = request.header("x-request-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
}

#[tokio::test]
async fn what_an_untrusted_client_says_of_itself_is_dropped() {
    let request = forwarded(FORGED, "").await;
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(request.headers("x-forwarded-host"), ["Example.com:80"]);
    assert_eq!(request.headers("via"), ["1.1 evener"]);
    assert_ne!(request.header("x-request-id"), Some("forged"));
    for name in ["x-forwarded-port", "x-forwarded-prefix", "forwarded", "proxy"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn underscores_do_not_forge_what_dashes_cannot() {
    let request = forwarded("X_Forwarded_For: 6.6.6.6\r\nX_Real-IP: 6.6.6.6\r\nX_Plain: ok\r\n", "").await;
    assert_eq!(request.header("x_forwarded_for"), None);
    assert_eq!(request.header("x_real-ip"), None);
    assert_eq!(request.header("x_plain"), Some("ok"));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_added() {
    let request = forwarded(FORGED, "127.0.0.0/8").await;
    assert_eq!(request.headers("x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert_eq!(request.headers("x-real-ip"), ["6.6.6.6"]);
    assert_eq!(request.headers("x-forwarded-proto"), ["https"]);
    assert_eq!(request.headers("x-forwarded-host"), ["evil"]);
    assert_eq!(request.headers("x-request-id"), ["forged"]);
    assert_eq!(request.headers("via"), ["1.1 evil", "1.1 evener"]);
    assert_eq!(request.header("forwarded"), Some("for=6.6.6.6"));
    assert_eq!(request.header("proxy"), None);
}

#[tokio::test]
async fn the_client_is_the_last_address_that_is_not_trusted() {
    let fields = "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n";
    let request = forwarded(fields, "127.0.0.0/8, 10.0.0.0/8").await;
    assert_eq!(request.header("x-real-ip"), Some("2.2.2.2"));
    assert_eq!(request.headers("x-forwarded-for"), ["1.1.1.1, 2.2.2.2, 10.0.0.1, 10.0.0.2, 127.0.0.1"]);
}

#[tokio::test]
async fn an_id_that_logs_cannot_hold_is_replaced() {
    for id in ["", "two words", &"x".repeat(200)] {
        let request = forwarded(&format!("X-Request-ID: {id}\r\n"), "127.0.0.0/8").await;
        assert_eq!(request.header("x-request-id").unwrap().len(), 36, "{id:?}");
    }
}

#[tokio::test]
async fn fields_of_the_connection_stay_on_it() {
    let request = forwarded(
        "Connection: X-Secret, keep-alive\r\nX-Secret: s\r\nKeep-Alive: timeout=5\r\nTE: trailers, gzip\r\n\
         Trailer: X\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-Kept: k\r\n",
        "",
    )
    .await;
    for name in
        ["connection", "x-secret", "keep-alive", "te", "trailer", "proxy-connection", "proxy-authorization"]
    {
        assert_eq!(request.header(name), None, "{name}: {}", request.head);
    }
    assert_eq!(request.header("x-kept"), Some("k"));
}

#[tokio::test]
async fn nobody_can_nominate_away_what_the_edge_says() {
    let request = forwarded("Connection: close, X-Real-IP, X-Request-ID, Via, Content-Length\r\n", "").await;
    for name in ["x-forwarded-for", "x-real-ip", "x-request-id", "via", "x-forwarded-proto"] {
        assert!(request.header(name).is_some(), "{name}");
    }
    assert_eq!(request.header("host"), Some("Example.com:80"));
}

#[tokio::test]
async fn a_nomination_that_can_only_be_an_attack_is_refused() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let many = ["x"; 1000].join(", ");
    for options in ["Host", "X-Forwarded-For", "close, x-forwarded-proto", ":authority", "\"x\"", &many] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n");
        assert_eq!(edge.send(&request).await.status, 400, "{options}");
    }
    assert!(endpoint.requests().is_empty());
    assert!(edge.log_of(6).await.iter().all(|line| line["cause"] == "bad_request"));
}

#[tokio::test]
async fn a_body_keeps_its_framing_whatever_is_nominated() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length, Transfer-Encoding\r\n";
    assert_eq!(edge.send(&format!("{head}Content-Length: 4\r\n\r\nbody")).await.status, 200);
    assert_eq!(endpoint.last().body, b"body");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
    assert_eq!(edge.send(&chunked).await.status, 200);
    assert_eq!(endpoint.last().body, b"body");
}

#[tokio::test]
async fn fields_of_the_endpoints_connection_stay_on_it() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nConnection: X-Secret, keep-alive\r\nX-Secret: s\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Kept: k\r\nServer: thing\r\n\
         Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok"
            .to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let response = edge.send(GET).await;
    // The edge's own.
    assert_eq!(response.headers("connection"), ["keep-alive"]);
    for name in ["x-secret", "keep-alive", "proxy-authenticate", "proxy-connection", "upgrade"] {
        assert_eq!(response.header(name), None, "{name}: {}", response.head);
    }
    assert_eq!(response.header("x-kept"), Some("k"));
    assert_eq!(response.header("server"), Some("thing"));
    assert_eq!(response.headers("set-cookie"), ["a", "b"]);
    assert_eq!(response.text(), "ok");
}

#[tokio::test]
async fn a_nominated_framing_field_does_not_change_the_framing() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nConnection: Content-Length, Transfer-Encoding\r\nContent-Length: 2\r\n\r\nok"
            .to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send(GET).await;
        let response = client.response().await;
        assert_eq!((response.header("content-length"), response.text()), (Some("2"), "ok"));
    }
}

#[tokio::test]
async fn filters_and_the_edge_agree_on_the_host() {
    let endpoint = Endpoint::answering("hi").await;
    let routes = "- { filters: [{ rewrite: { host: inner.example } }], pool: app }";
    let edge = Edge::start(&site_with(endpoint.address(), "", "", routes)).await;
    assert_eq!(edge.get("/").await.status, 200);
    let request = endpoint.last();
    assert_eq!(request.headers("host"), ["inner.example"]);
    assert_eq!(request.header("x-forwarded-host"), Some("example.com"));
}
