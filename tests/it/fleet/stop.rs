use std::time::Duration;

use evener::app::App;
use evener::types::BindAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Client, Edge, Endpoint, PATIENCE, eventually};

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
    timeout(Duration::from_secs(10), stop).await.expect("the stop ends").unwrap();
}

#[tokio::test]
async fn a_connection_that_said_nothing_does_not_hold_a_stop_up() {
    let (endpoint, _gate) = Endpoint::held().await;
    let edge = Edge::start(&fleet("", &[&endpoint.address()])).await;
    let mut silent = edge.connect().await;
    eventually("the edge is up", async || Client::connect(edge.address()).await.try_send(GET).await.is_ok())
        .await;
    timeout(Duration::from_secs(5), edge.stop()).await.expect("the stop ends");
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

/// Whoever has connected before the end begins was not turned away, so nobody may be then.
#[tokio::test]
async fn who_waits_to_be_accepted_when_a_stop_begins_is_served() {
    let app = App::builder().load_text(
        "test.yaml",
        "/".as_ref(),
        "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: { body: hi } }]
log: { access: { format: off } }
",
    );
    let bound = app.unwrap().bind().unwrap();
    let BindAddr::Inet(address) = bound.addresses()[0].1 else { unreachable!() };
    let mut early = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(address).await;
        client.send(GET).await;
        early.push(client);
    }
    // It says what it wants only when it is accepted.
    let mut late = Client::connect(address).await;
    let running = bound.start();
    let stop = tokio::spawn(running.stop());
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
    late.send(GET).await;
    early.push(late);
    for client in &mut early {
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(client.is_closed().await);
    }
    timeout(PATIENCE, stop).await.expect("the stop ends").unwrap();
}

/// The runtime has not seen these requests when it closes what rests: it looks once more.
#[tokio::test]
async fn a_request_that_came_in_the_moment_of_a_stop_is_served() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&fleet("", &[&endpoint.address()])).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = edge.connect().await;
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
        clients.push(client);
    }
    for client in &mut clients {
        client.send(GET).await;
    }
    let stop = tokio::spawn(edge.stop());
    for client in &mut clients {
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    }
    timeout(PATIENCE, stop).await.expect("the stop ends").unwrap();
}
