//! Changes that meet others, that are refused, and that nobody waits for.

use std::sync::Arc;

use evener::app::App;
use evener::hooks::{BuildCx, BuildError, Filter};
use futures::FutureExt;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::support::{Edge, Endpoint, eventually};

use super::{GET, site};

fn responding(status: u16) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ name: app, respond: {{ status: {status} }} }}]
"
    )
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&site("pool: app", "", &[endpoint.address()])).await;
    let refused = edge.try_reload(&site("pool: other", "", &[endpoint.address()])).await.unwrap_err();
    assert!(refused.contains("routes[0].pool: no pool named `other`"), "{refused}");
    assert_eq!(edge.get("/").await.status, 200);
    // Nor does it stay for what is read again.
    assert_eq!(edge.reread().await, "no difference\n");
    let told = edge.reload(&site("respond: { status: 204 }", "", &[endpoint.address()])).await;
    assert!(told.starts_with("~ routes.app: ") && told.lines().count() == 1, "{told}");
    assert_eq!(edge.get("/").await.status, 204);
    assert_eq!(edge.reread().await, "no difference\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_that_meet_are_made_one_after_the_other() {
    let edge = Arc::new(Edge::start(&responding(200)).await);
    for _ in 0..20 {
        let mut changing = JoinSet::new();
        for status in 201..211 {
            let edge = edge.clone();
            changing.spawn(async move { edge.try_reload(&responding(status)).await });
        }
        while let Some(told) = changing.join_next().await {
            told.unwrap().unwrap();
        }
        // The one that came last is also what is read again.
        let last = edge.get("/").await.status;
        assert_eq!(edge.reread().await, "no difference\n");
        assert_eq!(edge.get("/").await.status, last);
    }
}

#[tokio::test]
async fn a_change_is_made_when_nobody_waits_for_it() {
    let edge = Edge::start(&responding(200)).await;
    {
        let (first, second) = (responding(201), responding(202));
        let (first, second) = (edge.try_reload(&first), edge.try_reload(&second));
        tokio::pin!(first, second);
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
    }
    eventually("the second has come", async || edge.get("/").await.status == 202).await;
    assert_eq!(edge.reread().await, "no difference\n");
}

#[tokio::test]
async fn trust_in_proxies_changes_on_connections_that_stay() {
    let endpoint = Endpoint::answering("ok").await;
    let config = |trusted: &str| {
        format!(
            "server: {{ trusted_proxies: [{trusted}] }}\n{}",
            site("pool: app", "", &[endpoint.address()])
        )
    };
    let edge = Edge::start(&config("")).await;
    let mut client = edge.connect().await;
    for (trusted, expected) in
        [("", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.1, 127.0.0.1"), ("10.0.0.0/8", "127.0.0.1")]
    {
        edge.reload(&config(trusted)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        assert_eq!(endpoint.last().header("x-forwarded-for"), Some(expected), "{trusted}");
    }
}

#[tokio::test]
async fn limits_on_connections_change_while_clients_are_connected() {
    let limited = |most: u32| format!("server: {{ connections: {most} }}\n{}", responding(200));
    let edge = Edge::start(&limited(2)).await;
    let mut first = edge.connect().await;
    first.send(GET).await;
    assert_eq!(first.response().await.status, 200);
    let is_served = async || {
        let mut client = edge.connect().await;
        // It may be closed by then.
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        !client.rest().await.is_empty()
    };
    assert!(is_served().await);
    edge.reload(&limited(1)).await;
    eventually("others are refused", async || !is_served().await).await;
    first.send(GET).await;
    assert_eq!(first.response().await.status, 200);
    edge.reload(&limited(2)).await;
    eventually("others are served", is_served).await;
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fuse {
    blows: bool,
}

struct Nothing;

impl Filter for Nothing {}

fn build_fuse(fuse: Fuse, _: &BuildCx<'_>) -> Result<Nothing, BuildError> {
    assert!(!fuse.blows, "the fuse blows");
    Ok(Nothing)
}

#[tokio::test]
async fn a_hook_that_panics_while_it_is_built_is_a_refusal() {
    let config = |blows: bool, status: u16| {
        let route = format!("filters: [{{ fuse: {{ blows: {blows} }} }}], respond: {{ status: {status} }}");
        format!("listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\nroutes: [{{ {route} }}]\n")
    };
    let edge = Edge::start_with(App::builder().filter("fuse", build_fuse), &config(false, 201)).await;
    let refused = edge.try_reload(&config(true, 202)).await.unwrap_err();
    assert!(refused.contains("panicked"), "{refused}");
    assert_eq!(edge.send(GET).await.status, 201);
    edge.reload(&config(false, 203)).await;
    assert_eq!(edge.send(GET).await.status, 203);
}
