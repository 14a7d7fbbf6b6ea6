use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::{Client, Edge, Endpoint, eventually};

use super::{GET, fleet, waiting};

#[tokio::test]
async fn a_stop_waits_for_the_requests_and_closes_what_rests() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&fleet("", &[&endpoint.address()])).await;
    let address = edge.address();
    let mut running = waiting(&edge).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    let mut resting = edge.connect().await;
    gate.add_permits(1);
    resting.send(GET).await;
    // One of the two was answered; the other one is the one that runs.
    let (mut resting, mut running) = tokio::select! {
        response = resting.response() => { assert_eq!(response.status, 200); (resting, running) }
        response = running.response() => { assert_eq!(response.status, 200); (running, resting) }
    };
    eventually("both requests are with the endpoint", async || endpoint.requests().len() == 2).await;

    let stop = tokio::spawn(edge.stop());
    assert!(resting.is_closed().await);
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!stop.is_finished());
    gate.add_permits(1);
    let response = running.response().await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert!(running.is_closed().await);
    tokio::time::timeout(Duration::from_secs(10), stop).await.expect("the stop ends").unwrap();
}

#[tokio::test]
async fn a_connection_that_said_nothing_does_not_hold_a_stop_up() {
    let (endpoint, _gate) = Endpoint::held().await;
    let edge = Edge::start(&fleet("", &[&endpoint.address()])).await;
    let mut silent = edge.connect().await;
    eventually("the edge is up", async || Client::connect(edge.address()).await.try_send(GET).await.is_ok())
        .await;
    tokio::time::timeout(Duration::from_secs(5), edge.stop()).await.expect("the stop ends");
    assert!(silent.is_closed().await);
}

#[tokio::test]
async fn an_edge_that_is_dropped_accepts_nobody() {
    let (endpoint, _gate) = Endpoint::held().await;
    let edge = Edge::start(&fleet("", &[&endpoint.address()])).await;
    let address = edge.address();
    drop(edge);
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
}

#[tokio::test]
async fn the_log_is_whole_when_the_stop_has_ended() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&fleet("", &[&endpoint.address()])).await;
    gate.add_permits(50);
    super::send_many(&edge, 50).await;
    let folder = edge.stop_and_keep().await;
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert_eq!(log.lines().count(), 50);
}
