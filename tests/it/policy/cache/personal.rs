//! What is one client's is stored for nobody else, however the edge has come to know the client.

use super::{did, edge_with, with};
use crate::support::{Edge, Endpoint, Response};

const KEYS: &str = "{ api_key: { keys: { ada: ada-0123456789-key, bob: bob-0123456789-key } } }";

fn passwords() -> String {
    let hash = |password| bcrypt::hash(password, 4).unwrap();
    format!("{{ basic_auth: {{ passwords: {{ ada: '{}', bob: '{}' }} }} }}", hash("a"), hash("b"))
}

/// An endpoint that says in its body whom it takes the client for.
async fn telling(fields: &'static str) -> Endpoint {
    Endpoint::with(move |request| {
        let body = [request.header("x-user"), request.header("x-consumer"), request.header("x-name")]
            .into_iter()
            .flatten()
            .next()
            .unwrap_or("nobody")
            .to_owned();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
    })
    .await
}

async fn ask(edge: &Edge, fields: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await
}

/// Filters, and how two clients show who they are.
fn ways() -> Vec<(String, [&'static str; 2])> {
    let cache = |settings: &str| format!("{{ cache: {{ in: main{settings} }} }}");
    let basic = ["Authorization: Basic YWRhOmE=\r\n", "Authorization: Basic Ym9iOmI=\r\n"];
    let keys = ["X-API-Key: ada-0123456789-key\r\n", "X-API-Key: bob-0123456789-key\r\n"];
    let removed = "{ request_headers: { remove: [Authorization] } }";
    let mut ways = Vec::new();
    for cache in [cache(""), cache(", ttl: { 200: 1h }"), cache(", ttl: { 200: 1h }, force_ttl: true")] {
        ways.push((format!("{}, {cache}", passwords()), basic));
        ways.push((format!("{cache}, {}", passwords()), basic));
        ways.push((format!("{KEYS}, {cache}"), keys));
        ways.push((format!("{cache}, {KEYS}"), keys));
        let named =
            ["Authorization: Bearer a\r\nX-Name: ada\r\n", "Authorization: Bearer b\r\nX-Name: bob\r\n"];
        ways.push((format!("{removed}, {cache}"), named));
    }
    ways
}

#[tokio::test]
async fn nobody_gets_what_was_made_for_another() {
    for fields in ["Cache-Control: max-age=60\r\n", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"] {
        for (filters, [ada, bob]) in ways() {
            let endpoint = telling(fields).await;
            let edge = edge_with(&endpoint, &filters).await;
            for _ in 0..2 {
                for (shown, name) in [(ada, "ada"), (bob, "bob")] {
                    let response = ask(&edge, shown).await;
                    assert_eq!((response.status, response.text()), (200, name), "{filters} {fields}");
                }
            }
            assert_eq!(endpoint.requests().len(), 4, "{filters} {fields}");
        }
    }
}

#[tokio::test]
async fn what_is_for_all_is_stored_for_all() {
    for (settings, fields) in [
        ("", "Cache-Control: max-age=60, public\r\n"),
        ("", "Cache-Control: s-maxage=60\r\n"),
        (", store_authorized: true", "Cache-Control: max-age=60\r\n"),
    ] {
        let endpoint = with(move |_, _| fields.to_owned()).await;
        let edge = edge_with(&endpoint, &format!("{KEYS}, {{ cache: {{ in: main{settings} }} }}")).await;
        assert_eq!(ask(&edge, "X-API-Key: ada-0123456789-key\r\n").await.text(), "answer 1");
        let hit = ask(&edge, "X-API-Key: bob-0123456789-key\r\n").await;
        assert_eq!(hit.text(), "answer 1");
        assert!(did(&hit).starts_with("evener; hit"), "{}", did(&hit));
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_a_certificate_is_an_identity() {
    let endpoint = with(|_, _| "Cache-Control: max-age=60\r\n".to_owned()).await;
    let text = super::config(&[endpoint.address().to_string()], "");
    let edge = Edge::start(&text.replace("server: {", "server: { trusted_proxies: [127.0.0.0/8],")).await;
    for (number, name) in ["Client-Cert", "X-SSL-Client-S-DN", "X-Forwarded-Client-Cert"].iter().enumerate() {
        assert_eq!(ask(&edge, &format!("{name}: a\r\n")).await.text(), format!("answer {}", number + 1));
    }
}

#[tokio::test]
async fn cookies_of_a_refreshed_answer_are_for_who_asked() {
    let endpoint = Endpoint::with(|request| match request.header("if-none-match") {
        None => "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nCache-Control: max-age=1\r\nAge: 10\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        Some(_) => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nSet-Cookie: id=1\r\nCache-Control: max-age=60\r\n\r\n".to_owned(),
    })
    .await;
    let edge = super::edge(&endpoint, "").await;
    assert_eq!(edge.get("/").await.text(), "ok");
    let refreshed = edge.get("/").await;
    assert_eq!((refreshed.text(), refreshed.headers("set-cookie")), ("ok", vec!["id=1"]));
    let hit = edge.get("/").await;
    assert!(did(&hit).starts_with("evener; hit"), "{}", did(&hit));
    assert!(hit.header("set-cookie").is_none(), "{}", hit.head);
}
