//! A pool whose share grows by itself.

use futures::future::join_all;

use crate::support::{Client, Edge, Endpoint, eventually};

/// A configuration whose one route has `new` as a canary beside `old`.
fn config(old: &Endpoint, new: &str, canary: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools:
  old: {{ endpoints: ['{}'] }}
  new: {{ endpoints: ['{new}'], outlier: off, retry: {{ attempts: 0 }} }}
routes: [{{ name: shop, split: {{ to: [{{ pool: old }}, {{ pool: new }}], canary: {{ {canary} }} }} }}]
",
        old.address()
    )
}

/// Whether all of so many requests were answered so that it is hardly by chance.
async fn all(edge: &Edge, body: &str) -> bool {
    let mut are_all = true;
    for _ in 0..100 {
        are_all &= edge.get("/").await.text() == body;
    }
    are_all
}

/// Latencies of a test say nothing.
const QUICK: &str = "step: 40%, every: 1s, min_requests: 10, max_p99_increase: 1000%";

#[tokio::test]
async fn one_that_does_well_gets_everything_step_by_step() {
    let (old, new) = (Endpoint::answering("old").await, Endpoint::answering("new").await);
    let edge = Edge::start(&config(&old, &new.address().to_string(), QUICK)).await;
    eventually("it serves all", async || all(&edge, "new").await).await;
    let (before, of_new) = (old.requests().len(), new.requests().len());
    assert!(before >= 10, "{before} and {of_new}");
    // It stays so over reloads, with other settings too, which may only take something from it.
    let config = |canary: &str| config(&old, &new.address().to_string(), canary);
    edge.reload(&config(QUICK).replace("old: {", "old: { balance: random,")).await;
    assert!(all(&edge, "new").await);
    assert_eq!(old.requests().len(), before);
    edge.reload(&config("step: 5%, every: 1h")).await;
    assert!(all(&edge, "new").await);
    edge.reload(&config("step: 5%, every: 1h, max: 50%")).await;
    eventually("the others serve again", async || edge.get("/").await.text() == "old").await;
}

#[tokio::test]
async fn one_that_fails_is_taken_back() {
    let old = Endpoint::answering("old").await;
    let new = Endpoint::with(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let config = config(&old, &new.address().to_string(), "step: 40%, every: 1h, min_requests: 10");
    let edge = Edge::start(&config).await;
    eventually("it serves nothing", async || all(&edge, "old").await).await;
    let failed = new.requests().len();
    assert!(failed >= 10, "{failed}");
    for (from, to) in [
        ("old: {", "old: { balance: random,"),
        ("every: 1h", "every: 1s, on_abort: 50%"),
        ("{ pool: old }", "{ pool: old, weight: 7 }"),
        ("{ pool: new }", "{ pool: new, weight: 7 }"),
    ] {
        edge.reload(&config.replace(from, to)).await;
        assert!(all(&edge, "old").await, "{to}");
    }
    assert_eq!(new.requests().len(), failed);
}

#[tokio::test]
async fn one_that_cannot_be_reached_is_taken_back() {
    let old = Endpoint::answering("old").await;
    let gone = crate::support::dead().await.to_string();
    let edge = Edge::start(&config(&old, &gone, "step: 40%, every: 1h, min_requests: 10")).await;
    eventually("it serves nothing", async || all(&edge, "old").await).await;
}

#[tokio::test]
async fn one_that_is_slow_is_taken_back() {
    let (old, (new, gate)) = (Endpoint::answering("old").await, Endpoint::held().await);
    let canary = "step: 40%, every: 1h, min_requests: 10, max_p99_increase: 50%";
    let edge = Edge::start(&config(&old, &new.address().to_string(), canary)).await;
    eventually("it serves nothing", async || {
        let before = new.requests().len();
        let mut waiting = Vec::new();
        for _ in 0..60 {
            let counts = || (old.requests().len(), new.requests().len());
            let (of_old, of_new) = counts();
            let mut client = edge.connect().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            eventually("it has come", async || counts() != (of_old, of_new)).await;
            waiting.push(client);
        }
        // Those of `new` have taken as long as all that came to `old` meanwhile.
        gate.add_permits(new.requests().len() - before);
        join_all(waiting.iter_mut().map(Client::response)).await;
        new.requests().len() == before
    })
    .await;
}

/// `conf/canary.yaml` with endpoints of this test.
#[tokio::test]
async fn the_example_does_what_it_says() {
    let names = ["stable", "stable", "next", "next", "beta", "beta"].map(Endpoint::answering);
    let mut text = include_str!("../../../conf/canary.yaml").replace("127.0.0.1:8080", "127.0.0.1:0");
    let mut endpoints = Vec::new();
    for (endpoint, port) in names.into_iter().zip(9001..) {
        let endpoint = endpoint.await;
        text = text.replace(&format!("127.0.0.1:{port}"), &endpoint.address().to_string());
        endpoints.push(endpoint);
    }
    let edge = Edge::start(&text).await;
    let first = edge.get("/").await;
    assert!(first.header("set-cookie").unwrap().starts_with("version="), "{}", first.head);
    let mut seen = std::collections::BTreeSet::new();
    for user in 0..100 {
        let ask = format!("GET /preview/ HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n");
        let answer = edge.send(&ask).await;
        assert_eq!(edge.send(&ask).await.text(), answer.text());
        seen.insert(answer.text().to_owned());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["beta", "stable"]);
}
