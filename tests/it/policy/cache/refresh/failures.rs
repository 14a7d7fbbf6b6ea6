//! What becomes of the old answer when nothing comes of a refresh, or something else than an answer to be kept.

use super::{FRESH, OLD, held, is_old, old_then, until_fresh, with_old};
use crate::policy::cache::{did, edge_with};
use crate::support::{Endpoint, eventually};

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_for_a_while() {
    for status in [429, 500, 501, 503] {
        let (endpoint, gate) = held(move |_, number| match number {
            1 => (200, OLD.to_owned()),
            _ => (status, "Retry-After: 60\r\nCache-Control: max-age=60\r\n".to_owned()),
        })
        .await;
        let edge = with_old(&endpoint, &gate, "").await;
        assert!(is_old(&edge.get("/").await));
        eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
        gate.add_permits(10);
        for _ in 0..50 {
            assert!(is_old(&edge.get("/").await), "{status}");
        }
        assert_eq!(endpoint.requests().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_leaves_the_old_answer_and_is_asked_again_later() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move {
            let fields = if number == 1 { OLD } else { FRESH };
            // Longer than it is.
            let length = if number == 2 { 100 } else { 8 };
            exchange
                .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{fields}\r\nanswer {number}"))
                .await;
            (number != 2).then_some(exchange)
        }
    })
    .await;
    let edge = super::edge(&endpoint, "").await;
    edge.get("/").await;
    assert_eq!(until_fresh(&edge, "answer 3").await.text(), "answer 3");
}

#[tokio::test]
async fn without_an_endpoint_the_old_answer_is_given() {
    let (endpoint, gate) = old_then(FRESH).await;
    let edge = with_old(&endpoint, &gate, "").await;
    drop(endpoint);
    for _ in 0..20 {
        assert!(is_old(&edge.get("/").await));
    }
    assert_eq!(edge.get("/other").await.status, 502);
}

#[tokio::test]
async fn what_is_not_stored_any_more_is_not_given_any_more() {
    for (status, fields) in [
        (200, "Cache-Control: no-store\r\n"),
        (200, "Cache-Control: max-age=600\r\nSet-Cookie: a=b\r\n"),
        (200, "Cache-Control: max-age=600\r\nVary: Cookie\r\n"),
        (404, "Cache-Control: private\r\n"),
        (304, "Cache-Control: no-store\r\n"),
    ] {
        let (endpoint, gate) = held(move |_, number| match number {
            1 => (200, format!("{OLD}ETag: \"a\"\r\n")),
            2 => (status, fields.to_owned()),
            _ => (200, FRESH.to_owned()),
        })
        .await;
        let edge = super::edge(&endpoint, "").await;
        gate.add_permits(3);
        edge.get("/").await;
        let cookie = "GET / HTTP/1.1\r\nHost: example.com\r\nCookie: a=b\r\n\r\n";
        assert!(is_old(&edge.send(cookie).await));
        eventually("it is gone", async || {
            let answer = edge.get("/").await;
            assert!(is_old(&answer) || answer.text() == "answer 3", "{status} {fields} {}", answer.head);
            !is_old(&answer)
        })
        .await;
        assert_eq!(endpoint.requests().len(), 3, "{status} {fields}");
    }
}

#[tokio::test]
async fn what_has_become_too_long_is_not_given_any_more() {
    const LONG: usize = 300 << 10;
    for is_told in [true, false] {
        let (long, count) = ("a".repeat(LONG), std::sync::atomic::AtomicUsize::new(0));
        let endpoint = Endpoint::with(move |_| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            match (number, is_told) {
                (1, _) => format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n{OLD}\r\nanswer 1"),
                (_, true) => format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n{FRESH}\r\n{long}"),
                (_, false) => {
                    let chunk = format!("{LONG:x}\r\n{long}\r\n0\r\n\r\n");
                    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{FRESH}\r\n{chunk}")
                }
            }
        })
        .await;
        let edge = super::edge(&endpoint, "").await;
        edge.get("/").await;
        assert!(is_old(&edge.get("/").await));
        eventually("the old one is gone", async || edge.get("/").await.body.len() == LONG).await;
        assert!(did(&edge.get("/").await).contains("fwd="), "{is_told}");
    }
}

#[tokio::test]
async fn what_is_purged_meanwhile_stays_so() {
    for is_same in [true, false] {
        let (endpoint, gate) = held(move |request, number| match number {
            1 => (200, format!("{OLD}ETag: \"a\"\r\n")),
            _ if is_same && request.header("if-none-match").is_some() => (304, FRESH.to_owned()),
            _ => (200, FRESH.to_owned()),
        })
        .await;
        let purge = "purge: { clients: [127.0.0.1], token: 0123456789-purge-token }";
        let edge = edge_with(&endpoint, &format!("{{ cache: {{ in: main, {purge} }} }}")).await;
        gate.add_permits(1);
        edge.get("/").await;
        assert!(is_old(&edge.get("/").await));
        eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
        let token = "Authorization: Bearer 0123456789-purge-token";
        let purged = edge.send(&format!("PURGE / HTTP/1.1\r\nHost: example.com\r\n{token}\r\n\r\n")).await;
        assert_eq!(purged.text(), "{\"removed\":1,\"complete\":true}\n");
        let mut client = edge.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
        // The refresh, and the request that came after the purge.
        gate.add_permits(2);
        let answer = client.response().await;
        assert_eq!((answer.text(), did(&answer).contains("fwd=uri-miss")), ("answer 3", true), "{is_same}");
        assert_eq!(edge.get("/").await.text(), "answer 3");
    }
}
