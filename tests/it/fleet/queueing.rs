use crate::support::{Edge, Endpoint, eventually};

use super::{GET, fleet_of, waiting};

async fn limited(pool: &str, endpoints: &[&Endpoint]) -> Edge {
    Edge::start(&fleet_of(pool, endpoints)).await
}

#[tokio::test]
async fn no_endpoint_gets_more_than_it_may_and_the_rest_wait() {
    let ((one, one_gate), (other, other_gate)) = (Endpoint::held().await, Endpoint::held().await);
    let edge = limited("max_requests: 2, queue: { timeout: 20s },", &[&one, &other]).await;
    let mut clients = Vec::new();
    for _ in 0..7 {
        clients.push(waiting(&edge).await);
    }
    eventually("four are served", async || one.requests().len() + other.requests().len() == 4).await;
    assert_eq!((one.requests().len(), other.requests().len()), (2, 2));
    [one_gate, other_gate].iter().for_each(|gate| gate.add_permits(10));
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(one.requests().len() + other.requests().len(), 7);
}

#[tokio::test]
async fn when_the_queue_is_full_clients_are_told_to_come_again() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = limited("max_requests: 1, queue: { size: 1, timeout: 20s },", &[&endpoint]).await;
    let mut served = waiting(&edge).await;
    eventually("the first is served", async || endpoint.requests().len() == 1).await;
    let mut queued = waiting(&edge).await;
    // Which of the two others comes to stand in line is not known, but one of them is refused.
    let mut other = waiting(&edge).await;
    let refused = tokio::select! {
        response = queued.response() => response,
        response = other.response() => response,
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.header("proxy-status").unwrap().contains("queue_full"), "{}", refused.head);
    gate.add_permits(2);
    assert_eq!(served.response().await.status, 200);
    eventually("the line moves on", async || endpoint.requests().len() == 2).await;
}

#[tokio::test]
async fn whoever_waits_too_long_gets_503() {
    let (endpoint, _gate) = Endpoint::held().await;
    let edge = limited("max_requests: 1, queue: { timeout: 30ms },", &[&endpoint]).await;
    let _served = waiting(&edge).await;
    eventually("the first is served", async || endpoint.requests().len() == 1).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    let late = client.response().await;
    assert_eq!((late.status, late.header("retry-after")), (503, Some("1")));
    assert!(late.header("proxy-status").unwrap().contains("queue_timeout"), "{}", late.head);
    // The connection goes on.
    client.send(GET).await;
    assert_eq!(client.response().await.status, 503);
}

#[tokio::test]
async fn the_first_endpoint_is_filled_before_the_next() {
    let ((first, first_gate), (second, second_gate)) = (Endpoint::held().await, Endpoint::held().await);
    let edge = limited("balance: first, max_requests: 3,", &[&first, &second]).await;
    let mut clients = Vec::new();
    for count in 1..=5 {
        clients.push(waiting(&edge).await);
        eventually("it is served", async || first.requests().len() + second.requests().len() == count).await;
    }
    assert_eq!((first.requests().len(), second.requests().len()), (3, 2));
    [first_gate, second_gate].iter().for_each(|gate| gate.add_permits(5));
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
}
