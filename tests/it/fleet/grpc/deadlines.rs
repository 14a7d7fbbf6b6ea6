use std::time::Duration;

use crate::support::{Edge, eventually};

use super::{Caller, Service, grpc_fleet};

async fn site(pool: &str) -> (Service, Edge) {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_fleet(pool, &[&service])).await;
    (service, edge)
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_on_both_sides() {
    for method in ["Hang", "Rest"] {
        let (service, edge) = site("").await;
        let caller = Caller::connect(&edge).await;
        let mut other = caller.begin("Echo", &[]).await;
        other.head().await;
        let ended = caller.call(method, &[("grpc-timeout", "150m")], b"hello").await;
        assert_eq!(ended.status(), 4, "{method}");
        assert_eq!(ended.is_trailers_only, method == "Hang");
        service.is_cancelled().await;
        other.send(b"unharmed").await;
        assert_eq!(other.message().await.unwrap(), b"unharmed");
        assert_eq!(service.endpoint.connections(), 1);
        let line = edge.log_of(1).await.remove(0);
        let told = (&line["status"], &line["cause"], &line["grpc_status"]);
        assert_eq!(told, (&200.into(), &"total_timeout".into(), &4.into()));
    }
}

#[tokio::test]
async fn the_total_of_the_pool_is_the_longest_deadline() {
    let (service, edge) = site("timeouts: { total: 150ms },").await;
    let caller = Caller::connect(&edge).await;
    let ended = caller.call("Hang", &[("grpc-timeout", "1H")], b"hello").await;
    assert_eq!(ended.status(), 4);
    service.is_broken_off().await;
}

#[tokio::test]
async fn the_endpoint_is_told_what_is_left() {
    let (service, edge) = site("").await;
    let caller = Caller::connect(&edge).await;
    assert_eq!(caller.call("Echo", &[("grpc-timeout", "20S")], b"hello").await.status(), 0);
    let value = service.last().headers()["grpc-timeout"].to_str().unwrap().to_owned();
    let micros: u64 = value.strip_suffix('u').unwrap().parse().unwrap();
    let left = Duration::from_micros(micros);
    assert!(left < Duration::from_secs(20) && left > Duration::from_secs(10), "{value}");
}

#[tokio::test]
async fn a_deadline_that_cannot_be_read_is_refused() {
    let (service, edge) = site("").await;
    let caller = Caller::connect(&edge).await;
    for deadline in ["1", "123456789S", "S", "1s", "-1S"] {
        let ended = caller.call("Echo", &[("grpc-timeout", deadline)], b"hello").await;
        assert_eq!((ended.status(), ended.is_trailers_only), (13, true), "{deadline}");
    }
    assert_eq!(service.calls(), 0);
}

/// Such clients would hide a dead endpoint otherwise: nothing that the edge sees would be its failure.
#[tokio::test]
async fn a_client_that_leaves_at_its_deadline_tells_of_the_endpoint() {
    let (service, edge) = site("").await;
    let caller = Caller::connect(&edge).await;
    let begun = tokio::time::Instant::now();
    let mut call = caller.begin("Hang", &[("grpc-timeout", "1S")]).await;
    call.send(b"hello").await;
    call.end();
    let almost = Duration::from_millis(950);
    eventually("the deadline is near", async || begun.elapsed() > almost).await;
    call.cancel();
    service.is_cancelled().await;
    assert_eq!(edge.log_of(1).await[0]["cause"], "total_timeout");
}
