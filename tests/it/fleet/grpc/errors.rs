use crate::support::{Edge, dead};

use super::{Caller, Service, grpc_fleet, grpc_routes};

/// The status and cause of a call that the edge answers, with nothing after the head.
async fn refused(edge: &Edge, headers: &[(&str, &str)]) -> (u16, String) {
    let ended = Caller::connect(edge).await.call("Echo", headers, b"hello").await;
    assert!(ended.is_trailers_only && ended.messages.is_empty());
    let message = ended.trailers["grpc-message"].to_str().unwrap();
    assert!(message.contains("request id"), "{message}");
    let line = edge.log_of(1).await.pop().unwrap();
    assert_eq!((&line["status"], &line["grpc_status"]), (&200.into(), &ended.status().into()));
    (ended.status(), line["cause"].as_str().unwrap().to_owned())
}

fn told(status: u16, cause: &str) -> (u16, String) {
    (status, cause.to_owned())
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let dead = dead().await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ protocol: h2c, endpoints: ['{dead}'] }} }}\n\
         routes: [{{ pool: app }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    );
    let edge = Edge::start(&config).await;
    assert_eq!(refused(&edge, &[]).await, told(14, "connect_failed"));
}

#[tokio::test]
async fn an_endpoint_that_breaks_a_call_off_is_unavailable() {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_fleet("", &[&service])).await;
    let caller = Caller::connect(&edge).await;
    assert_eq!(caller.status("Reset").await, 14);

    let mut call = caller.begin("Break", &[]).await;
    assert_eq!(call.message().await.unwrap(), b"half");
    call.send(b"go on").await;
    let ended = call.ended().await;
    assert_eq!((ended.status(), ended.is_trailers_only), (14, false));
    let lines = edge.log_of(2).await;
    assert!(lines.iter().all(|line| line["grpc_status"] == 14 && line["cause"].is_string()), "{lines:?}");
}

#[tokio::test]
async fn a_full_queue_is_unavailable() {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_fleet("max_requests: 1, queue: { size: 0 },", &[&service])).await;
    let mut first = Caller::connect(&edge).await.begin("Rest", &[]).await;
    assert_eq!(first.message().await.unwrap(), b"wait");
    assert_eq!(refused(&edge, &[]).await, told(14, "queue_full"));
}

#[tokio::test]
async fn what_filters_and_routes_refuse_has_a_status() {
    let service = Service::start().await;
    let limited = "{ filters: [{ rate_limit: { rate: 1/h, burst: 1 } }], pool: app }";
    let edge = Edge::start(&grpc_routes("", "", &[&service], limited)).await;
    assert_eq!(Caller::connect(&edge).await.status("Echo").await, 0);
    let ended = Caller::connect(&edge).await.call("Echo", &[], b"hello").await;
    assert_eq!((ended.status(), ended.is_trailers_only), (8, true));
    assert!(ended.trailers.contains_key("retry-after"), "{:?}", ended.trailers);

    let elsewhere = "{ match: { path: /elsewhere }, pool: app }";
    let edge = Edge::start(&grpc_routes("", "", &[&service], elsewhere)).await;
    assert_eq!(refused(&edge, &[]).await, told(12, "no_route"));
}

/// Clients of gRPC read the statuses of HTTP themselves; what a file says is what they get.
#[tokio::test]
async fn answers_of_routes_stay_what_they_are() {
    let service = Service::start().await;
    let respond = "{ match: { path: /other/ }, pool: app }, { respond: { status: 503, body: closed } }";
    let edge = Edge::start(&grpc_routes("", "", &[&service], respond)).await;
    let mut call = Caller::connect(&edge).await.begin("Echo", &[]).await;
    assert_eq!(call.head().await.status(), 503);
}

#[tokio::test]
async fn others_get_their_pages_as_ever() {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_fleet("", &[&service])).await;
    let page = edge.send("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\n\r\n").await;
    assert_eq!((page.status, page.header("grpc-status")), (405, None));
}
