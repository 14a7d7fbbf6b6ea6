use crate::support::{Edge, eventually};

use super::{Caller, Service, grpc_fleet, grpc_routes};

async fn site(listener: &str) -> (Service, Edge) {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_routes(listener, "", &[&service], "{ pool: app }")).await;
    (service, edge)
}

#[tokio::test]
async fn each_message_arrives_before_the_next_is_sent() {
    let (_service, edge) = site("").await;
    let mut call = Caller::connect(&edge).await.begin("Echo", &[]).await;
    for number in 0..20 {
        let message = format!("message {number}");
        call.send(message.as_bytes()).await;
        assert_eq!(call.message().await.unwrap(), message.as_bytes());
    }
    call.end();
    assert_eq!(call.ended().await.status(), 0);
}

#[tokio::test]
async fn a_stream_of_the_server_and_one_of_the_client() {
    let (_service, edge) = site("").await;
    let caller = Caller::connect(&edge).await;
    let three = caller.call("Three", &[], b"go").await;
    assert_eq!((three.status(), three.messages), (0, ["one", "two", "three"].map(Vec::from).to_vec()));
    let mut call = caller.begin("Count", &[]).await;
    for _ in 0..50 {
        call.send(b"one more").await;
    }
    call.end();
    let counted = call.ended().await;
    assert_eq!((counted.status(), counted.messages), (0, vec![b"50".to_vec()]));
}

/// A body of any other kind would be cut for its size, its pace or its pauses.
#[tokio::test]
async fn limits_of_bodies_are_limits_of_messages() {
    let (service, edge) = site("limits: { body: { size: 1KiB, idle: 50ms } }").await;
    let caller = Caller::connect(&edge).await;
    let mut call = caller.begin("Echo", &[]).await;
    for _ in 0..20 {
        call.send(&[b'x'; 1000]).await;
        assert_eq!(call.message().await.unwrap().len(), 1000);
    }
    // The pause that would end another request: two others are answered within it.
    for _ in 0..2 {
        let (begun, pause) = (tokio::time::Instant::now(), std::time::Duration::from_millis(60));
        eventually("time passes", async || begun.elapsed() > pause).await;
        assert_eq!(caller.status("Echo").await, 0);
    }
    call.send(b"still here").await;
    assert_eq!(call.message().await.unwrap(), b"still here");
    call.end();
    assert_eq!(call.ended().await.status(), 0);

    let large = caller.call("Fail/0", &[], &[b'x'; 1025]).await;
    assert!(large.status() == 0 || large.status() == 8, "the answer may be there before the message");
    let mut call = caller.begin("Hang", &[]).await;
    call.send(&[b'x'; 1025]).await;
    assert_eq!(call.ended().await.status(), 8);
    assert_eq!(edge.log_of(5).await[4]["cause"], "body_too_large");
    assert_eq!(service.calls(), 5);
}

#[tokio::test]
async fn a_client_that_cancels_is_gone_for_the_endpoint_at_once() {
    for method in ["Hang", "Rest"] {
        for ends in [true, false] {
            let (service, edge) = site("").await;
            let mut call = Caller::connect(&edge).await.begin(method, &[]).await;
            call.send(b"hello").await;
            if ends {
                call.end();
            }
            if method == "Rest" {
                assert_eq!(call.message().await.unwrap(), b"wait");
            } else {
                eventually("the call is there", async || service.calls() == 1).await;
            }
            call.cancel();
            service.is_cancelled().await;
            assert_eq!(edge.log_of(1).await[0]["cause"], "client_gone");
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_all_its_calls() {
    let (service, edge) = site("").await;
    let caller = Caller::connect(&edge).await;
    let mut call = caller.begin("Rest", &[]).await;
    assert_eq!(call.message().await.unwrap(), b"wait");
    caller.leave();
    service.is_cancelled().await;
}

#[tokio::test]
async fn a_call_that_the_endpoint_ends_early_is_over() {
    let (service, edge) = site("").await;
    let mut call = Caller::connect(&edge).await.begin("Late/9", &[]).await;
    assert_eq!(call.message().await.unwrap(), b"late");
    assert_eq!(call.message().await, None);
    // As clients do when they have the trailers and are not done themselves.
    call.cancel();
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["grpc_status"], line.get("cause")), (&9.into(), None));
    assert_eq!(service.calls(), 1);
}

#[tokio::test]
async fn calls_without_a_deadline_outlive_the_total_and_the_pauses_of_requests() {
    let service = Service::start().await;
    let timeouts = "timeouts: { first_byte: 50ms, idle: 50ms, total: 100ms },";
    let edge = Edge::start(&grpc_fleet(timeouts, &[&service])).await;
    let caller = Caller::connect(&edge).await;
    let mut call = caller.begin("Echo", &[]).await;
    let begun = tokio::time::Instant::now();
    let long = std::time::Duration::from_millis(250);
    eventually("a while passes", async || begun.elapsed() > long).await;
    call.send(b"hello").await;
    assert_eq!(call.message().await.unwrap(), b"hello");
    let begun = tokio::time::Instant::now();
    eventually("another passes", async || begun.elapsed() > long).await;
    call.send(b"again").await;
    assert_eq!(call.message().await.unwrap(), b"again");
    call.end();
    assert_eq!(call.ended().await.status(), 0);
}

#[tokio::test]
async fn a_stream_that_is_silent_for_too_long_ends() {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_fleet("timeouts: { tunnel: 100ms },", &[&service])).await;
    let ended = Caller::connect(&edge).await.call("Rest", &[], b"hello").await;
    assert_eq!((ended.status(), ended.messages.len()), (4, 1));
    service.is_broken_off().await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["cause"], &line["grpc_status"]), (&"response_timeout".into(), &4.into()));
}
