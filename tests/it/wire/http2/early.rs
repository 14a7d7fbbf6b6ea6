//! Answers before the end of their requests: the client has them before its stream ends, and the stream ends soon.

use crate::support::Edge;
use crate::support::raw_h2::{
    ACK, DATA, END_STREAM, Frame, HEADERS, NO_ERROR, PING, RST_STREAM, RawH2, frame, get, post,
};
use crate::wire::{echo_site, site_with};

const PIECE: [u8; 8 * 1024] = [b'x'; 8 * 1024];

/// A client whose request was answered with 413 and that has read the answer to its end.
async fn refused(edge: &Edge) -> RawH2 {
    let mut client = RawH2::connect(edge).await;
    client.send(post(1)).await;
    client.send(frame(DATA, 0, 1, PIECE)).await;
    let mut body = Vec::new();
    loop {
        let piece = client.next_of(DATA).await;
        body.extend_from_slice(&piece.payload);
        if piece.flags & END_STREAM != 0 {
            break;
        }
    }
    assert!(body.starts_with(b"413 "), "{}", String::from_utf8_lossy(&body));
    client
}

/// The frames up to the answer to a PING.
async fn until_pong(client: &mut RawH2) -> Vec<Frame> {
    client.send(frame(PING, 0, 0, [7; 8])).await;
    let mut seen = Vec::new();
    loop {
        let frame = client.next().await.expect("the connection stays");
        if frame.kind == PING && frame.flags & ACK != 0 {
            return seen;
        }
        seen.push(frame);
    }
}

fn has_reset(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| frame.kind == RST_STREAM)
}

#[tokio::test]
async fn a_client_that_goes_on_sending_has_its_answer_before_its_stream_is_reset() {
    let (endpoint, edge) = echo_site("limits: { body: { size: 1KiB } }").await;
    let mut client = refused(&edge).await;
    for _ in 0..4 {
        client.send(frame(DATA, 0, 1, PIECE)).await;
        assert!(!has_reset(&until_pong(&mut client).await));
    }
    assert_eq!(client.next_of(RST_STREAM).await.code(), Some(NO_ERROR));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&413.into(), &"body_too_large".into()));
    client.send(get(3)).await;
    assert_eq!(client.next_of(HEADERS).await.stream, 3);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn a_stream_that_its_client_ends_is_not_reset() {
    let (_endpoint, edge) = echo_site("limits: { body: { size: 1KiB } }").await;
    let mut client = refused(&edge).await;
    client.send(frame(DATA, END_STREAM, 1, PIECE)).await;
    assert!(!has_reset(&until_pong(&mut client).await));
    client.send(get(3)).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|frame: &Frame| frame.flags & END_STREAM == 0) {
        seen.push(client.next().await.expect("is answered"));
    }
    assert!(!has_reset(&seen));
}

#[tokio::test]
async fn what_the_edge_answers_itself_does_not_wait_for_a_request_without_an_end() {
    let edge = Edge::start(&site_with("127.0.0.1:1", "", "", "- respond: { status: 401 }")).await;
    let mut client = RawH2::connect(&edge).await;
    client.send(post(1)).await;
    let head = client.next_of(HEADERS).await;
    assert_ne!(head.flags & END_STREAM, 0);
    assert!(!has_reset(&until_pong(&mut client).await));
    assert_eq!(client.next_of(RST_STREAM).await.code(), Some(NO_ERROR));
    assert_eq!(edge.log_of(1).await[0]["status"], 401);
}
