use evener::app::App;

use crate::support::{Edge, Spy, eventually};

use super::{Ended, Keys, Server, connect, end_of, fate_of_one, greeted, in_front_of, reset, site};

#[tokio::test]
async fn a_connection_waits_for_a_place_and_gets_it() {
    let server = Server::named(b's').await;
    let pool = "max_requests: 2, queue: { timeout: 20s },";
    let edge = in_front_of(Keys { pool, tcp: "connect: 20s,", ..Keys::default() }, &[&server]).await;
    let first = greeted(edge.connect().await).await.unwrap();
    let second = greeted(edge.connect().await).await.unwrap();
    let waiting = [edge.connect().await, edge.connect().await];
    // The line of the one that leaves comes after its place was handed on.
    drop(first);
    let [third, fourth] = waiting;
    let (third, fourth) = (tokio::spawn(greeted(third)), tokio::spawn(greeted(fourth)));
    eventually("one of them is served", async || server.accepted() == 3).await;
    assert_eq!(server.open(), 2);
    drop(second);
    eventually("so is the other", async || server.accepted() == 4).await;
    assert!(third.await.unwrap().is_some() && fourth.await.unwrap().is_some());
}

#[tokio::test]
async fn whoever_waits_too_long_is_reset() {
    let server = Server::named(b's').await;
    let pool = "max_requests: 1, queue: { timeout: 100ms },";
    let edge = in_front_of(Keys::of_pool(pool), &[&server]).await;
    let _first = greeted(edge.connect().await).await.unwrap();
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"queue_timeout".into(), &"edge".into()));
    assert_eq!((&line["attempts"], server.accepted()), (&0.into(), 1));
}

#[tokio::test]
async fn whoever_finds_the_queue_full_is_reset() {
    let server = Server::named(b's').await;
    let pool = "max_requests: 1, queue: { size: 1, timeout: 20s },";
    let edge = in_front_of(Keys { pool, tcp: "connect: 20s,", ..Keys::default() }, &[&server]).await;
    let first = greeted(edge.connect().await).await.unwrap();
    let waiting = edge.connect().await;
    let mut refused = [connect(&edge).await, connect(&edge).await];
    let line = edge.log_of(2).await.remove(0);
    assert_eq!(line["ended"], "queue_full");
    for client in refused.iter_mut().filter_map(Option::take) {
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
    }
    drop(first);
    assert!(greeted(waiting).await.is_some());
}

#[tokio::test]
async fn connect_limits_the_wait_as_well() {
    let server = Server::named(b's').await;
    let pool = "max_requests: 1, queue: { timeout: 60s },";
    let edge = in_front_of(Keys { pool, tcp: "connect: 200ms,", ..Keys::default() }, &[&server]).await;
    let _first = greeted(edge.connect().await).await.unwrap();
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["attempts"], &line["closed_by"]), (&0.into(), &"edge".into()));
}

/// A place in the queue is not kept for a client that has left.
#[tokio::test]
async fn a_client_that_leaves_the_queue_waits_no_more() {
    let server = Server::named(b's').await;
    let pool = "max_requests: 1, queue: { size: 1, timeout: 60s },";
    let edge = in_front_of(Keys { pool, tcp: "connect: 60s,", ..Keys::default() }, &[&server]).await;
    let first = greeted(edge.connect().await).await.unwrap();
    let waiting = edge.connect().await;
    // Connections are accepted in their order, so that this one finds the queue full.
    assert_eq!(fate_of_one(&edge).await, (Vec::new(), Ended::Reset));
    assert_eq!(edge.log_of(1).await[0]["ended"], "queue_full");
    reset(waiting);
    let gone = async || edge.log().iter().any(|line| line["ended"] == "client_gone");
    eventually("the queue has room again", gone).await;
    let next = edge.connect().await;
    drop(first);
    assert!(greeted(next).await.is_some());
    assert_eq!(server.accepted(), 2, "an endpoint was connected to for nobody");
}

#[tokio::test]
async fn open_connections_are_what_policies_see() {
    let (server, spy) = (Server::named(b's').await, Spy::default());
    let config = site(Keys::of_pool("balance: spy,"), &[&server.address()]);
    let edge = Edge::start_with(spy.register(App::builder()), &config).await;
    let mut clients = Vec::new();
    for count in 1..=3 {
        clients.push(greeted(edge.connect().await).await.unwrap());
        assert_eq!(spy.in_flight(), count);
    }
    drop(clients.pop());
    spy.has_in_flight(2).await;
    drop(clients);
    spy.has_in_flight(0).await;
}
