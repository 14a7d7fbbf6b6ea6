//! Requests that could be read in more than one way, and names that need care.

use serde_json::Value;
use tokio::net::UnixStream;

use crate::support::{Client, Edge};

use super::{ask, config, read, with_admin};

const TOKEN: &str = "operates-all-there-is";

async fn edge() -> Edge {
    let admin = format!("bind: 127.0.0.1:0, tokens: {{ deploy: {{ token: {TOKEN}, scope: operate }} }}");
    Edge::start(&with_admin(&admin, "", "{ respond: {} }")).await
}

/// What comes back to these bytes, to the end of the connection.
async fn told(edge: &Edge, text: &str) -> String {
    let mut client = Client::connect(edge.admin_address()).await;
    client.send(text).await;
    String::from_utf8(client.rest().await).unwrap()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_ends_its_connection() {
    let edge = edge().await;
    let order = format!("PUT /v1/log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";
    for (name, text) in [
        (
            "length and chunks",
            format!("{order}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunks and length",
            format!("{order}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ),
        ("two lengths", format!("{order}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}")),
        ("a list of lengths", format!("{order}Content-Length: 2, 2\r\n\r\n{{}}")),
        ("a signed length", format!("{order}Content-Length: +2\r\n\r\n{{}}")),
        ("another coding", format!("{order}Transfer-Encoding: gzip\r\n\r\n")),
        ("a coding before the chunks", format!("{order}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        ("chunks twice", format!("{order}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
        (
            "chunks by HTTP/1.0",
            format!("{order}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").replace("/1.1", "/1.0"),
        ),
        ("a bare CR", format!("{get}A: b\rc\r\n\r\n")),
        ("a bare CR in the line", format!("{get}\r\n").replace("/healthz", "/healthz\r")),
        ("a field that goes on", format!("{get}A: b\r\n c\r\n\r\n")),
        ("a space before the colon", format!("{get}A : b\r\n\r\n")),
        ("a space in a name", format!("{get}A b: c\r\n\r\n")),
        ("a NUL", format!("{get}A: \0\r\n\r\n")),
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", format!("{get}Host: localhost\r\n\r\n")),
        ("no path", get.replace("/healthz", "*") + "\r\n"),
        ("another scheme", get.replace("/healthz", "ftp://localhost/healthz") + "\r\n"),
        ("CONNECT", get.replace("GET /healthz", "CONNECT localhost:80") + "\r\n"),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("HTTP/1.2", get.replace("/1.1", "/1.2") + "\r\n"),
        ("HTTP/0.9", "GET /healthz\r\n\r\n".to_owned()),
    ] {
        let told = told(&edge, &text).await;
        assert!(told.starts_with("HTTP/1.1 400 ") || told.starts_with("HTTP/1.0 400 "), "{name}: {told}");
        assert_eq!(told.matches("HTTP/1.").count(), 1, "{name}: {told}");
    }
    // Nothing of what follows is taken for a request.
    let hidden = format!("{order}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{get}\r\n");
    assert_eq!(told(&edge, &hidden).await.matches("HTTP/1.1 ").count(), 1);
    let long = format!("{get}A: {}\r\n\r\n", "a".repeat(40 << 10));
    let many = format!("{get}{}\r\n", "A: b\r\n".repeat(200));
    let target = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(40 << 10));
    for text in [long, many, target] {
        let mut client = Client::connect(edge.admin_address()).await;
        // It may be closed before all is taken.
        let _ = client.try_send(&text).await;
        let told = client.rest().await;
        assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 431 "), "{}", told.escape_ascii());
    }
    assert_eq!(read(&edge, "/healthz").await.text(), "ok\n");
}

#[tokio::test]
async fn bodies_come_in_chunks_and_broken_ones_are_told_from_large_ones() {
    let edge = edge().await;
    let order = async |framing: &str, body: &str| {
        let fields =
            format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        told(&edge, &format!("POST /v1/reload HTTP/1.1\r\n{fields}{framing}\r\n\r\n{body}")).await
    };
    let chunked = "Transfer-Encoding: chunked";
    let told = order(chunked, "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("\r\nconnection: close\r\n"), "{told}");
    for broken in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}x", "-1\r\n{}\r\n"] {
        let told = order(chunked, broken).await;
        assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("in the chunks"), "{broken}: {told}");
    }
    let large = format!("11000\r\n{}\r\n0\r\n\r\n", " ".repeat(0x11000));
    let told = order(chunked, &large).await;
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
}

#[tokio::test]
async fn words_and_objects_are_not_taken_in_other_forms() {
    let edge = edge().await;
    for (line, body) in [
        ("PUT /v1/log", "[\"debug\"]"),
        ("PUT /v1/log", "{\"level\":[\"debug\"]}"),
        ("PUT /v1/log", "{\"level\":{\"debug\":null}}"),
        ("POST /v1/reload", "[null]"),
        ("POST /v1/reload", "[]"),
        ("POST /v1/reload", "\"\""),
        ("POST /v1/reload", "{\"probation\":[\"60s\",\"5%\",\"100%\"]}"),
        ("POST /v1/purge", "[null,null,null,true]"),
    ] {
        let length = body.len();
        let fields = format!(
            "Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {length}\r\n"
        );
        let told = told(&edge, &format!("{line} HTTP/1.1\r\n{fields}\r\n{body}")).await;
        assert!(
            told.starts_with("HTTP/1.1 400 ") && told.contains("the body is not understood"),
            "{body}: {told}"
        );
    }
}

#[tokio::test]
async fn names_are_found_however_they_are_encoded() {
    let pools = "app: { endpoints: ['[::1]:9001', 'unix:DIR/a \"b\".sock', '127.0.0.1:9002'] }";
    let edge = Edge::start(&config(pools, "{ pool: app }")).await;
    let folder = edge.folder().display().to_string();
    let quoted = format!("unix:{folder}/a \"b\".sock");
    let encoded = quoted.replace('/', "%2F").replace(' ', "%20").replace('"', "%22");
    for (path, address) in [
        ("app/endpoints/%5B::1%5D:9001", "[::1]:9001"),
        ("app/endpoints/%5b%3A%3a1%5d%3A9001", "[::1]:9001"),
        ("app/endpoints/[::1]:9001", "[::1]:9001"),
        ("%61pp/endpoints/127.0.0.1%3a9002", "127.0.0.1:9002"),
        (&*format!("app/endpoints/{encoded}"), &*quoted),
    ] {
        let path = format!("/v1/pools/{path}");
        let told = read(&edge, &path).await;
        assert_eq!(told.status, 200, "{path} {}", told.text());
        let endpoint: Value = serde_json::from_str(told.text()).unwrap();
        assert_eq!(endpoint["address"], address, "{path}");
        let mut client = Client::connect(edge.admin_address()).await;
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let head = client.response().await;
        assert_eq!((head.status, head.header("etag")), (200, told.header("etag")), "{path}");
    }
    for path in ["/v1/pools/", "/v1/pools/app/", "/v1/status/", "/metrics/", "//v1/status", "/v1//status"] {
        let told = read(&edge, path).await;
        let problem: Value = serde_json::from_str(told.text()).unwrap();
        assert_eq!(
            (told.status, &problem["error"]),
            (404, &"there is nothing at this path".into()),
            "{path}"
        );
    }
    let told = ask(&edge, "GET http://localhost/v1/pools/app", "Host: localhost\r\n").await;
    assert_eq!(told.status, 200);
    let told = read(&edge, "/v1/pools/a%22%5C%0Ab").await;
    let problem: Value = serde_json::from_str(told.text()).unwrap();
    assert_eq!((told.status, &problem["error"]), (404, &"no pool named `a\"\\\nb`".into()));
}

#[tokio::test]
async fn options_tell_methods_and_nothing_else_whoever_asks() {
    for anonymous in ["read", "health"] {
        let admin = format!("bind: [127.0.0.1:0, 'unix:DIR/admin.sock'], anonymous: {anonymous}");
        let edge = Edge::start(&with_admin(&admin, "", "{ respond: {} }")).await;
        let told = ask(&edge, "OPTIONS /v1/reload", "Host: localhost\r\n").await;
        assert_eq!((told.status, told.header("allow")), (405, Some("POST")));
        let told = ask(&edge, "OPTIONS /v1/status", "Host: localhost\r\n").await;
        assert_eq!((told.status, told.header("allow")), (405, Some("GET,HEAD")));
        let stream = UnixStream::connect(edge.folder().join("admin.sock")).await.unwrap();
        let mut client = Client::over(stream);
        client
            .send("OPTIONS /v1/nothing HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n")
            .await;
        assert_eq!(client.response().await.status, 403);
    }
}
