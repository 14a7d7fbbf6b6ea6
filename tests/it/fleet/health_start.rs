use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::{Edge, Endpoint};

use super::{OK, dead, fleet};

/// Longer than any test here may take, so that who waits for a probe to time out fails.
const SLOW: &str = "health: { http: {}, interval: 30s, timeout: 30s },";

/// Answers its probes after so long, and requests at once.
async fn probed_after(delay: Duration) -> Endpoint {
    Endpoint::scripted(move |mut exchange| async move {
        if exchange.request.is_probe() {
            sleep(delay).await;
        }
        exchange.send(OK).await;
        Some(exchange)
    })
    .await
}

#[tokio::test]
async fn a_request_before_the_first_probe_waits_for_it() {
    let endpoint = probed_after(Duration::from_millis(300)).await;
    let edge = Edge::start(&fleet(SLOW, &[&endpoint.address()])).await;
    let begun = Instant::now();
    assert_eq!(edge.get("/").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_that_hangs_in_its_first_probe_gets_nothing_and_holds_nobody_up() {
    let hanging = probed_after(Duration::from_secs(3600)).await;
    let good = probed_after(Duration::from_millis(200)).await;
    let edge = Edge::start(&fleet(SLOW, &[&hanging.address(), &good.address()])).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((hanging.requests().len(), good.requests().len()), (0, 20));
}

#[tokio::test]
async fn a_dead_one_gets_nothing_and_holds_nobody_up() {
    let good = probed_after(Duration::ZERO).await;
    let edge = Edge::start(&fleet(SLOW, &[&dead().await, &good.address()])).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_wait_ends_with_the_first_probe_when_all_fail() {
    let edge = Edge::start(&fleet(SLOW, &[&dead().await, &dead().await])).await;
    let begun = Instant::now();
    let response = edge.get("/").await;
    assert_eq!(response.status, 503);
    assert!(response.text().contains("no endpoint is fit"), "{}", response.text());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_wait_is_no_longer_than_a_probe_may_take() {
    let hanging = probed_after(Duration::from_secs(3600)).await;
    let health = "health: { http: {}, interval: 300ms, timeout: 300ms },";
    let edge = Edge::start(&fleet(health, &[&hanging.address()])).await;
    assert_eq!(edge.get("/").await.status, 503);
    assert!(hanging.requests().is_empty());
}
