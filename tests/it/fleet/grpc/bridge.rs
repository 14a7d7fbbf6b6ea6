use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Edge, Response};

use super::{Caller, Service, frame, grpc_routes};

async fn site(pool: &str) -> (Service, Edge) {
    let service = Service::start().await;
    let routes = "{ filters: [{ grpc_web: {} }], pool: app }";
    let edge = Edge::start(&grpc_routes("", pool, &[&service], routes)).await;
    (service, edge)
}

/// A call over HTTP/1.1, as browsers make it.
async fn call(edge: &Edge, method: &str, media_type: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST /test/{method} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nX-Grpc-Web: 1\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = edge.connect().await;
    client.send([head.as_bytes(), body].concat()).await;
    client.response().await
}

/// The trailers in a body's last frame, and what comes before them.
fn split(body: &[u8]) -> (&[u8], &str) {
    let start = body.windows(5).position(|bytes| bytes[0] == 0x80).expect("a frame of trailers");
    let (messages, last) = body.split_at(start);
    let length = u32::from_be_bytes(last[1..5].try_into().unwrap()) as usize;
    assert_eq!(last.len(), 5 + length, "nothing follows the trailers");
    (messages, std::str::from_utf8(&last[5..]).unwrap())
}

/// The bytes of a text in which each piece may be padded.
fn decoded(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|quantum| STANDARD.decode(quantum).unwrap()).collect()
}

#[tokio::test]
async fn the_binary_form_over_http1() {
    let (service, edge) = site("").await;
    let answer = call(&edge, "Echo", "application/grpc-web+proto", &frame(b"hello")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web")));
    let (messages, trailers) = split(&answer.body);
    assert_eq!(messages, frame(b"hello"));
    assert!(trailers.contains("grpc-status:0\r\n") && trailers.contains("trace-bin:AAEC\r\n"), "{trailers}");
    let request = service.last();
    assert_eq!(request.headers()["content-type"], "application/grpc+proto");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(edge.log_of(1).await[0]["grpc_status"], 0);
}

#[tokio::test]
async fn the_text_form_over_http1() {
    let (_service, edge) = site("").await;
    // Each message is padded of its own, as clients do it.
    let body = [STANDARD.encode(frame(b"hello")), STANDARD.encode(frame(b"again!"))].concat();
    let answer = call(&edge, "Echo", "application/grpc-web-text", body.as_bytes()).await;
    assert_eq!(answer.header("content-type"), Some("application/grpc-web-text"));
    let body = decoded(&answer.body);
    let (messages, trailers) = split(&body);
    assert_eq!(messages, [frame(b"hello"), frame(b"again!")].concat());
    assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");
}

#[tokio::test]
async fn a_stream_of_the_server_over_http2() {
    let (_service, edge) = site("").await;
    let mut call = Caller::connect(&edge).await.ask("Three", "application/grpc-web+proto", &[]).await;
    call.send(b"go").await;
    call.end();
    for expected in ["one", "two", "three"] {
        assert_eq!(call.message().await.unwrap(), expected.as_bytes());
    }
    // The frame of the trailers is one like the others, but for its flag.
    let trailers = String::from_utf8(call.message().await.unwrap()).unwrap();
    assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");
    assert_eq!(call.message().await, None);
    assert_eq!(call.head().await.headers()["content-type"], "application/grpc-web");
}

#[tokio::test]
async fn statuses_without_a_message_are_in_the_head() {
    let (_service, edge) = site("").await;
    let answer = call(&edge, "Fail/5", "application/grpc-web", &frame(b"hello")).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("5")));
    assert_eq!((answer.header("content-type"), answer.body.len()), (Some("application/grpc-web"), 0));
}

#[tokio::test]
async fn what_the_edge_answers_is_in_the_form_of_the_call() {
    let (service, edge) = site("").await;
    let bad = call(&edge, "Echo", "application/grpc-web-text", b"AAA").await;
    assert_eq!((bad.status, bad.header("grpc-status")), (200, Some("13")));
    assert_eq!(bad.header("content-type"), Some("application/grpc-web-text"));

    let mut client = edge.connect().await;
    let head = "POST /test/Rest HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\n\
                Grpc-Timeout: 150m\r\nContent-Length: 10\r\n\r\n";
    client.send([head.as_bytes(), &frame(b"hello")].concat()).await;
    let late = client.response().await;
    let (messages, trailers) = split(&late.body);
    assert_eq!(messages, frame(b"wait"));
    assert!(trailers.starts_with("grpc-status:4\r\n"), "{trailers}");
    service.is_broken_off().await;
}

/// The exemption of streams is for those whose messages can be followed.
#[tokio::test]
async fn bodies_of_browsers_have_the_limits_of_bodies() {
    let service = Service::start().await;
    let routes = "{ filters: [{ grpc_web: {} }], pool: app }";
    let limits = "limits: { body: { size: 32B } }";
    let edge = Edge::start(&grpc_routes(limits, "", &[&service], routes)).await;
    let caller = Caller::connect(&edge).await;
    let mut call = caller.ask("Count", "application/grpc-web", &[]).await;
    // The head is there at once; what ends the call is in the body.
    call.head().await;
    for _ in 0..4 {
        call.send(b"hello").await;
    }
    let last = String::from_utf8(call.message().await.unwrap()).unwrap();
    assert!(last.starts_with("grpc-status:8\r\n"), "{last}");
}

#[tokio::test]
async fn preflights_and_plain_calls_pass() {
    let (service, edge) = site("").await;
    assert_eq!(Caller::connect(&edge).await.status("Echo").await, 0);
    assert_eq!(service.last().headers()["content-type"], "application/grpc");
    let preflight = "OPTIONS /test/Fail HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\
                     Access-Control-Request-Headers: content-type,x-grpc-web\r\n\r\n";
    assert_eq!(edge.send(preflight).await.status, 200);
    assert_eq!(service.last().method(), "OPTIONS");
}
