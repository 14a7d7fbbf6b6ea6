use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{counting, did, edge};
use crate::support::Endpoint;

/// Fresh for a second, and older than that when it comes.
const OLD: &str = "Cache-Control: max-age=1, stale-if-error=600\r\nAge: 10\r\n";

/// An endpoint that answers once, and then as `later` says; a text of none breaks the connection.
async fn once_then(first: &'static str, later: &'static str) -> Endpoint {
    let count = Arc::new(AtomicUsize::new(0));
    Endpoint::scripted(move |mut exchange| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                exchange.send(format!("HTTP/1.1 200 OK\r\n{first}Content-Length: 3\r\n\r\nold")).await;
                return Some(exchange);
            }
            if later.is_empty() {
                return None;
            }
            exchange.send(later).await;
            Some(exchange)
        }
    })
    .await
}

#[tokio::test]
async fn an_old_answer_stands_in_when_endpoints_fail() {
    for later in [
        "",
        "HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad",
        "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nbad",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let endpoint = once_then(OLD, later).await;
        let edge = edge(&endpoint, "").await;
        assert_eq!(edge.get("/").await.text(), "old");
        for _ in 0..2 {
            let stale = edge.get("/").await;
            assert_eq!((stale.status, stale.text()), (200, "old"), "{later}");
            assert!(did(&stale).starts_with("evener; fwd=stale; ttl=-"), "{}", did(&stale));
            assert!(stale.header("age").is_some());
        }
        let log = edge.log_of(3).await;
        assert_eq!(
            (&log[1]["cache"], &log[1]["status"], log[1].get("cause")),
            (&"stale".into(), &200.into(), None)
        );
    }
}

#[tokio::test]
async fn an_old_answer_stands_in_when_no_endpoint_can_be_reached() {
    let endpoint = counting(OLD).await;
    let edge = edge(&endpoint, "").await;
    edge.get("/").await;
    drop(endpoint);
    for _ in 0..3 {
        let stale = edge.get("/").await;
        assert_eq!((stale.status, stale.text()), (200, "answer 1"));
    }
    assert_eq!(edge.get("/other").await.status, 502);
}

#[tokio::test]
async fn what_must_not_be_given_when_it_is_old_is_not() {
    for (fields, later) in [
        ("Cache-Control: max-age=1, stale-if-error=600, must-revalidate\r\nAge: 10\r\nETag: \"a\"\r\n", ""),
        ("Cache-Control: max-age=1, stale-if-error=600, s-maxage=1\r\nAge: 10\r\nETag: \"a\"\r\n", ""),
        ("Cache-Control: no-cache, stale-if-error=600\r\nETag: \"a\"\r\n", ""),
        ("Cache-Control: max-age=1, stale-if-error=600\r\nAge: 10000\r\nETag: \"a\"\r\n", ""),
        ("Cache-Control: max-age=1\r\nAge: 10\r\nETag: \"a\"\r\n", ""),
        (OLD, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        (OLD, "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let endpoint = once_then(fields, later).await;
        let edge = edge(&endpoint, "").await;
        assert_eq!(edge.get("/").await.text(), "old");
        let response = edge.get("/").await;
        assert!(response.status >= 404, "{fields} {later}: {}", response.head);
    }
}

#[tokio::test]
async fn another_endpoint_is_asked_before_an_old_answer_is_given() {
    let bad = once_then(OLD, "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nbad").await;
    let good = Endpoint::answering("new").await;
    let text = super::config(&[bad.address().to_string(), good.address().to_string()], "");
    let text = text.replace("endpoints:", "balance: first, retry: { on: [5xx] }, endpoints:");
    let edge = crate::support::Edge::start(&text).await;
    assert_eq!(edge.get("/").await.text(), "old");
    assert_eq!(edge.get("/").await.text(), "new");
}

#[tokio::test]
async fn settings_give_what_answers_do_not_say() {
    let endpoint = once_then("Cache-Control: max-age=1\r\nAge: 10\r\n", "").await;
    let edge = edge(&endpoint, "stale: { if_error: 1h }").await;
    edge.get("/").await;
    assert_eq!(edge.get("/").await.text(), "old");
}
