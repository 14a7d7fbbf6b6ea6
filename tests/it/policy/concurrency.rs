use crate::support::{Client, Edge, Endpoint, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn config(endpoint: &Endpoint, settings: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ pool: app, filters: [{{ concurrency: {settings} }}] }}]
log: {{ access: {{ to: LOG }} }}
",
        endpoint.address()
    )
}

/// A client whose request has come to the endpoint as the `count`th.
async fn under_way(edge: &Edge, endpoint: &Endpoint, count: usize) -> Client {
    let mut client = Client::connect(edge.address()).await;
    client.send(GET).await;
    eventually("it is with the endpoint", async || endpoint.requests().len() == count).await;
    client
}

#[tokio::test]
async fn what_is_one_too_many_is_refused_until_another_has_ended() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&config(&endpoint, "{ max: 2 }")).await;
    let mut first = under_way(&edge, &endpoint, 1).await;
    let _second = under_way(&edge, &endpoint, 2).await;
    let refused = edge.get("/").await;
    assert_eq!(refused.status, 429);
    assert_eq!(edge.log_of(1).await[0]["cause"], "concurrency_limited");
    gate.add_permits(1);
    assert_eq!(first.response().await.status, 200);
    edge.log_of(2).await;
    let _third = under_way(&edge, &endpoint, 3).await;
    assert_eq!(edge.get("/").await.status, 429);
}

#[tokio::test]
async fn a_client_that_leaves_leaves_its_place() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&config(&endpoint, "{ max: 1 }")).await;
    let client = under_way(&edge, &endpoint, 1).await;
    drop(client);
    gate.add_permits(100);
    eventually("its place is free", async || edge.get("/").await.status == 200).await;
}

/// The one of these that waits in a line for one, whoever that is.
async fn one_that_waits(edge: &Edge) -> Client {
    let (mut one, mut other) = (edge.connect().await, edge.connect().await);
    one.send(GET).await;
    other.send(GET).await;
    let (refused, waiting) = tokio::select! {
        response = one.response() => (response, other),
        response = other.response() => (response, one),
    };
    assert_eq!(refused.status, 429);
    waiting
}

#[tokio::test]
async fn a_client_that_left_while_it_waited_is_not_served() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&config(&endpoint, "{ max: 1, queue: 1, queue_timeout: 20s }")).await;
    let mut first = under_way(&edge, &endpoint, 1).await;
    drop(one_that_waits(&edge).await);
    gate.add_permits(100);
    assert_eq!(first.response().await.status, 200);
    let log = edge.log_of(3).await;
    assert!(log.iter().any(|line| line["cause"] == "client_gone"), "{log:?}");
    assert_eq!(endpoint.requests().len(), 1);
    assert_eq!(edge.get("/").await.status, 200);
}

#[tokio::test]
async fn those_who_may_wait_come_in_turn() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&config(&endpoint, "{ max: 1, queue: 1, queue_timeout: 20s }")).await;
    let mut first = under_way(&edge, &endpoint, 1).await;
    let mut waiting = one_that_waits(&edge).await;
    assert_eq!(endpoint.requests().len(), 1);
    gate.add_permits(2);
    assert_eq!((first.response().await.status, waiting.response().await.status), (200, 200));
}

#[tokio::test]
async fn a_reload_goes_on_with_what_is_under_way() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&config(&endpoint, "{ max: 1 }")).await;
    let mut first = under_way(&edge, &endpoint, 1).await;
    edge.reload(&config(&endpoint, "{ max: 2, status: 503 }")).await;
    let mut second = under_way(&edge, &endpoint, 2).await;
    assert_eq!(edge.get("/").await.status, 503);
    gate.add_permits(2);
    assert_eq!((first.response().await.status, second.response().await.status), (200, 200));
}
