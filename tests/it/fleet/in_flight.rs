use evener::app::App;

use crate::support::{Edge, Endpoint, Spy};

use super::{GET, fleet, waiting};

async fn spied(pool: &str, endpoint: &Endpoint) -> (Spy, Edge) {
    let spy = Spy::default();
    let config = fleet(&format!("balance: spy, {pool}"), &[&endpoint.address()]);
    let edge = Edge::start_with(spy.register(App::builder()), &config).await;
    (spy, edge)
}

#[tokio::test]
async fn a_request_counts_until_its_answer_is_through() {
    let (endpoint, gate) = Endpoint::held().await;
    let (spy, edge) = spied("", &endpoint).await;
    let (mut one, mut two) = (waiting(&edge).await, waiting(&edge).await);
    spy.has_in_flight(2).await;
    gate.add_permits(2);
    assert_eq!((one.response().await.status, two.response().await.status), (200, 200));
    spy.has_in_flight(0).await;
}

#[tokio::test]
async fn a_client_that_leaves_counts_no_more() {
    let (endpoint, _gate) = Endpoint::held().await;
    let (spy, edge) = spied("", &endpoint).await;
    let client = waiting(&edge).await;
    spy.has_in_flight(1).await;
    drop(client);
    spy.has_in_flight(0).await;
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["status"], &line["cause"]), (&499.into(), &"client_gone".into()));
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_counts_no_more() {
    let (endpoint, _gate) = Endpoint::held().await;
    let (spy, edge) = spied("", &endpoint).await;
    let mut client = edge.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    spy.has_in_flight(1).await;
    drop(client);
    spy.has_in_flight(0).await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_counts_no_more() {
    let endpoint = Endpoint::scripted(|_| async { None }).await;
    let (spy, edge) = spied("", &endpoint).await;
    assert_eq!(edge.send(GET).await.status, 502);
    spy.has_in_flight(0).await;
}

#[tokio::test]
async fn an_endpoint_that_is_too_slow_counts_no_more() {
    let (endpoint, _gate) = Endpoint::held().await;
    let (spy, edge) = spied("timeouts: { first_byte: 100ms },", &endpoint).await;
    assert_eq!(edge.send(GET).await.status, 504);
    spy.has_in_flight(0).await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_counts_no_more() {
    let (spy, address) = (Spy::default(), super::dead().await);
    let config = fleet("balance: spy,", &[&address]);
    let edge = Edge::start_with(spy.register(App::builder()), &config).await;
    assert_eq!(edge.send(GET).await.status, 502);
    spy.has_in_flight(0).await;
}
