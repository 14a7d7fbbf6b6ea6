//! What is answered without Pingora is answered as with it. A request that asks for an upgrade to nothing is one that
//! Pingora sees; all else about it is the same.

use std::fs;

use crate::support::{Edge, Endpoint, Response};

const BY_PINGORA: &str = "Upgrade: nothing\r\n";

async fn site() -> (Endpoint, Edge) {
    let endpoint = Endpoint::with(|request| match request.path() {
        path if path.ends_with("/empty") => "HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n".to_owned(),
        path if path.ends_with("/none") => "HTTP/1.1 404 Not Found\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n".to_owned(),
        path if path.ends_with("/large") => {
            let body = "0123456789abcdef".repeat(16 * 1024);
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
        path => format!(
            "HTTP/1.1 200 Fine\r\nCache-Control: max-age=60\r\nVary: X-Kind\r\nETag: \"1\"\r\nX-Case: Kept\r\nx-twice: 1\r\nX-Twice: 2\r\nage: 5\r\nAccept-Ranges: none\r\nCache-Status: other; hit\r\nContent-Length: {}\r\n\r\n{path}",
            path.len()
        ),
    })
    .await;
    let edge = Edge::start(&format!(
        "server: {{ caches: {{ main: {{}} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes:
  - {{ match: {{ path: /respond }}, respond: {{ status: 203, body: as it is, headers: {{ X-A: 'b {{path}}' }} }}, filters: [security_headers: {{}}] }}
  - {{ match: {{ path: /empty }}, respond: {{ status: 204 }} }}
  - {{ match: {{ path: /away }}, redirect: {{ to: 'https://example.com{{path}}' }} }}
  - {{ match: {{ path: /files }}, files: {{ root: DIR }} }}
  - {{ match: {{ path: /refused }}, respond: {{ body: never }}, filters: [deny: [0.0.0.0/0]] }}
  - match: {{ path: /stored }}
    filters: [security_headers: {{}}, cache: {{ in: main }}, response_headers: {{ set: {{ X-Path: '{{path}}' }} }}]
    pool: app
  - {{ match: {{ path: /kept }}, filters: [cache: {{ in: main }}], pool: app }}
  - {{ match: {{ path: /quiet }}, filters: [cache: {{ in: main, status_header: false }}], pool: app }}
log: {{ access: {{ to: LOG }} }}
",
        endpoint.address()
    ))
    .await;
    fs::create_dir(edge.folder().join("files")).unwrap();
    fs::write(edge.folder().join("files/page.html"), "x".repeat(300_000)).unwrap();
    (endpoint, edge)
}

async fn ask(edge: &Edge, method: &str, path: &str, fields: &str) -> Response {
    let mut client = edge.connect().await;
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await;
    if method == "HEAD" { client.response_to_head().await } else { client.response().await }
}

/// An answer without what is another each time.
fn lines(response: &Response) -> Vec<String> {
    let changes = |line: &String| {
        let line = line.to_ascii_lowercase();
        line.starts_with("date:") || line.starts_with("age:")
    };
    let mut lines: Vec<_> = response.head.lines().map(str::to_owned).filter(|line| !changes(line)).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn both_ways_lead_to_the_same_answer() {
    let (endpoint, edge) = site().await;
    let paths = [
        "/respond",
        "/respond/../respond/%61?q",
        "/empty",
        "/away?x=1",
        "/files/page.html",
        "/files/none",
        "/files/../log",
        "/refused",
        "/stored",
        "/stored?kind",
        "/stored/empty",
        "/stored/large",
        "/kept",
        "/kept?kind",
        "/kept/empty",
        "/kept/none",
        "/kept/large",
        "/quiet",
    ];
    for path in paths {
        // What can be stored is.
        ask(&edge, "GET", path, "X-Kind: a\r\n").await;
        for (method, fields) in [
            ("GET", "X-Kind: a\r\n"),
            ("HEAD", "X-Kind: a\r\n"),
            ("GET", "X-Kind: a\r\nAccept: application/json\r\nX-Request-ID: known\r\n"),
            ("GET", "X-Kind: a\r\nConnection: close\r\n"),
        ] {
            let direct = ask(&edge, method, path, fields).await;
            let pingoras = ask(&edge, method, path, &format!("{fields}{BY_PINGORA}")).await;
            assert_eq!(lines(&direct), lines(&pingoras), "{method} {path} {fields}");
            let is_own_error = direct.header("proxy-status").is_some();
            assert!(is_own_error || direct.body == pingoras.body, "{method} {path} {fields}");
            let is_error = direct.status >= 400;
            assert!(is_error || direct.header("age").is_some() == pingoras.header("age").is_some(), "{path}");
        }
    }
    let fetched = endpoint.requests().iter().filter(|request| !request.is_probe()).count();
    assert_eq!(fetched, 10, "the others were stored");
    let log = edge.log_of(paths.len() * 9).await;
    for pair in log.chunks(9).flat_map(|lines| lines[1..].chunks(2)) {
        let of = |line: usize, key: &str| pair[line].get(key).cloned();
        for key in
            ["status", "cause", "route", "pool", "cache", "method", "host", "target", "bytes_out", "protocol"]
        {
            assert_eq!(of(0, key), of(1, key), "{key}: {pair:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_takes_both_ways_in_turns() {
    let (_endpoint, edge) = site().await;
    let mut client = edge.connect().await;
    // All at once: what comes after a request is not taken for a part of it.
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let texts = [
        get("/respond", ""),
        get("/stored/a", ""),
        get("/stored/a", ""),
        "POST /respond HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        get("/respond", BY_PINGORA),
        get("/stored/a", "Range: bytes=1-6\r\n"),
        get("/stored/b", "Connection: close\r\n"),
        get("/respond", ""),
    ];
    client.send(texts.concat()).await;
    let expected: [(u16, &[u8]); 7] = [
        (203, b"as it is"),
        (200, b"/stored/a"),
        (200, b"/stored/a"),
        (203, b"as it is"),
        (203, b"as it is"),
        (206, b"stored"),
        (200, b"/stored/b"),
    ];
    for (number, (status, body)) in expected.into_iter().enumerate() {
        let response = client.response().await;
        assert_eq!((response.status, &response.body[..]), (status, body), "request {number}");
    }
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let (_endpoint, edge) = site().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = edge.connect().await;
        client.send("GET /files/page.html HTTP/1.1\r\nHost: a\r\n\r\n").await;
        clients.push(client);
    }
    // They leave with their answers on the way.
    drop(clients);
    let log = edge.log_of(3).await;
    assert!(log.iter().all(|line| line["status"] == 200), "{log:?}");
}
