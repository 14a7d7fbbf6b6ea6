//! Which pool of a split serves whom.

use std::collections::BTreeMap;
use std::fmt::Display;

use async_trait::async_trait;
use evener::app::App;
use evener::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, PoolRef, RequestView};
use serde::Deserialize;

use crate::support::{Edge, Endpoint, Response};

async fn two() -> (Endpoint, Endpoint) {
    (Endpoint::answering("old").await, Endpoint::answering("new").await)
}

/// A configuration whose one route splits between `old` and `new`, with these filters.
fn config((old, new): &(Endpoint, Endpoint), filters: &str, split: impl Display) -> String {
    format!(
        "server: {{ caches: {{ main: {{ memory: 8MiB, max_object: 256KiB }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ old: {{ endpoints: ['{}'] }}, new: {{ endpoints: ['{}'] }} }}
routes: [{{ name: shop, filters: [{filters}], split: {{ {split} }} }}]
log: {{ access: {{ to: LOG }} }}
",
        old.address(),
        new.address()
    )
}

const EVEN: &str = "to: [{ pool: old }, { pool: new }]";
const BY_USER: &str = "by: { header: X-User }";

async fn with(edge: &Edge, fields: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await
}

/// Which pool serves each of some users.
async fn users(edge: &Edge) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for user in 0..60 {
        let first = with(edge, &format!("X-User: {user}\r\n")).await.text().to_owned();
        let second = with(edge, &format!("X-User: {user}\r\n")).await.text().to_owned();
        assert_eq!(first, second, "{user}");
        found.insert(user, first);
    }
    found
}

#[tokio::test]
async fn users_stay_with_their_pool_and_only_move_to_one_that_grows() {
    let pools = two().await;
    let edge = Edge::start(&config(&pools, "", format!("{EVEN}, {BY_USER}"))).await;
    let before = users(&edge).await;
    let count = |users: &BTreeMap<u32, String>| users.values().filter(|pool| *pool == "new").count();
    assert!((15..=45).contains(&count(&before)), "{before:?}");
    edge.reload(&config(&pools, "{ timeout: { total: 9s } }", format!("{EVEN}, {BY_USER}"))).await;
    assert_eq!(users(&edge).await, before);
    let grown = "to: [{ pool: old }, { pool: new, weight: 4 }]";
    edge.reload(&config(&pools, "", format!("{grown}, {BY_USER}"))).await;
    let after = users(&edge).await;
    assert!(count(&after) > count(&before));
    let is_kept = |user: &u32| before[user] == "old" || after[user] == "new";
    assert!(before.keys().all(is_kept), "{before:?} {after:?}");
    // It means the same in another process, and wherever the pools stand in the file.
    let turned = "to: [{ pool: new, weight: 4 }, { pool: old }]";
    let other = Edge::start(&config(&pools, "", format!("{turned}, {BY_USER}"))).await;
    assert_eq!(users(&other).await, after);
}

#[tokio::test]
async fn who_has_no_key_goes_by_chance() {
    let pools = two().await;
    for by in ["", BY_USER] {
        let edge = Edge::start(&config(&pools, "", format!("{EVEN}, {by}"))).await;
        let mut found = BTreeMap::<_, u32>::new();
        for _ in 0..100 {
            *found.entry(with(&edge, "").await.text().to_owned()).or_default() += 1;
        }
        assert!(found.len() == 2 && found.values().all(|count| *count >= 20), "{found:?}");
    }
}

#[tokio::test]
async fn a_cookie_of_the_edge_keeps_a_client_with_its_pool() {
    let pools = two().await;
    let edge = Edge::start(&config(&pools, "", format!("{EVEN}, cookie: {{ name: side, ttl: 1h }}"))).await;
    for _ in 0..10 {
        let first = with(&edge, "").await;
        let set = first.header("set-cookie").unwrap();
        assert!(set.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"), "{set}");
        let cookie = set.split(';').next().unwrap();
        for _ in 0..5 {
            let again = with(&edge, &format!("Cookie: a=b; {cookie}\r\n")).await;
            assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
        }
    }
    // What was not given by an edge is replaced.
    assert!(with(&edge, "Cookie: side=1\r\n").await.header("set-cookie").is_some());
}

#[tokio::test]
async fn the_choice_comes_after_the_filters_and_answers_know_it() {
    let pools = two().await;
    let filters =
        "{ api_key: { from: [{ header: X-Key }], keys: { a: [aaaaaaaaaaaaaaaa], b: [bbbbbbbbbbbbbbbb],
        c: [cccccccccccccccc], d: [dddddddddddddddd], e: [eeeeeeeeeeeeeeee], f: [ffffffffffffffff] } } },
        { request_headers: { set: { X-Chosen: 'pool {pool}' } } },
        { response_headers: { set: { X-Pool: '{pool}' } } }";
    let split = format!("{EVEN}, by: {{ var: api_key.name }}");
    let edge = Edge::start(&config(&pools, filters, split)).await;
    let mut found = BTreeMap::<_, u32>::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        let field = format!("X-Key: {}\r\n", key.repeat(16));
        let first = with(&edge, &field).await;
        *found.entry(first.text().to_owned()).or_default() += 1;
        for _ in 0..5 {
            let again = with(&edge, &field).await;
            assert_eq!((again.text(), again.header("x-pool")), (first.text(), Some(first.text())));
        }
    }
    assert_eq!(found.len(), 2, "{found:?}");
    let seen = [&pools.0, &pools.1].map(|endpoint| endpoint.last().header("x-chosen").unwrap().to_owned());
    assert_eq!(seen, ["pool", "pool"]);
    let pools_of_log = edge.log_of(36).await;
    assert!(
        pools_of_log.iter().all(|line| line["pool"] == "old" || line["pool"] == "new"),
        "{pools_of_log:?}"
    );
}

#[tokio::test]
async fn stored_answers_are_those_of_one_pool() {
    let answer = |body: &'static str| {
        Endpoint::with(move |_| {
            format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        })
    };
    let pools = (answer("old").await, answer("new").await);
    let edge = Edge::start(&config(&pools, "{ cache: { in: main } }", format!("{EVEN}, {BY_USER}"))).await;
    let served = users(&edge).await;
    assert_eq!(served.values().collect::<std::collections::BTreeSet<_>>().len(), 2);
    // Each was fetched once, for all users of its pool.
    assert_eq!((pools.0.requests().len(), pools.1.requests().len()), (1, 1));
}

/// Sends requests to a pool of its own.
struct Send(PoolRef);

#[derive(Deserialize)]
struct SendSettings {
    to: String,
}

#[async_trait]
impl Filter for Send {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        assert_eq!(cx.pool(), None, "nothing is chosen yet");
        if request.path() == "/sent" {
            cx.set_pool(self.0);
        }
        Ok(Flow::Continue)
    }
}

#[tokio::test]
async fn a_filter_that_sends_a_request_somewhere_is_not_overruled() {
    let pools = two().await;
    let program = App::builder().filter("send", |settings: SendSettings, cx: &BuildCx<'_>| {
        Ok::<_, BuildError>(Send(cx.pool(&settings.to)?))
    });
    let split = "to: [{ pool: old }, { pool: new, weight: 0 }], cookie: { name: side }";
    let edge = Edge::start_with(program, &config(&pools, "{ send: { to: new } }", split)).await;
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.text(), "old");
        let sent = edge.get("/sent").await;
        assert_eq!((sent.text(), sent.header("set-cookie")), ("new", None));
    }
}

#[tokio::test]
async fn requests_with_bodies_and_upgrades_are_split_too() {
    let pools = two().await;
    let edge = Edge::start(&config(&pools, "", format!("{EVEN}, {BY_USER}"))).await;
    for user in 0..10 {
        let get = with(&edge, &format!("X-User: {user}\r\n")).await;
        let post =
            format!("POST / HTTP/1.1\r\nHost: example.com\r\nX-User: {user}\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(edge.send(&post).await.text(), get.text());
        let upgrade = format!("X-User: {user}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n");
        assert_eq!(with(&edge, &upgrade).await.text(), get.text());
    }
}

#[tokio::test]
async fn a_pool_without_an_endpoint_does_not_hand_its_requests_on() {
    let old = Endpoint::answering("old").await;
    let gone = crate::support::dead().await;
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ old: {{ endpoints: ['{}'] }}, new: {{ endpoints: ['{gone}'] }} }}
routes: [{{ split: {{ to: [{{ pool: old, weight: 0 }}, {{ pool: new }}] }} }}]
",
        old.address()
    );
    let edge = Edge::start(&text).await;
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.status, 502);
    }
    assert!(old.requests().is_empty());
}
