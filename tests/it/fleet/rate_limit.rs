use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Edge, Endpoint, Response};

use super::routes;

async fn limited(settings: &str) -> (Endpoint, Edge) {
    let endpoint = Endpoint::answering("ok").await;
    let route = format!("- {{ pool: app, filters: [{{ rate_limit: {settings} }}] }}");
    let edge = Edge::start(&routes(endpoint.address(), &route)).await;
    (endpoint, edge)
}

async fn ask(edge: &Edge, fields: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn what_is_over_the_rate_gets_429_and_when_to_come_back() {
    let (endpoint, edge) = limited("{ rate: 2/h }").await;
    for _ in 0..2 {
        let response = edge.get("/").await;
        assert_eq!((response.status, response.header("ratelimit")), (200, None));
    }
    let response = edge.get("/").await;
    assert_eq!(response.status, 429);
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    assert_eq!(response.header("ratelimit-policy"), Some("\"default\";q=2;w=3600"));
    assert_eq!(response.header("ratelimit"), Some(&*format!("\"default\";r=0;t={wait}")));
    assert!(response.text().starts_with("429 Too Many Requests: "), "{}", response.text());
    assert_eq!(endpoint.requests().len(), 2);
    let log = edge.log_of(3).await;
    assert_eq!((&log[2]["cause"], &log[2]["rate_limit"]), (&"rate_limited".into(), &"rejected".into()));
    assert!(log[0].get("rate_limit").is_none());
}

#[tokio::test]
async fn those_who_pass_can_be_told_what_is_left() {
    let (_endpoint, edge) = limited("{ rate: 10/h, burst: 3, headers: true }").await;
    for left in [2, 1, 0] {
        let response = edge.get("/").await;
        assert_eq!(response.status, 200);
        let limit = response.header("ratelimit").unwrap();
        assert!(limit.starts_with(&format!("\"default\";r={left};t=")), "{limit}");
        assert_eq!(response.header("ratelimit-policy"), Some("\"default\";q=10;w=3600"));
    }
    assert_eq!(edge.get("/").await.status, 429);
}

#[tokio::test]
async fn keys_are_limited_on_their_own_and_those_without_one_together() {
    let (_endpoint, edge) = limited("{ rate: 1/h, key: { header: X-User } }").await;
    for (fields, status) in [
        ("X-User: a\r\n", 200),
        ("X-User: a\r\n", 429),
        ("X-User: b\r\n", 200),
        ("X-User: b\r\n", 429),
        ("", 200),
        ("", 429),
    ] {
        assert_eq!(ask(&edge, fields).await.status, status, "{fields}");
    }
}

#[tokio::test]
async fn what_is_over_the_rate_can_wait_for_its_turn() {
    let (_endpoint, edge) = limited("{ rate: 1/200ms, burst: 1, mode: delay, max_delay: 300ms }").await;
    assert_eq!(edge.get("/").await.status, 200);
    let begun = Instant::now();
    assert_eq!(edge.get("/").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    let log = edge.log_of(2).await;
    assert_eq!(log[1]["rate_limit"], "delayed");
}

#[tokio::test]
async fn who_would_wait_too_long_is_refused_at_once() {
    let (_endpoint, edge) = limited("{ rate: 1/h, burst: 1, mode: delay, max_delay: 1s }").await;
    assert_eq!(edge.get("/").await.status, 200);
    let begun = Instant::now();
    let response = edge.get("/").await;
    assert_eq!(response.status, 429);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(response.header("retry-after").is_some());
}

#[tokio::test]
async fn a_limit_on_trial_lets_everything_pass_and_tells_the_log() {
    let (endpoint, edge) = limited("{ rate: 1/h, mode: dry_run }").await;
    for _ in 0..3 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert_eq!(endpoint.requests().len(), 3);
    let log = edge.log_of(3).await;
    assert!(log[0].get("rate_limit").is_none());
    assert_eq!(
        (&log[1]["rate_limit"], &log[2]["rate_limit"]),
        (&"would_reject".into(), &"would_reject".into())
    );
}
