use std::sync::Arc;

use evener::app::App;
use parking_lot::Mutex;

use crate::support::{Edge, Endpoint, Request, Spy, eventually};

use super::{OK, dead, fleet, send_many};

/// Intervals are as long as probes may take, and short only as far as a busy machine keeps to them.
pub(super) const PACE: &str = "interval: 400ms, timeout: 400ms";
pub(super) const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Answers probes by `probe`, and other requests with 200.
pub(super) async fn probed(probe: impl Fn(&Request) -> &'static str + Send + Sync + 'static) -> Endpoint {
    Endpoint::with(move |request| if request.is_probe() { probe(request) } else { OK }.to_owned()).await
}

pub(super) async fn spied(pool: &str, endpoints: &[&dyn std::fmt::Display]) -> (Spy, Edge) {
    let spy = Spy::default();
    let config = fleet(&format!("balance: spy, {pool}"), endpoints);
    let edge = Edge::start_with(spy.register(App::builder()), &config).await;
    (spy, edge)
}

#[tokio::test]
async fn results_in_a_row_decide() {
    let results = [true, false, false, true, false, false, false, true, true, true];
    // Who is fit when a probe comes is what the probes before it have decided.
    let fit = Arc::new(Mutex::new(Vec::new()));
    let (always, spy) = (Endpoint::answering("ok").await, Spy::default());
    let endpoint = {
        let (fit, spy) = (fit.clone(), spy.clone());
        probed(move |_| {
            let mut fit = fit.lock();
            fit.push(spy.fit().len());
            if *results.get(fit.len() - 1).unwrap_or(&true) { OK } else { DOWN }
        })
        .await
    };
    let pool = format!("balance: spy, health: {{ http: {{}}, {PACE}, fall: 3, rise: 2 }},");
    let config = fleet(&pool, &[&always.address(), &endpoint.address()]);
    let _edge = Edge::start_with(spy.register(App::builder()), &config).await;
    eventually("ten probes came", async || fit.lock().len() >= 10).await;
    assert_eq!(fit.lock()[1..10], [2, 2, 2, 2, 2, 2, 1, 1, 2]);
}

#[tokio::test]
async fn what_is_expected_is_what_counts() {
    let redirecting = probed(|_| "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").await;
    let locked = probed(|_| "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    let empty = probed(|_| "HTTP/1.1 204 No Content\r\n\r\n").await;
    let (spy, _edge) = spied(
        &format!("health: {{ http: {{ expect: [200-299, 401] }}, {PACE} }},"),
        &[&redirecting.address(), &locked.address(), &empty.address()],
    )
    .await;
    eventually("two are fit", async || spy.fit().len() == 2).await;
    eventually("all were probed twice", async || redirecting.probes().len() > 1).await;
    assert!(!spy.fit().contains(&redirecting.address().to_string()));
}

#[tokio::test]
async fn probes_ask_for_the_path_and_host_that_are_configured() {
    let endpoint = Endpoint::answering("ok").await;
    let address = endpoint.address();
    let http = "http: { path: '/up?deep=1', host: check.example.com }";
    let _edge = Edge::start(&fleet(&format!("health: {{ {http}, {PACE} }},"), &[&address])).await;
    eventually("a probe came", async || !endpoint.probes().is_empty()).await;
    let probe = &endpoint.probes()[0];
    assert_eq!(probe.line(), "GET /up?deep=1 HTTP/1.1");
    assert_eq!(probe.headers("host"), ["check.example.com"]);

    let _edge = Edge::start(&fleet(&format!("health: {{ http: {{}}, {PACE} }},"), &[&address])).await;
    let plain = async || endpoint.probes().into_iter().find(|probe| probe.path() == "/");
    eventually("the other edge's probe came", async || plain().await.is_some()).await;
    assert_eq!(plain().await.unwrap().headers("host"), [address.to_string()]);
}

#[tokio::test]
async fn another_port_can_be_probed() {
    let (endpoint, checker) = (Endpoint::answering("ok").await, probed(|_| DOWN).await);
    let port = checker.address().port();
    let pool = format!("panic: 0%, health: {{ http: {{}}, {PACE}, port: {port} }},");
    let config = fleet(&pool, &[&endpoint.address()]);
    let edge = Edge::start(&config).await;
    assert_eq!(edge.get("/").await.status, 503);
    assert!(!checker.probes().is_empty());
    assert!(endpoint.probes().is_empty() && endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp() {
    let (endpoint, other) = (probed(|_| DOWN).await, Endpoint::answering("ok").await);
    let (spy, edge) = spied(
        &format!("health: {{ tcp: {{}}, {PACE}, fall: 1, rise: 1 }},"),
        &[&endpoint.address(), &other.address()],
    )
    .await;
    eventually("both are fit", async || spy.fit().len() == 2).await;
    let address = endpoint.address();
    drop(endpoint);
    eventually("the dead one is unfit", async || spy.fit() == [other.address().to_string()]).await;
    send_many(&edge, 5).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let _back = Endpoint::on(listener, |exchange| async { Some(exchange) });
    eventually("it is fit again", async || spy.fit().len() == 2).await;
}

#[tokio::test]
async fn when_the_last_one_goes_requests_get_503_until_one_is_back() {
    let up = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let endpoint = {
        let up = up.clone();
        probed(move |_| if up.load(std::sync::atomic::Ordering::Relaxed) { OK } else { DOWN }).await
    };
    let health = format!("panic: 0%, health: {{ http: {{}}, {PACE}, fall: 1, rise: 1 }},");
    let edge = Edge::start(&fleet(&health, &[&endpoint.address(), &dead().await])).await;
    assert_eq!(edge.get("/").await.status, 200);
    up.store(false, std::sync::atomic::Ordering::Relaxed);
    eventually("nobody is fit", async || edge.get("/").await.status == 503).await;
    let response = edge.get("/").await;
    assert_eq!(
        response.header("proxy-status"),
        Some("evener; error=destination_unavailable; details=\"no_endpoint_fit\"")
    );
    eventually("the cause is logged", async || {
        edge.log().iter().any(|line| line["cause"] == "no_endpoint_fit")
    })
    .await;
    up.store(true, std::sync::atomic::Ordering::Relaxed);
    eventually("it is back", async || edge.get("/").await.status == 200).await;
}
