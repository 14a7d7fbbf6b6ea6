use crate::support::{Edge, Endpoint, eventually};

use super::{fleet, send_many, waiting};

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
    let ((one, one_gate), (two, two_gate)) = (Endpoint::held().await, Endpoint::held().await);
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

/// Three endpoints that are balanced like this.
async fn three(balance: &str) -> ([Endpoint; 3], Edge) {
    let endpoints = [
        Endpoint::answering("one").await,
        Endpoint::answering("two").await,
        Endpoint::answering("three").await,
    ];
    let addresses = endpoints.each_ref().map(Endpoint::address);
    let config = fleet(&format!("balance: {balance},"), &[&addresses[0], &addresses[1], &addresses[2]]);
    let edge = Edge::start(&config).await;
    (endpoints, edge)
}

/// The body of the answer to a GET of `target` with one more field.
async fn answer(edge: &Edge, target: &str, field: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{field}\r\n\r\n");
    edge.send(&request).await.text().to_owned()
}

#[tokio::test]
async fn a_client_keeps_its_endpoint() {
    for balance in ["ip_hash", "{ ip_hash: {} }", "ring", "maglev"] {
        let (endpoints, edge) = three(balance).await;
        send_many(&edge, 20).await;
        let mut counts = endpoints.each_ref().map(|endpoint| endpoint.requests().len());
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 20], "{balance}");
    }
}

#[tokio::test]
async fn clients_are_told_apart_behind_trusted_proxies() {
    let (endpoints, _) = three("p2c").await;
    let addresses = endpoints.each_ref().map(Endpoint::address);
    let config = fleet("balance: ip_hash,", &[&addresses[0], &addresses[1], &addresses[2]]);
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [127.0.0.1] }}\n{config}")).await;
    let of = async |client: &str| answer(&edge, "/", &format!("X-Forwarded-For: {client}")).await;
    for number in 0..40 {
        let prefix = format!("2001:db8:0:{number:x}:");
        assert_eq!(of(&format!("{prefix}:1")).await, of(&format!("{prefix}:2")).await);
    }
    assert!(endpoints.iter().all(|endpoint| !endpoint.requests().is_empty()));
}

/// A key is what the settings say, and two edges agree about where it belongs.
#[tokio::test]
async fn keys_decide_in_every_process_alike() {
    for balance in ["ring", "maglev"] {
        for (key, target, field) in [
            ("path", "/ID", "X-A: b"),
            ("{ query: id }", "/?x=1&id=ID", "X-A: b"),
            ("{ header: X-User }", "/", "X-User: ID"),
            ("{ cookie: sid }", "/", "Cookie: a=b; sid=ID"),
        ] {
            let (endpoints, edge) = three(&format!("{{ {balance}: {{ key: {key} }} }}")).await;
            let addresses = endpoints.each_ref().map(Endpoint::address);
            let pool = format!("balance: {{ {balance}: {{ key: {key} }} }},");
            let other = Edge::start(&fleet(&pool, &[&addresses[2], &addresses[0], &addresses[1]])).await;
            for id in 0..40 {
                let [target, field] = [target, field].map(|text| text.replace("ID", &format!("user{id}")));
                let first = answer(&edge, &target, &field).await;
                assert_eq!(answer(&other, &target, &field).await, first, "{balance} {key} {id}");
            }
            assert!(endpoints.iter().all(|endpoint| !endpoint.requests().is_empty()), "{balance} {key}");
        }
    }
}

#[tokio::test]
async fn requests_without_a_key_go_to_all() {
    let (endpoints, edge) = three("{ ring: { key: { header: X-User } } }").await;
    send_many(&edge, 30).await;
    assert!(endpoints.iter().all(|endpoint| !endpoint.requests().is_empty()));
}

/// How many of six requests of one client are with each of two endpoints while none is answered.
async fn six_at_once(balance: &str) -> [usize; 2] {
    let ((one, one_gate), (two, two_gate)) = (Endpoint::held().await, Endpoint::held().await);
    let edge = Edge::start(&fleet(&format!("balance: {balance},"), &[&one.address(), &two.address()])).await;
    let mut clients = Vec::new();
    for sent in 1..=6 {
        clients.push(waiting(&edge).await);
        let arrived = async || one.requests().len() + two.requests().len() == sent;
        eventually("the request is with an endpoint", arrived).await;
    }
    let mut counts = [one.requests().len(), two.requests().len()];
    counts.sort_unstable();
    [one_gate, two_gate].iter().for_each(|gate| gate.add_permits(6));
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
    counts
}

#[tokio::test]
async fn one_client_cannot_fill_an_endpoint_above_the_bound() {
    assert_eq!(six_at_once("{ ip_hash: { bounded: 100% } }").await, [3, 3]);
    assert_eq!(six_at_once("{ maglev: { bounded: 150% } }").await, [1, 5]);
    assert_eq!(six_at_once("{ ring: { bounded: off } }").await, [0, 6]);
}

#[tokio::test]
async fn keys_of_a_dead_endpoint_move_and_the_others_stay() {
    let (endpoints, edge) = three("{ ring: { key: path } }").await;
    let mut before = Vec::new();
    for id in 0..60 {
        before.push(answer(&edge, &format!("/{id}"), "X-A: b").await);
    }
    let [_, two, three] = endpoints.each_ref().map(Endpoint::address);
    let without_one = Edge::start(&fleet("balance: { ring: { key: path } },", &[&two, &three])).await;
    for (id, before) in before.iter().enumerate() {
        let after = answer(&without_one, &format!("/{id}"), "X-A: b").await;
        assert!(after == *before || before == "one", "{id}: {before}, then {after}");
        assert_ne!(after, "one");
    }
}
