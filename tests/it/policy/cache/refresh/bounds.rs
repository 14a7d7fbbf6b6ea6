//! How many refreshes there are, and whom they hold up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::{FRESH, OLD, held, is_old, old_then, with_old};
use crate::policy::cache::{config, did};
use crate::support::{Edge, Endpoint, eventually};

/// An edge whose settings of the cache are other ones.
async fn edge_of(endpoint: &Endpoint, old: &str, new: &str) -> Edge {
    Edge::start(&config(&[endpoint.address().to_string()], "").replace(old, new)).await
}

#[tokio::test]
async fn no_more_are_under_way_than_may_be() {
    let (endpoint, gate) = held(|_, number| (200, if number <= 4 { OLD } else { FRESH }.to_owned())).await;
    let edge = edge_of(&endpoint, "max_object:", "refresh: { at_once: 2 }, max_object:").await;
    let paths = ["/1", "/2", "/3", "/4"];
    gate.add_permits(4);
    for path in paths {
        edge.get(path).await;
    }
    for path in paths {
        assert!(did(&edge.get(path).await).contains("hit; ttl=-"));
    }
    eventually("some are refreshed", async || endpoint.requests().len() == 6).await;
    for path in paths {
        assert!(did(&edge.get(path).await).contains("hit; ttl=-"));
    }
    assert_eq!(endpoint.requests().len(), 6);
    gate.add_permits(4);
    eventually("all are refreshed", async || {
        let mut fresh = 0;
        for path in paths {
            fresh += usize::from(!did(&edge.get(path).await).contains("ttl=-"));
        }
        fresh == 4
    })
    .await;
    assert_eq!(endpoint.requests().len(), 8);
}

#[tokio::test]
async fn requests_refresh_by_themselves_what_the_edge_cannot() {
    let token = "Authorization: Bearer a\r\n";
    for (settings, cache, fields, vary) in [
        ("", "refresh: { at_once: 0 },", "", ""),
        ("store_authorized: true", "", token, ""),
        ("", "", "Cookie: a=b\r\n", "Vary: Cookie\r\n"),
        ("", "", "Cache-Control: no-store\r\n", ""),
        ("client_directives: honour", "", "Cache-Control: no-cache\r\n", ""),
    ] {
        let (endpoint, gate) =
            held(move |_, number| (200, format!("{}{vary}", if number == 1 { OLD } else { FRESH }))).await;
        let text = config(&[endpoint.address().to_string()], settings);
        let edge = Edge::start(&text.replace("max_object:", &format!("{cache} max_object:"))).await;
        gate.add_permits(2);
        let stored = if vary.is_empty() { "" } else { fields };
        super::super::ask(&edge, stored).await;
        let answer = super::super::ask(&edge, fields).await;
        assert_eq!(answer.text(), "answer 2", "{settings}{fields}");
        assert!(did(&answer).contains("fwd="), "{}", did(&answer));
        let own = endpoint.last();
        assert_eq!(own.header("authorization").is_some(), fields == token);
        assert_eq!(own.header("cookie").is_some(), !vary.is_empty());
    }
}

#[tokio::test]
async fn an_end_breaks_refreshes_off() {
    let (count, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let told = gone.clone();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let (is_first, gone) = (count.fetch_add(1, Ordering::SeqCst) == 0, told.clone());
        async move {
            if is_first {
                exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n{OLD}\r\nanswer 1")).await;
                return Some(exchange);
            }
            let mut rest = [0; 1];
            assert_eq!(exchange.stream.read(&mut rest).await.unwrap_or(0), 0);
            gone.notify_one();
            None
        }
    })
    .await;
    let edge = super::edge(&endpoint, "").await;
    edge.get("/").await;
    assert!(is_old(&edge.get("/").await));
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    tokio::time::timeout(crate::support::PATIENCE, edge.stop()).await.expect("nobody waits for it");
    tokio::time::timeout(crate::support::PATIENCE, gone.notified()).await.expect("it is broken off");
}

#[tokio::test]
async fn a_reload_leaves_them_to_their_end() {
    let (endpoint, gate) = old_then(FRESH).await;
    let edge = with_old(&endpoint, &gate, "").await;
    assert!(is_old(&edge.get("/").await));
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    edge.reload(&config(&[endpoint.address().to_string()], "heuristic: 5%")).await;
    for _ in 0..5 {
        assert!(is_old(&edge.get("/").await));
    }
    gate.add_permits(1);
    assert_eq!(super::until_fresh(&edge, "answer 2").await.text(), "answer 2");
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn one_that_waits_for_an_endpoint_holds_no_place_of_its_clients() {
    let (endpoint, gate) = held(|_, number| (200, if number == 1 { OLD } else { FRESH }.to_owned())).await;
    let edge = Edge::start(&format!(
        "server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: [{{ address: '{}', max_requests: 1 }}], queue: {{ timeout: 1m }} }} }}
routes:
  - {{ match: {{ path: /other }}, pool: app }}
  - {{ filters: [concurrency: {{ max: 1 }}, cache: {{ in: main }}], pool: app }}
",
        endpoint.address()
    ))
    .await;
    gate.add_permits(1);
    assert_eq!(edge.get("/").await.text(), "answer 1");
    let mut other = edge.connect().await;
    other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the endpoint is taken", async || endpoint.requests().len() == 2).await;
    for _ in 0..5 {
        assert!(is_old(&edge.get("/").await));
    }
    gate.add_permits(2);
    assert_eq!(other.response().await.text(), "answer 2");
    eventually("it is refreshed", async || edge.get("/").await.text() == "answer 3").await;
}
