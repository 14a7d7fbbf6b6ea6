use std::sync::atomic::{AtomicUsize, Ordering};

use evener::app::App;

use crate::support::{Client, Edge, Endpoint, Spy};

use super::{GET, OK, attempts_of, dead, fleet};

const POST: &str = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody";

/// An edge that tries its endpoints in their order.
async fn in_order(endpoints: &[&dyn std::fmt::Display]) -> Edge {
    Edge::start_with(Spy::default().register(App::builder()), &fleet("balance: spy,", endpoints)).await
}

#[tokio::test]
async fn a_request_that_reached_nobody_goes_to_another_endpoint() {
    let (dead, good) = (dead().await, Endpoint::answering("good").await);
    let edge = in_order(&[&dead, &good.address()]).await;
    for request in [GET, POST] {
        let response = edge.send(request).await;
        assert_eq!((response.status, response.text()), (200, "good"), "{request}");
    }
    assert_eq!(good.last().body, b"body");
    let log = edge.log_of(2).await;
    for line in log {
        assert_eq!((&line["attempts"], &line["status"]), (&2.into(), &200.into()), "{line}");
        assert_eq!(line["endpoint"], good.address().to_string());
        assert!(line.get("cause").is_none(), "{line}");
    }
}

#[tokio::test]
async fn two_attempts_are_all_that_a_request_gets() {
    let edge = in_order(&[&dead().await, &dead().await, &dead().await]).await;
    let response = edge.send(GET).await;
    assert_eq!(response.status, 502);
    assert_eq!(
        response.header("proxy-status"),
        Some("evener; error=connection_refused; details=\"connect_failed\"")
    );
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["attempts"], &line["cause"]), (&2.into(), &"connect_failed".into()));
}

#[tokio::test]
async fn where_there_is_no_other_the_same_endpoint_is_tried_again() {
    let edge = in_order(&[&dead().await]).await;
    assert_eq!(edge.send(GET).await.status, 502);
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

/// An endpoint that answers, except that it closes the connection on these requests, counted from 0.
async fn closing_on(closed: &'static [usize]) -> Endpoint {
    let count = AtomicUsize::new(0);
    Endpoint::scripted(move |mut exchange| {
        let is_closed = closed.contains(&count.fetch_add(1, Ordering::Relaxed));
        async move {
            if is_closed {
                return None;
            }
            exchange.send(OK).await;
            Some(exchange)
        }
    })
    .await
}

/// A client whose first request has been answered, so that a connection to the endpoint is kept.
async fn warm(edge: &Edge) -> Client {
    let mut client = edge.connect().await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    // The connection is kept once the request has ended.
    edge.log_of(1).await;
    client
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_fault_of_the_request() {
    let endpoint = closing_on(&[1]).await;
    let edge = in_order(&[&endpoint.address()]).await;
    let mut client = warm(&edge).await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(endpoint.requests().len(), 3);
    let line = &edge.log_of(2).await[1];
    assert_eq!((&line["attempts"], &line["status"]), (&2.into(), &200.into()));
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_twice() {
    let endpoint = closing_on(&[1]).await;
    let edge = in_order(&[&endpoint.address()]).await;
    let mut client = warm(&edge).await;
    client.send(POST).await;
    let response = client.response().await;
    assert_eq!(response.status, 502);
    assert!(response.header("proxy-status").unwrap().contains("upstream_closed"));
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_not_tried_again() {
    let endpoint = closing_on(&[0, 1, 2, 3]).await;
    let edge = in_order(&[&endpoint.address()]).await;
    assert_eq!(edge.send(GET).await.status, 502);
    assert_eq!(endpoint.requests().len(), 1);
    assert_eq!(edge.log_of(1).await[0]["attempts"], 1);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_begun_again() {
    let count = AtomicUsize::new(0);
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let is_cut = count.fetch_add(1, Ordering::Relaxed) == 1;
        async move {
            exchange.send(if is_cut { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" } else { OK }).await;
            (!is_cut).then_some(exchange)
        }
    })
    .await;
    let edge = in_order(&[&endpoint.address()]).await;
    let mut client = warm(&edge).await;
    client.send(GET).await;
    let received = client.rest().await;
    assert!(received.ends_with(b"\r\n\r\nhalf"), "{}", received.escape_ascii());
    assert_eq!(endpoint.requests().len(), 2);
    assert_eq!(edge.log_of(2).await[1]["cause"], "upstream_closed");
}

#[tokio::test]
async fn a_retry_takes_no_turn_from_the_next_request() {
    let (dead, good) = (dead().await, Endpoint::answering("good").await);
    let edge = Edge::start(&fleet("balance: round_robin,", &[&dead, &good.address()])).await;
    for _ in 0..8 {
        assert_eq!(edge.send(GET).await.text(), "good");
    }
    assert_eq!(attempts_of(&edge, 8).await, 12, "every other request begins at the dead one");
}

#[tokio::test]
async fn a_body_that_is_sent_again_is_not_counted_twice() {
    let endpoint = closing_on(&[2]).await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0, limits: {{ body: {{ size: 64KiB }} }} }} }}\n\
         pools: {{ app: {{ endpoints: [{}] }} }}\nroutes: [{{ pool: app }}]",
        endpoint.address()
    );
    let edge = Edge::start(&config).await;
    let body = "x".repeat(40_000);
    let put = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{body}");
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send(&put).await;
        assert_eq!(client.response().await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_fails_is_logged_with_its_endpoint() {
    let gone = dead().await;
    let edge = in_order(&[&gone]).await;
    assert_eq!(edge.send(GET).await.status, 502);
    assert_eq!(edge.log_of(1).await[0]["endpoint"], gone.to_string());
}
