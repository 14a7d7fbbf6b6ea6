//! Whether clients are to be sent here.

use tokio::net::TcpListener;

use crate::support::{Edge, Endpoint, dead, eventually};

use super::{config, pool, read, with_admin};

const PROBED: &str = "health: { tcp: {}, interval: 100ms, timeout: 50ms, fall: 1, rise: 1 },";

async fn readiness(edge: &Edge) -> (u16, String) {
    let told = read(edge, "/readyz").await;
    assert_eq!(told.header("content-type"), Some("text/plain; charset=utf-8"));
    (told.status, told.text().to_owned())
}

async fn becomes(edge: &Edge, status: u16, text: &str) {
    eventually(text, async || readiness(edge).await == (status, text.to_owned())).await;
}

#[tokio::test]
async fn a_process_is_ready_while_its_pools_serve() {
    let address = dead().await;
    let other = Endpoint::answering("ok").await;
    let pools = format!(
        "{}, {}, {}",
        pool("app", PROBED, &[address]),
        pool("other", "", &[other.address()]),
        pool("mirrored", PROBED, &[address])
    );
    let routes = "{ match: { path: /a }, pool: app }, { pool: other, filters: [mirror: { pool: mirrored }] }";
    let edge = Edge::start(&config(&pools, routes)).await;
    // Nobody waits for the pool that only copies go to.
    becomes(&edge, 503, "pool app: no endpoint is fit\n").await;
    assert_eq!(read(&edge, "/healthz").await.text(), "ok\n");
    let pools = pools.replacen(&address.to_string(), &other.address().to_string(), 1);
    edge.reload(&config(&pools, routes)).await;
    becomes(&edge, 200, "ready\n").await;
}

#[tokio::test]
async fn probes_make_it_ready_and_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let edge = Edge::start(&config(&pool("app", PROBED, &[address]), "{ pool: app }")).await;
    becomes(&edge, 200, "ready\n").await;
    drop(listener);
    becomes(&edge, 503, "pool app: no endpoint is fit\n").await;
    let _again = TcpListener::bind(address).await.unwrap();
    becomes(&edge, 200, "ready\n").await;
}

#[tokio::test]
async fn which_pools_and_how_many_endpoints_can_be_chosen() {
    let (gone, alive) = (dead().await, Endpoint::answering("ok").await);
    let pools =
        format!("{}, {}", pool("app", PROBED, &[gone, alive.address()]), pool("other", PROBED, &[gone]));
    let routes = "{ match: { path: /a }, pool: app }, { pool: other }";
    let text = |ready: &str| with_admin(&format!("bind: 127.0.0.1:0, ready: {{ {ready} }}"), &pools, routes);
    let edge = Edge::start(&text("pools: [app]")).await;
    becomes(&edge, 200, "ready\n").await;
    edge.reload(&text("pools: [app], min_fit: 2")).await;
    becomes(&edge, 503, "pool app: 1 of 2 endpoints are fit, 2 are wanted\n").await;
    edge.reload(&text("pools: [app, other]")).await;
    becomes(&edge, 503, "pool other: no endpoint is fit\n").await;
}

#[tokio::test]
async fn a_side_that_gets_nothing_is_waited_for_only_by_name() {
    let (gone, alive) = (dead().await, Endpoint::answering("ok").await);
    let pools = format!("{}, {}", pool("app", "", &[alive.address()]), pool("next", PROBED, &[gone]));
    let text = |admin: &str, weight: u16, canary: &str| {
        let to = format!("[{{ pool: app, weight: 9 }}, {{ pool: next, weight: {weight} }}]");
        let admin = format!("bind: 127.0.0.1:0{admin}");
        with_admin(&admin, &pools, &format!("{{ split: {{ to: {to}{canary} }} }}"))
    };
    let edge = Edge::start(&text("", 1, "")).await;
    let dead = "pool next: no endpoint is fit\n";
    becomes(&edge, 503, dead).await;
    edge.reload(&text("", 0, "")).await;
    becomes(&edge, 200, "ready\n").await;
    edge.reload(&text(", ready: { pools: [next] }", 0, "")).await;
    becomes(&edge, 503, dead).await;
    // What a canary fails at it is taken back for, which needs clients.
    edge.reload(&text("", 1, ", canary: { step: 5%, every: 1h }")).await;
    becomes(&edge, 200, "ready\n").await;
}
