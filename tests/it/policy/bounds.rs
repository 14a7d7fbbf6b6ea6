//! `body` and `timeout`: what a route gives its requests.

use crate::support::{Edge, Endpoint};

use super::filtered;

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}

#[tokio::test]
async fn bodies_that_are_too_large_for_the_route_are_refused_however_they_come() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ body: { max: 4B } }")).await;
    assert_eq!(edge.get("/").await.status, 200);
    assert_eq!(edge.send(&post("Content-Length: 4", "1234")).await.status, 200);
    assert_eq!(edge.send(&post("Content-Length: 5", "12345")).await.status, 413);
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(edge.send(&post(chunked, "4\r\n1234\r\n0\r\n\r\n")).await.status, 200);
    assert_eq!(edge.send(&post(chunked, "4\r\n1234\r\n1\r\n5\r\n0\r\n\r\n")).await.status, 413);
    // Who waits to be asked is not asked for what is too large.
    let expecting = "Expect: 100-continue\r\nContent-Length: 5";
    assert_eq!(edge.send(&post(expecting, "")).await.status, 413);
    let causes: Vec<_> = edge.log_of(6).await.iter().map(|line| line["cause"].clone()).collect();
    assert_eq!(causes.iter().filter(|cause| **cause == "body_too_large").count(), 3, "{causes:?}");
}

#[tokio::test]
async fn a_request_has_the_time_of_its_route() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ timeout: { total: 150ms } }")).await;
    assert_eq!(edge.get("/").await.status, 504);
    assert_eq!(edge.log_of(1).await[0]["cause"], "total_timeout");
    // The pool's is shorter.
    let config = filtered(endpoint.address(), "{ timeout: { total: 1h } }");
    let edge = Edge::start(&config.replace("endpoints:", "timeouts: { total: 150ms }, endpoints:")).await;
    assert_eq!(edge.get("/").await.status, 504);
}

#[tokio::test]
async fn the_time_of_a_route_counts_while_filters_have_a_request_wait() {
    let endpoint = Endpoint::answering("hi").await;
    let filters =
        "{ timeout: { total: 150ms } }, { rate_limit: { rate: 6/m, burst: 1, mode: delay, max_delay: 10s } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    assert_eq!(edge.get("/").await.status, 200);
    assert_eq!(edge.get("/").await.status, 504);
    assert_eq!(edge.log_of(2).await[1]["cause"], "total_timeout");
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn the_time_of_a_route_counts_where_the_edge_answers() {
    let edge = Edge::start(
        "listeners: { web: { bind: 127.0.0.1:0 } }
routes:
  - match: { path: /slow }
    filters: [timeout: { total: 150ms }]
    respond: { delay: 30s }
  - filters: [timeout: { total: 300ms }]
    files: { root: DIR }
log: { access: { to: LOG } }
",
    )
    .await;
    assert_eq!(edge.get("/slow").await.status, 504);
    assert_eq!(edge.log_of(1).await[0]["cause"], "total_timeout");
    const LENGTH: u64 = 64 << 20;
    let file = std::fs::File::create(edge.folder().join("large")).unwrap();
    file.set_len(LENGTH).unwrap();
    let mut client = edge.connect().await;
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    let log = edge.log_of(2).await;
    assert_eq!((&log[1]["cause"], &log[1]["status"]), (&"total_timeout".into(), &200.into()));
    assert!((client.rest().await.len() as u64) < LENGTH);
}
