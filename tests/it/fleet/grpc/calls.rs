use crate::support::Edge;

use super::{Caller, Service, grpc_fleet};

async fn site() -> (Service, Edge) {
    let service = Service::start().await;
    let edge = Edge::start(&grpc_fleet("", &[&service])).await;
    (service, edge)
}

#[tokio::test]
async fn a_call_has_its_message_its_metadata_and_its_trailers() {
    let (service, edge) = site().await;
    let headers = [("x-plain", "value"), ("x-data-bin", "AAEC/w")];
    let ended = Caller::connect(&edge).await.call("Echo", &headers, b"hello").await;
    assert_eq!((ended.status(), &ended.messages), (0, &vec![b"hello".to_vec()]));
    assert_eq!(ended.head.headers()["x-plain-back"], "value");
    assert_eq!(ended.head.headers()["x-data-bin-back"], "AAEC/w");
    assert_eq!(ended.trailers["trace-bin"], "AAEC");
    assert_eq!(ended.trailers["grpc-message"], "all%20is%20told");
    let request = service.last();
    assert_eq!(request.uri().path(), "/test/Echo");
    assert_eq!(request.headers()["te"], "trailers");
    assert!(!request.headers().contains_key("grpc-timeout"), "nobody asked for a deadline");
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["grpc_status"]), (&200.into(), &0.into()));
}

#[tokio::test]
async fn an_answer_of_trailers_alone_stays_one() {
    let (_service, edge) = site().await;
    let ended = Caller::connect(&edge).await.call("Fail/5", &[], b"hello").await;
    assert!(ended.is_trailers_only && ended.messages.is_empty());
    assert_eq!((ended.status(), ended.trailers["grpc-message"].to_str().unwrap()), (5, "no"));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["grpc_status"], line.get("cause")), (&5.into(), None));
}

#[tokio::test]
async fn a_status_after_messages_is_logged_too() {
    let (_service, edge) = site().await;
    let ended = Caller::connect(&edge).await.call("Late/9", &[], b"hello").await;
    assert_eq!((ended.status(), ended.messages.len()), (9, 1));
    assert_eq!(edge.log_of(1).await[0]["grpc_status"], 9);
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    const LARGE: usize = 4 << 20;
    let (_service, edge) = site().await;
    let message: Vec<u8> = (0..LARGE).map(|index| (index % 251) as u8).collect();
    let caller = Caller::connect(&edge).await;
    let mut call = caller.begin("Echo", &[]).await;
    // What comes back has to be read meanwhile, or both would wait for windows.
    call.head().await;
    let (mut sending, mut inbox) = (call.sending, call.inbox.take().unwrap());
    let sent = async {
        super::send_message(&mut sending, &message).await;
        sending.send_data(bytes::Bytes::new(), true).unwrap();
    };
    let (received, ()) = tokio::join!(inbox.next(), sent);
    assert!(received.is_some_and(|received| received == message));
    assert_eq!(inbox.next().await, None);
    assert_eq!(inbox.body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn a_hundred_calls_share_a_connection() {
    let (service, edge) = site().await;
    let caller = Caller::connect(&edge).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        calls.push(caller.begin("Echo", &[]).await);
    }
    for (number, call) in calls.iter_mut().enumerate() {
        call.send(number.to_string().as_bytes()).await;
    }
    for (number, call) in calls.iter_mut().enumerate() {
        assert_eq!(call.message().await.unwrap(), number.to_string().as_bytes());
    }
    for mut call in calls {
        call.end();
        assert_eq!(call.ended().await.status(), 0);
    }
    assert_eq!(service.calls(), 100);
}
