//! What endpoints notice of another configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::{Edge, Endpoint, Exchange, eventually};

use super::{GET, marked, site};

/// Answers with the port that the edge speaks from, by which its connections are known.
async fn telling_ports() -> Endpoint {
    Endpoint::scripted(|mut exchange: Exchange| async move {
        let port = exchange.stream.peer_addr().unwrap().port().to_string();
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{port}", port.len())).await;
        Some(exchange)
    })
    .await
}

#[tokio::test]
async fn connections_to_endpoints_are_used_again() {
    let endpoint = telling_ports().await;
    let edge = Edge::start(&site(&marked("old"), "", &[endpoint.address()])).await;
    let first = edge.get("/").await.text().to_owned();
    for (route, pool) in
        [("new", ""), ("new", "timeouts: { first_byte: 7s },"), ("newer", "balance: random,")]
    {
        edge.reload(&site(&marked(route), pool, &[endpoint.address()])).await;
        let response = edge.get("/").await;
        assert_eq!((response.text(), response.header("x-mark")), (&*first, Some(route)), "{pool}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_taken_away_finishes_what_it_has() {
    let (first, gate) = Endpoint::held().await;
    let second = Endpoint::answering("second").await;
    let both: [SocketAddr; 2] = [first.address(), second.address()];
    let edge = Edge::start(&site("pool: app", "balance: first,", &both)).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || first.requests().len() == 1).await;
    let told = edge.reload(&site("pool: app", "balance: first,", &both[1..])).await;
    assert_eq!(told, format!("~ pools.app: endpoints: - {}\n", both[0]));
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.text(), "second");
    }
    gate.add_permits(1);
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(first.requests().len(), 1);
}

#[tokio::test]
async fn what_an_endpoint_has_in_flight_counts_under_the_new_configuration() {
    let (first, gate) = Endpoint::held().await;
    let second = Endpoint::answering("second").await;
    let pool = "balance: first, max_requests: 1,";
    let edge = Edge::start(&site("pool: app", pool, &[first.address()])).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || first.requests().len() == 1).await;
    edge.reload(&site("pool: app", pool, &[first.address(), second.address()])).await;
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.text(), "second");
    }
    gate.add_permits(2);
    assert_eq!(client.response().await.text(), "ok");
    eventually("the first has room again", async || edge.get("/").await.text() == "ok").await;
}

#[tokio::test]
async fn an_endpoint_that_comes_and_goes_and_comes_is_served() {
    let (first, second) = (Endpoint::answering("first").await, Endpoint::answering("second").await);
    let (first, second) = (first.address(), second.address());
    let edge = Edge::start(&site("pool: app", "balance: first,", &[first])).await;
    for (endpoints, expected) in
        [(&[second][..], "second"), (&[first, second], "first"), (&[second], "second"), (&[first], "first")]
    {
        edge.reload(&site("pool: app", "balance: first,", endpoints)).await;
        assert_eq!(edge.get("/").await.text(), expected, "{endpoints:?}");
    }
}

/// Answers with its name, and to probes only once it may.
async fn slow_to_tell(name: &'static str) -> (Endpoint, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let script = move |mut exchange: Exchange| {
        let held = held.clone();
        async move {
            if exchange.request.is_probe() {
                held.acquire().await.unwrap().forget();
            }
            exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())).await;
            Some(exchange)
        }
    };
    (Endpoint::scripted(script).await, gate)
}

#[tokio::test]
async fn what_is_new_is_probed_while_what_was_there_still_serves() {
    let (first, second) = (slow_to_tell("first").await, slow_to_tell("second").await);
    let text = |pool: &str, endpoint: &Endpoint| {
        let text = site("pool: app", "health: { http: {}, interval: 30s },", &[endpoint.address()]);
        text.replace("{ app:", &format!("{{ {pool}:")).replace("pool: app", &format!("pool: {pool}"))
    };
    first.1.add_permits(1);
    let edge = Edge::start(&text("app", &first.0)).await;
    assert_eq!(edge.get("/").await.text(), "first");
    // The same pool with another address, then another pool.
    for (pool, (endpoint, gate), (before, after)) in
        [("app", &second, ("first", "second")), ("other", &first, ("second", "first"))]
    {
        let probes = endpoint.probes().len();
        let told = async {
            eventually("it is probed", async || endpoint.probes().len() > probes).await;
            assert_eq!(edge.get("/").await.text(), before, "nobody has to wait for the first probe");
            gate.add_permits(1);
        };
        let next = text(pool, endpoint);
        tokio::join!(edge.reload(&next), told);
        assert_eq!(edge.get("/").await.text(), after);
    }
}

#[tokio::test]
async fn a_rate_limit_goes_on_for_the_same_route_and_settings() {
    let limited = |name: &str, rate: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes:
  - {{ name: other, match: {{ path: /other }}, respond: {{}} }}
  - {{ name: {name}, filters: [{{ rate_limit: {{ rate: {rate} }} }}], respond: {{}} }}
"
        )
    };
    let edge = Edge::start(&limited("api", "2/h")).await;
    let statuses = async |count: usize| {
        let mut found = Vec::new();
        for _ in 0..count {
            found.push(edge.get("/").await.status);
        }
        found
    };
    assert_eq!(statuses(1).await, [200]);
    // What is spelt otherwise, and what changes beside it, does not count.
    edge.reload(&limited("api", "2/1h").replace("path: /other", "path: /another")).await;
    assert_eq!(statuses(2).await, [200, 429]);
    // Another limit begins anew, and so does another route.
    edge.reload(&limited("api", "3/h")).await;
    assert_eq!(statuses(4).await, [200, 200, 200, 429]);
    edge.reload(&limited("web", "3/h")).await;
    assert_eq!(statuses(4).await, [200, 200, 200, 429]);
}
