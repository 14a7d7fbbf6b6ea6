use crate::support::{Edge, Endpoint, eventually};

use super::{fleet, held, send_many, waiting};

async fn two() -> (Endpoint, Endpoint) {
    (Endpoint::answering("one").await, Endpoint::answering("two").await)
}

fn weighted(balance: &str, one: &Endpoint, weight: u32, two: &Endpoint) -> String {
    let (one, two) = (one.address(), two.address());
    fleet(&format!("balance: {balance},"), &[&"ONE", &two])
        .replace("'ONE'", &format!("{{ address: {one}, weight: {weight} }}"))
}

#[tokio::test]
async fn turns_follow_the_weights_exactly() {
    let (one, two) = two().await;
    let edge = Edge::start(&weighted("round_robin", &one, 3, &two)).await;
    send_many(&edge, 40).await;
    assert_eq!((one.requests().len(), two.requests().len()), (30, 10));
}

#[tokio::test]
async fn chance_follows_the_weights_about() {
    let (one, two) = two().await;
    let edge = Edge::start(&weighted("random", &one, 9, &two)).await;
    send_many(&edge, 400).await;
    // The mean is 40, and six standard deviations are 36.
    let rare = two.requests().len();
    assert!((4..=76).contains(&rare), "{rare}");
}

async fn expect_a_busy_endpoint_is_avoided(balance: &str) {
    let ((one, one_gate), (two, two_gate)) = (held().await, held().await);
    let edge = Edge::start(&fleet(&format!("balance: {balance},"), &[&one.address(), &two.address()])).await;
    let mut slow = waiting(&edge).await;
    eventually("the request is with an endpoint", async || one.requests().len() + two.requests().len() == 1)
        .await;
    let (busy, busy_gate, idle, idle_gate) = match one.requests().len() {
        1 => (&one, one_gate, &two, two_gate),
        _ => (&two, two_gate, &one, one_gate),
    };
    idle_gate.add_permits(20);
    send_many(&edge, 20).await;
    assert_eq!((busy.requests().len(), idle.requests().len()), (1, 20), "{balance}");
    busy_gate.add_permits(1);
    assert_eq!(slow.response().await.status, 200);
}

#[tokio::test]
async fn a_busy_endpoint_is_avoided() {
    expect_a_busy_endpoint_is_avoided("p2c").await;
    expect_a_busy_endpoint_is_avoided("least_requests").await;
}

#[tokio::test]
async fn idle_endpoints_are_used_evenly() {
    for balance in ["p2c", "least_requests"] {
        let (one, two) = two().await;
        let edge = Edge::start(&weighted(balance, &one, 1, &two)).await;
        send_many(&edge, 200).await;
        // The mean is 100, and six standard deviations are 42.
        let ones = one.requests().len();
        assert!((58..=142).contains(&ones), "{balance}: {ones}");
    }
}
