use std::time::Duration;

use evener::app::App;

use crate::support::{Edge, Endpoint, Spy, dead};

use super::{GET, OK, fleet, fleet_of};

const PUT: &str = "PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody";
const POST: &str = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// An edge that tries its endpoints in their order, with these settings of retries.
async fn in_order(retry: &str, endpoints: &[&Endpoint]) -> Edge {
    let pool = format!("balance: spy, outlier: off, retry: {{ {retry} }},");
    Edge::start_with(Spy::default().register(App::builder()), &fleet_of(&pool, endpoints)).await
}

async fn busy() -> Endpoint {
    Endpoint::with(|_| BUSY.to_owned()).await
}

/// Closes each connection instead of an answer.
async fn closing() -> Endpoint {
    Endpoint::scripted(|_| async { None }).await
}

#[tokio::test]
async fn a_status_can_lead_to_another_endpoint() {
    let (busy, good) = (busy().await, Endpoint::answering("good").await);
    let edge = in_order("on: [503]", &[&busy, &good]).await;
    for request in [GET, PUT] {
        let response = edge.send(request).await;
        assert_eq!((response.status, response.text()), (200, "good"), "{request}");
    }
    assert_eq!(good.last().body, b"body");
    let line = &edge.log_of(2).await[1];
    assert_eq!((&line["attempts"], &line["status"]), (&2.into(), &200.into()));
    assert!(line.get("cause").is_none(), "{line}");
}

#[tokio::test]
async fn a_status_that_is_not_named_goes_to_the_client() {
    let (busy, good) = (busy().await, Endpoint::answering("good").await);
    for retry in ["", "on: [502, 504]", "on: ['5xx'], attempts: 0"] {
        let edge = in_order(retry, &[&busy, &good]).await;
        let response = edge.send(GET).await;
        assert_eq!((response.status, response.text()), (503, "busy"), "{retry}");
    }
    assert_eq!(good.requests().len(), 0);
}

#[tokio::test]
async fn the_last_answer_is_the_clients_when_all_are_busy() {
    let endpoints = [busy().await, busy().await, busy().await];
    let edge = in_order("on: 5xx, attempts: 2", &endpoints.each_ref()).await;
    let response = edge.send(GET).await;
    assert_eq!((response.status, response.text()), (503, "busy"));
    assert!(endpoints.iter().all(|endpoint| endpoint.requests().len() == 1), "each was asked once");
    assert_eq!(edge.log_of(1).await[0]["attempts"], 3);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_repeated() {
    let good = Endpoint::answering("good").await;
    for (failing, status) in [(busy().await, 503), (closing().await, 502)] {
        let edge = in_order("on: ['5xx', reset, timeout]", &[&failing, &good]).await;
        assert_eq!(edge.send(POST).await.status, status);
    }
    assert_eq!(good.requests().len(), 0);
}

#[tokio::test]
async fn a_broken_connection_can_lead_to_another_endpoint() {
    let (closing, good) = (closing().await, Endpoint::answering("good").await);
    let edge = in_order("on: reset", &[&closing, &good]).await;
    assert_eq!(edge.send(GET).await.text(), "good");
    let edge = in_order("on: connect", &[&closing, &good]).await;
    assert_eq!(edge.send(GET).await.status, 502);
}

#[tokio::test]
async fn one_that_is_silent_has_its_time_and_no_more() {
    let (silent, good) = (Endpoint::silent().await, Endpoint::answering("good").await);
    let edge = in_order("on: timeout, per_try: 50ms", &[&silent, &good]).await;
    for request in [GET, PUT] {
        assert_eq!(edge.send(request).await.text(), "good", "{request}");
    }
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

#[tokio::test]
async fn the_last_attempt_has_all_the_time_that_is_left() {
    let slow = Endpoint::scripted(|mut exchange| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        exchange.send(OK).await;
        Some(exchange)
    })
    .await;
    let silent = Endpoint::silent().await;
    let edge = in_order("on: timeout, per_try: 50ms", &[&silent, &slow]).await;
    assert_eq!(edge.send(GET).await.status, 200);
}

#[tokio::test]
async fn where_all_are_silent_the_client_gets_504() {
    let (one, other) = (Endpoint::silent().await, Endpoint::silent().await);
    let config = fleet(
        "balance: spy, retry: { on: timeout, per_try: 30ms }, timeouts: { first_byte: 60ms },",
        &[&one.address(), &other.address()],
    );
    let edge = Edge::start_with(Spy::default().register(App::builder()), &config).await;
    let response = edge.send(GET).await;
    assert_eq!(response.status, 504);
    assert!(response.header("proxy-status").unwrap().contains("response_timeout"));
    assert_eq!((one.requests().len(), other.requests().len()), (1, 1));
}

#[tokio::test]
async fn the_total_ends_all_attempts() {
    let silent = [Endpoint::silent().await, Endpoint::silent().await, Endpoint::silent().await];
    let [a, b, c] = silent.each_ref().map(Endpoint::address);
    let retry = "retry: { on: timeout, per_try: 40ms, attempts: 10 }, timeouts: { total: 100ms },";
    let edge = Edge::start(&fleet(retry, &[&a, &b, &c])).await;
    let response = edge.send(GET).await;
    assert_eq!(response.status, 504);
    assert!(response.header("proxy-status").unwrap().contains("total_timeout"), "{}", response.head);
}

#[tokio::test]
async fn a_body_is_repeated_up_to_64_kib() {
    let (busy, good) = (busy().await, Endpoint::answering("good").await);
    let edge = in_order("on: [503]", &[&busy, &good]).await;
    let put = |length: usize| {
        format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    };
    assert_eq!(edge.send(&put(64 * 1024)).await.status, 200);
    assert_eq!(good.last().body.len(), 64 * 1024);
    let large = edge.send(&put(64 * 1024 + 1)).await;
    assert_eq!((large.status, good.requests().len()), (503, 1));
}

#[tokio::test]
async fn no_endpoint_is_asked_twice_while_another_is_fit() {
    let endpoints = [closing().await, closing().await, closing().await, Endpoint::answering("good").await];
    let edge = in_order("on: reset, attempts: 3", &endpoints.each_ref()).await;
    for _ in 0..10 {
        assert_eq!(edge.send(GET).await.text(), "good");
    }
    assert!(edge.log_of(10).await.iter().all(|line| line["attempts"].as_u64() <= Some(4)));
    assert!(endpoints[..3].iter().all(|endpoint| endpoint.requests().len() <= 10));
}

#[tokio::test]
async fn retries_stop_at_the_budget() {
    let (busy, good) = (busy().await, Endpoint::answering("good").await);
    let edge = in_order("on: [503], budget: 0%, budget_min: 0", &[&busy, &good]).await;
    assert_eq!(edge.send(GET).await.status, 503);
    let dead = dead().await;
    let pool = "balance: spy, retry: { budget: 0%, budget_min: 0 },";
    let config = fleet(pool, &[&dead, &good.address()]);
    let edge = Edge::start_with(Spy::default().register(App::builder()), &config).await;
    assert_eq!(edge.send(GET).await.status, 200, "a connection that was never made is not counted");
}
