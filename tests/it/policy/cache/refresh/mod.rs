//! Old answers are given at once, and refreshed by requests of the edge's own meanwhile.

mod bounds;
mod failures;
mod sent;
mod variants;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::{did, edge};
use crate::support::{Edge, Endpoint, Request, Response, eventually};

/// Fresh for a second and older than that when it comes, and may be given for ten minutes more.
const OLD: &str = "Cache-Control: max-age=1, stale-while-revalidate=600\r\nAge: 10\r\n";
const FRESH: &str = "Cache-Control: max-age=600\r\n";

/// Status and fields of an answer.
type Answer = (u16, String);

/// An endpoint that numbers its answers and gives one for each permit.
async fn held(
    answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
) -> (Endpoint, Arc<Semaphore>) {
    let (answer, gate) = (Arc::new(answer), Arc::new(Semaphore::new(0)));
    let (count, script_gate) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let (answer, gate, count) = (answer.clone(), script_gate.clone(), count.clone());
        async move {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            gate.acquire().await.unwrap().forget();
            let (status, fields) = answer(&exchange.request, number);
            let body = if status == 304 { String::new() } else { format!("answer {number}") };
            let length =
                if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            exchange.send(format!("HTTP/1.1 {status} -\r\n{length}{fields}\r\n{body}")).await;
            Some(exchange)
        }
    })
    .await;
    (endpoint, gate)
}

/// The same that gives an old answer first, and `later` after that.
async fn old_then(later: &'static str) -> (Endpoint, Arc<Semaphore>) {
    held(move |_, number| (200, if number == 1 { OLD } else { later }.to_owned())).await
}

/// An edge that has an old answer.
async fn with_old(endpoint: &Endpoint, gate: &Semaphore, settings: &str) -> Edge {
    let edge = edge(endpoint, settings).await;
    gate.add_permits(1);
    assert_eq!(edge.get("/").await.text(), "answer 1");
    edge
}

fn is_old(answer: &Response) -> bool {
    answer.text() == "answer 1" && did(answer).starts_with("evener; hit; ttl=-")
}

async fn until_fresh(edge: &Edge, text: &str) -> Response {
    let mut last = None;
    eventually("there is a fresh answer", async || {
        let answer = edge.get("/").await;
        assert!(is_old(&answer) || answer.text() == text, "{}", answer.head);
        let is_fresh = !did(&answer).contains("ttl=-") && did(&answer).starts_with("evener; hit");
        last = Some(answer);
        is_fresh
    })
    .await;
    last.unwrap()
}

#[tokio::test]
async fn fifty_clients_have_the_old_answer_at_once_and_one_request_refreshes_it() {
    let (endpoint, gate) = old_then(FRESH).await;
    let edge = with_old(&endpoint, &gate, "").await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = edge.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
        clients.push(client);
    }
    for client in &mut clients {
        let answer = client.response().await;
        assert!(is_old(&answer), "{}", answer.head);
        assert!(answer.header("age").is_some());
    }
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    assert!(is_old(&edge.get("/").await));
    gate.add_permits(1);
    assert_eq!(until_fresh(&edge, "answer 2").await.text(), "answer 2");
    assert_eq!(endpoint.requests().len(), 2);
    let log = edge.log_of(52).await;
    assert!(log[1..52].iter().all(|line| line["cache"] == "stale" && line["status"] == 200), "{log:?}");
}

#[tokio::test]
async fn what_is_the_same_yet_is_fresh_again_with_what_the_endpoint_says_anew() {
    let (endpoint, gate) = held(|request, number| match request.header("if-none-match") {
        None => (
            200,
            format!("{OLD}ETag: \"a\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Number: 1\r\n"),
        ),
        Some(tag) => {
            assert_eq!(tag, "\"a\"");
            (304, format!("{FRESH}ETag: \"a\"\r\nX-Number: {number}\r\nSet-Cookie: a=b\r\n"))
        }
    })
    .await;
    let edge = with_old(&endpoint, &gate, "").await;
    gate.add_permits(1);
    let fresh = until_fresh(&edge, "answer 1").await;
    assert_eq!(fresh.text(), "answer 1");
    assert_eq!((fresh.headers("x-number"), fresh.header("set-cookie")), (vec!["2"], None));
    assert_eq!(endpoint.last().header("if-modified-since"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn parts_conditions_and_heads_are_given_of_the_old_answer_too() {
    let (endpoint, gate) =
        held(|_, number| (200, format!("{}ETag: \"{number}\"\r\n", if number == 1 { OLD } else { FRESH })))
            .await;
    let edge = with_old(&endpoint, &gate, "").await;
    for (method, fields, status, text) in [
        ("GET", "Range: bytes=0-2\r\n", 206, "ans"),
        ("GET", "If-None-Match: \"1\"\r\n", 304, ""),
        ("GET", "If-None-Match: \"2\"\r\n", 200, "answer 1"),
    ] {
        let answer = edge.send(&format!("{method} / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await;
        assert_eq!((answer.status, answer.text()), (status, text), "{fields}");
        assert!(did(&answer).starts_with("evener; hit; ttl=-"), "{}", did(&answer));
    }
    let mut client = edge.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    let head = client.response_to_head().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("8")));
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    let refresh = endpoint.last();
    assert!(refresh.line().starts_with("GET / ") && refresh.header("range").is_none());
    assert_eq!(refresh.headers("if-none-match"), ["\"1\""]);
    gate.add_permits(1);
    until_fresh(&edge, "answer 2").await;
}

#[tokio::test]
async fn a_request_for_the_head_has_the_whole_answer_refreshed() {
    let (endpoint, gate) = old_then(FRESH).await;
    let edge = with_old(&endpoint, &gate, "").await;
    let mut client = edge.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert_eq!(client.response_to_head().await.status, 200);
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    assert!(endpoint.last().line().starts_with("GET "));
    gate.add_permits(1);
    assert_eq!(until_fresh(&edge, "answer 2").await.text(), "answer 2");
}

#[tokio::test]
async fn settings_say_for_how_long_where_the_answer_does_not() {
    let (endpoint, gate) = held(|_, number| {
        (200, if number == 1 { "Cache-Control: max-age=1\r\nAge: 10\r\n" } else { FRESH }.to_owned())
    })
    .await;
    let edge = with_old(&endpoint, &gate, "stale: { while_revalidate: 1h }").await;
    assert!(is_old(&edge.get("/").await));
    gate.add_permits(1);
    until_fresh(&edge, "answer 2").await;
}
