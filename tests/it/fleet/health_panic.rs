//! Which unfit endpoints serve when too few are fit: the threshold is the default one of 50 %.

use tokio::net::UnixListener;

use crate::support::{Edge, Endpoint, eventually};

use super::health::{DOWN, PACE, probed, spied};
use super::{dead, fleet, send_many};

const BODY: &str = "no endpoint is fit";

#[tokio::test]
async fn those_that_cannot_be_connected_to_get_nothing() {
    let edge = Edge::start(&fleet(
        &format!("health: {{ tcp: {{}}, {PACE} }},"),
        &[&dead().await, &dead().await, &"unix:DIR/missing.sock"],
    ))
    .await;
    let response = edge.get("/").await;
    assert_eq!(response.status, 503);
    assert!(response.text().contains(BODY), "{}", response.text());
}

#[tokio::test]
async fn those_that_fail_their_probes_but_can_be_connected_to_serve() {
    let (failing, other) = (probed(|_| DOWN).await, probed(|_| DOWN).await);
    let (spy, edge) = spied(
        &format!("health: {{ http: {{}}, {PACE} }},"),
        &[&failing.address(), &dead().await, &other.address()],
    )
    .await;
    eventually("both were probed twice", async || failing.probes().len() > 1 && other.probes().len() > 1)
        .await;
    send_many(&edge, 10).await;
    assert_eq!(spy.fit(), [failing.address(), other.address()].map(|address| address.to_string()));
}

#[tokio::test]
async fn one_that_hangs_can_be_connected_to() {
    let hanging = Endpoint::scripted(|mut exchange| async move {
        if exchange.request.is_probe() {
            std::future::pending::<()>().await;
        }
        exchange.send(super::OK).await;
        Some(exchange)
    })
    .await;
    let health = "health: { http: {}, interval: 300ms, timeout: 300ms },";
    let edge = Edge::start(&fleet(health, &[&hanging.address(), &dead().await])).await;
    send_many(&edge, 5).await;
}

/// The other port being closed says nothing about the one that requests go to.
#[tokio::test]
async fn a_closed_port_of_the_check_says_nothing_about_the_endpoint() {
    let endpoint = Endpoint::answering("ok").await;
    let port = dead().await.port();
    let pool = format!("health: {{ tcp: {{}}, {PACE}, port: {port} }},");
    let edge = Edge::start(&fleet(&pool, &[&endpoint.address()])).await;
    send_many(&edge, 5).await;
}

#[tokio::test]
async fn one_that_can_be_connected_to_again_serves_before_it_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    // Fit only after a hundred good probes, so that only the panic can bring it in.
    let pool = format!("health: {{ tcp: {{}}, {PACE}, rise: 100 }},");
    let (spy, edge) = spied(&pool, &[&format!("unix:{}", path.display())]).await;
    assert_eq!(edge.get("/").await.status, 503);
    let _listener = UnixListener::bind(&path).unwrap();
    eventually("it serves", async || spy.fit() == [format!("unix:{}", path.display())]).await;
}
