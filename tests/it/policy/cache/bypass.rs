//! What is stored is nobody's who may not see it.

use super::{did, with};
use crate::support::{Edge, Endpoint, Response};

const STORED: &str = "Cache-Control: public, max-age=60\r\n";

async fn edge(endpoint: &Endpoint, filters: &str) -> Edge {
    Edge::start(&format!(
        "server: {{ caches: {{ main: {{}} }} }}\n\
         listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: ['{}'] }} }}\n\
         routes: [{{ filters: [{filters}], pool: app }}]\n",
        endpoint.address()
    ))
    .await
}

async fn ask(edge: &Edge, method: &str, path: &str, fields: &str) -> Response {
    let mut client = edge.connect().await;
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await;
    if method == "HEAD" { client.response_to_head().await } else { client.response().await }
}

const KEYS: &str = "{ api_key: { keys: { ada: ada-0123456789-key, bob: bob-0123456789-key } } }";
const ADA: &str = "X-API-Key: ada-0123456789-key\r\n";
const BOB: &str = "X-API-Key: bob-0123456789-key\r\n";

#[tokio::test]
async fn checks_of_who_asks_hold_for_stored_answers() {
    // Wherever they stand.
    for filters in
        [format!("{KEYS}, {{ cache: {{ in: main }} }}"), format!("{{ cache: {{ in: main }} }}, {KEYS}")]
    {
        let endpoint = with(|_, _| STORED.to_owned()).await;
        let edge = edge(&endpoint, &filters).await;
        assert_eq!(ask(&edge, "GET", "/secret", ADA).await.text(), "answer 1");
        assert!(did(&ask(&edge, "GET", "/secret", ADA).await).starts_with("evener; hit"));
        for (method, path, fields) in [
            ("GET", "/secret", ""),
            ("HEAD", "/secret", ""),
            ("GET", "/%73ecret", ""),
            ("GET", "//secret", ""),
            ("GET", "/x/../secret", ""),
            ("GET", "http://example.com/secret", ""),
            ("GET", "/secret", "X-API-Key: wrong\r\n"),
            ("GET", "/secret", "X-API-Key: ADA-0123456789-KEY\r\n"),
            ("GET", "/secret", "If-None-Match: *\r\n"),
            ("GET", "/secret", "Range: bytes=0-1\r\n"),
            ("GET", "/secret", "Cache-Control: only-if-cached\r\n"),
            ("GET", "/secret", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            (
                "GET",
                "/secret",
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
            ),
            ("GET", "/secret", "Connection: X-API-Key\r\n"),
        ] {
            let response = ask(&edge, method, path, fields).await;
            assert_eq!(response.status, 401, "{method} {path} {fields:?}");
            assert!(!response.text().contains("answer"), "{method} {path} {fields:?}");
        }
        assert_eq!(endpoint.requests().len(), 1);
    }
}

#[tokio::test]
async fn networks_and_limits_hold_for_stored_answers() {
    let endpoint = with(|_, _| STORED.to_owned()).await;
    let edge_of_some = edge(&endpoint, "{ cache: { in: main } }, { deny: [127.0.0.0/8] }").await;
    assert_eq!(ask(&edge_of_some, "GET", "/", "").await.status, 403);
    let limited = edge(&endpoint, "{ cache: { in: main } }, { rate_limit: { rate: 2/h, burst: 2 } }").await;
    let statuses = [
        ask(&limited, "GET", "/", "").await.status,
        ask(&limited, "GET", "/", "").await.status,
        ask(&limited, "GET", "/", "").await.status,
    ];
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn answers_may_depend_on_who_asks() {
    let endpoint = with(|_, _| STORED.to_owned()).await;
    let filters = format!("{KEYS}, {{ cache: {{ in: main, key: {{ vars: [api_key.name] }} }} }}");
    let edge = edge(&endpoint, &filters).await;
    for (fields, expected) in [(ADA, "answer 1"), (BOB, "answer 2"), (ADA, "answer 1"), (BOB, "answer 2")] {
        assert_eq!(ask(&edge, "GET", "/", fields).await.text(), expected);
        // What clients say of it themselves is dropped.
        let claimed = format!("{fields}X-Consumer: ada\r\n");
        assert_eq!(ask(&edge, "GET", "/", &claimed).await.text(), expected);
    }
    assert_eq!(ask(&edge, "GET", "/", "X-Consumer: ada\r\n").await.status, 401);
    ask(&edge, "POST", "/", &format!("{ADA}Content-Length: 0\r\n")).await;
    assert_eq!(ask(&edge, "GET", "/", ADA).await.text(), "answer 4");
    assert_eq!(ask(&edge, "GET", "/", BOB).await.text(), "answer 5", "what one changes is changed for all");
}

const TOKEN: &str = "Authorization: Bearer 0123456789-purge-token\r\n";

fn purging(clients: &str) -> String {
    format!("{{ cache: {{ in: main, purge: {{ clients: [{clients}], token: 0123456789-purge-token }} }} }}")
}

#[tokio::test]
async fn who_may_removes_by_http() {
    let endpoint =
        with(|request, _| format!("{STORED}Cache-Tag: {}\r\n", request.path().replace('/', ""))).await;
    let edge = edge(&endpoint, &purging("127.0.0.0/8")).await;
    let paths = ["/a/1", "/a/2", "/b", "/tagged"];
    for (path, fields, removed, gone) in [
        ("/b", "", 1, &["/b"][..]),
        ("/none", "", 0, &[]),
        ("/x/../%62", "", 1, &["/b"]),
        ("/a/", "X-Purge: prefix\r\n", 2, &["/a/1", "/a/2"]),
        ("/", "Cache-Tag: tagged\r\n", 1, &["/tagged"]),
        ("/", "X-Purge: prefix\r\n", 4, &paths),
    ] {
        let mut before = Vec::new();
        for path in paths {
            before.push(ask(&edge, "GET", path, "").await.body);
        }
        let answer = ask(&edge, "PURGE", path, &format!("{TOKEN}{fields}")).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.text(),
            format!("{{\"removed\":{removed},\"complete\":true}}\n"),
            "{path} {fields}"
        );
        for (path, before) in paths.iter().zip(before) {
            let after = ask(&edge, "GET", path, "").await.body;
            assert_eq!(after != before, gone.contains(path), "{path} {fields}");
        }
    }
    assert!(endpoint.requests().iter().all(|request| !request.line().starts_with("PURGE")));
}

#[tokio::test]
async fn nobody_else_removes_by_http() {
    let endpoint = with(|_, _| STORED.to_owned()).await;
    let edge_for_others = edge(&endpoint, &purging("192.0.2.0/24")).await;
    let edge = edge(&endpoint, &purging("127.0.0.0/8")).await;
    ask(&edge, "GET", "/", "").await;
    let known = endpoint.requests().len();
    assert_eq!(ask(&edge_for_others, "PURGE", "/", TOKEN).await.status, 403);
    let forwarded = format!("{TOKEN}X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n");
    assert_eq!(ask(&edge_for_others, "PURGE", "/", &forwarded).await.status, 403);
    for (fields, status) in [
        ("", 401),
        ("Authorization: Bearer \r\n", 401),
        ("Authorization: Bearer 0123456789-purge-toke\r\n", 401),
        ("Authorization: Bearer 0123456789-purge-token2\r\n", 401),
        ("Authorization: Bearer 0123456789-PURGE-TOKEN\r\n", 401),
        ("Authorization: Basic 0123456789-purge-token\r\n", 401),
        ("Authorization: 0123456789-purge-token\r\n", 401),
        (&format!("{TOKEN}{TOKEN}"), 401),
        (&format!("{TOKEN}X-Purge: all\r\n"), 400),
        (&format!("{TOKEN}X-Purge: prefix\r\nCache-Tag: a\r\n"), 400),
        (&format!("{TOKEN}Cache-Tag: a, b\r\n"), 400),
        (&format!("{TOKEN}Cache-Tag:\r\n"), 400),
    ] {
        assert_eq!(ask(&edge, "PURGE", "/", fields).await.status, status, "{fields}");
    }
    assert_eq!(ask(&edge, "GET", "/", "").await.text(), format!("answer {known}"), "it is there yet");
    // No endpoint learns the token either.
    assert_eq!(endpoint.requests().len(), known);
}
