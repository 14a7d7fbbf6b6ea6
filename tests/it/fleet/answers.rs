use std::time::Duration;

use tokio::time::Instant;

use crate::support::Edge;

use super::routes;

async fn edge(route: &str) -> Edge {
    Edge::start(&routes("127.0.0.1:1", &format!("{route}\n  - {{ match: {{ path: /unused }}, pool: app }}")))
        .await
}

#[tokio::test]
async fn a_redirect_takes_path_and_query_along() {
    let edge = edge("  - { redirect: { to: 'https://{host}{path}{query}', status: 308 } }").await;
    for (target, location) in [
        ("/a/b?c=d&e", "https://example.com/a/b?c=d&e"),
        ("/", "https://example.com/"),
        ("/a?", "https://example.com/a?"),
        ("/%41%2f?x", "https://example.com/A%2F?x"),
    ] {
        let response = edge.get(target).await;
        assert_eq!(response.status, 308);
        assert_eq!(response.headers("location"), [location]);
        assert_eq!(response.header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn a_redirect_keeps_to_what_filters_made_of_the_path() {
    let edge =
        edge("  - { filters: [{ rewrite: { strip_prefix: /old } }], redirect: { to: '/new{path}' } }").await;
    assert_eq!(edge.get("/old/x").await.headers("location"), ["/new/x"]);
}

#[tokio::test]
async fn an_answer_has_its_headers_body_and_delay() {
    let route =
        "  - respond: { status: 418, body: 'short', headers: { X-Who: '{host}{path}' }, delay: 200ms }";
    let edge = edge(route).await;
    let begun = Instant::now();
    let response = edge.get("/tea").await;
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!((response.status, response.text()), (418, "short"));
    assert_eq!(response.header("x-who"), Some("example.com/tea"));
    assert_eq!(response.header("content-length"), Some("5"));
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["status"], &line["attempts"]), (&418.into(), &0.into()));
    assert!(line.get("cause").is_none() && line.get("pool").is_none(), "{line}");
}

#[tokio::test]
async fn filters_see_the_answers_of_the_edge() {
    let stamp = "response_headers: { set: { X-Stamp: '{path}' } }";
    let edge = edge(&format!(
        "  - {{ match: {{ path: /respond }}, filters: [{{ {stamp} }}], respond: {{ body: x }} }}\n  \
           - {{ match: {{ path: /redirect }}, filters: [{{ {stamp} }}], redirect: {{ to: /there }} }}\n  \
           - {{ match: {{ path: /limit }}, filters: [{{ {stamp} }}, {{ rate_limit: {{ rate: 1/h }} }}], respond: {{}} }}\n  \
           - {{ match: {{ path: /late }}, filters: [{{ rate_limit: {{ rate: 1/h }} }}, {{ {stamp} }}], respond: {{}} }}\n  \
           - {{ match: {{ path: /down }}, filters: [{{ {stamp} }}], pool: app }}"
    ))
    .await;
    for (path, status, stamp) in [
        ("/respond", 200, Some("/respond")),
        ("/redirect", 308, Some("/redirect")),
        ("/limit", 200, Some("/limit")),
        ("/limit", 429, Some("/limit")),
        ("/late", 200, Some("/late")),
        // The filter behind the one that refuses saw nothing of the request.
        ("/late", 429, None),
        ("/down", 502, Some("/down")),
        ("/nowhere", 404, None),
    ] {
        let response = edge.get(path).await;
        assert_eq!((response.status, response.header("x-stamp")), (status, stamp), "{path}");
    }
}

#[tokio::test]
async fn a_head_gets_the_head_alone() {
    let edge = edge("  - respond: { body: hello }").await;
    let response = edge.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("5")));
    assert!(response.body.is_empty());
}
