//! Clients that send what asks for nothing, much of it. Each is cut off, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use crate::support::raw_h2::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
    HEADERS, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RawH2, SETTINGS, WINDOW, frame, get, get_block,
    post, reset, window_update,
};
use crate::support::{Edge, Endpoint, eventually};
use crate::wire::{echo_site, site};

use super::H2;

/// More of anything than is borne, even if half of it came a second later.
const FLOOD: u32 = 2000;

/// Client streams have odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

/// A client on a connection of its own that asks all the time, and fails the test when it gets no answer.
struct Neighbour {
    is_done: Arc<AtomicBool>,
    asking: JoinHandle<u32>,
}

impl Neighbour {
    async fn of(edge: &Edge) -> Self {
        let client = H2::connect(edge).await;
        let is_done = Arc::new(AtomicBool::new(false));
        let done = is_done.clone();
        let asking = tokio::spawn(async move {
            let mut answers = 0;
            while !done.load(Ordering::Acquire) || answers == 0 {
                assert_eq!(client.get("/neighbour").await.status(), 200);
                answers += 1;
            }
            answers
        });
        Self { is_done, asking }
    }

    async fn leave(self) {
        self.is_done.store(true, Ordering::Release);
        assert!(self.asking.await.expect("every request is answered") > 0);
    }
}

/// Sends a flood and expects it to be cut off with a word, a line in the log, and no harm to others.
async fn is_cut(flood: Vec<u8>) {
    let (_endpoint, edge) = echo_site("").await;
    let neighbour = Neighbour::of(&edge).await;
    let mut client = RawH2::connect(&edge).await;
    client.send(flood).await;
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    // Had the edge closed its socket with something unread, a client could have lost its last word.
    assert!(client.send([0; 100]).await && client.send([0; 100]).await);
    neighbour.leave().await;
    let is_cut = |line: &serde_json::Value| line["cause"] == "http2_abuse";
    eventually("the end is logged", async || edge.log().iter().any(is_cut)).await;
    let lines = edge.log();
    let line = lines.iter().find(|line| is_cut(line)).unwrap();
    assert_eq!(lines.iter().filter(|line| is_cut(line)).count(), 1);
    assert_eq!((&line["status"], &line["protocol"]), (&429.into(), &"HTTP/2".into()));
    assert_eq!((&line["client"], &line["listener"]), (&"127.0.0.1".into(), &"web".into()));
}

#[tokio::test]
async fn pings_are_cut_off() {
    is_cut(frame(PING, 0, 0, [0; 8]).repeat(FLOOD as usize)).await;
}

#[tokio::test]
async fn acknowledgements_of_pings_that_never_were_are_cut_off() {
    is_cut(frame(PING, ACK, 0, [0; 8]).repeat(FLOOD as usize)).await;
}

#[tokio::test]
async fn settings_are_cut_off() {
    is_cut(frame(SETTINGS, 0, 0, []).repeat(FLOOD as usize)).await;
}

#[tokio::test]
async fn priorities_are_cut_off() {
    is_cut(frame(PRIORITY, 0, 1, [0, 0, 0, 3, 16]).repeat(FLOOD as usize)).await;
}

#[tokio::test]
async fn frames_of_unknown_kinds_are_cut_off() {
    is_cut(frame(0xfa, 0, 0, b"what is this").repeat(FLOOD as usize)).await;
}

#[tokio::test]
async fn windows_that_open_for_nothing_are_cut_off() {
    is_cut(window_update(0, 1000).repeat(FLOOD as usize)).await;
}

#[tokio::test]
async fn empty_data_is_cut_off() {
    let mut flood = post(1);
    flood.extend(frame(DATA, 0, 1, []).repeat(FLOOD as usize));
    is_cut(flood).await;
}

#[tokio::test]
async fn data_of_nothing_but_padding_is_cut_off() {
    const PADDED: u8 = 0x8;
    let mut flood = post(1);
    flood.extend(frame(DATA, PADDED, 1, [2, 0, 0]).repeat(FLOOD as usize));
    is_cut(flood).await;
}

#[tokio::test]
async fn headers_in_crumbs_are_cut_off() {
    let mut flood = frame(HEADERS, 0, 1, get_block(&[]));
    flood.extend(frame(CONTINUATION, 0, 1, []).repeat(FLOOD as usize));
    is_cut(flood).await;
}

#[tokio::test]
async fn what_runs_for_a_flooder_ends_with_its_connection() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = RawH2::connect(&edge).await;
    client.send(get(1)).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    client.send(frame(PING, 0, 0, [0; 8]).repeat(FLOOD as usize)).await;
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    let lines = edge.log_of(2).await;
    let causes = |cause: &str| lines.iter().filter(|line| line["cause"] == cause).count();
    assert_eq!((causes("http2_abuse"), causes("client_gone")), (1, 1), "{lines:#?}");
}

/// CVE-2023-44487.
#[tokio::test]
async fn rapid_resets_are_cut_off_and_hardly_reach_the_endpoint() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = RawH2::connect(&edge).await;
    let flood = streams(FLOOD).flat_map(|stream| [get(stream), reset(stream, CANCEL)].concat());
    client.send(flood.collect::<Vec<_>>()).await;
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    // Half the limit for resets before the response, and all that may be open.
    assert!(endpoint.requests().len() <= 150, "{}", endpoint.requests().len());
    eventually("the end is logged", async || edge.log().iter().any(|line| line["cause"] == "http2_abuse"))
        .await;
}

/// CVE-2025-8671: the edge itself is made to reset the streams.
#[tokio::test]
async fn provoked_resets_are_cut_off() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = RawH2::connect(&edge).await;
    for stream in streams(FLOOD) {
        client.send([get(stream), window_update(stream, WINDOW)].concat()).await;
    }
    let mut ends = Vec::new();
    while let Some(frame) = client.next().await {
        ends.extend(frame.code());
    }
    assert_eq!(ends.pop(), Some(ENHANCE_YOUR_CALM));
    // Those that are not yet reset count as open, so that some are refused.
    assert!(ends.iter().all(|code| [FLOW_CONTROL_ERROR, REFUSED_STREAM].contains(code)), "{ends:?}");
    assert!((1..=500).contains(&ends.len()), "{}", ends.len());
    eventually("the end is logged", async || edge.log().iter().any(|line| line["cause"] == "http2_abuse"))
        .await;
}

/// What a client gets for breaking HTTP/2, on a connection of its own.
async fn code_for(frames: Vec<u8>) -> Option<u32> {
    let (_endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    client.send(frames).await;
    client.goodbye().await
}

#[tokio::test]
async fn what_breaks_http2_ends_the_connection_with_its_code() {
    let too_long = frame(DATA, 0, 1, vec![0; 16 * 1024 + 1]);
    assert_eq!(code_for([post(1), too_long].concat()).await, Some(FRAME_SIZE_ERROR));
    assert_eq!(code_for(window_update(0, 0)).await, Some(PROTOCOL_ERROR));
    assert_eq!(code_for(window_update(0, WINDOW)).await, Some(FLOW_CONTROL_ERROR));
    assert_eq!(code_for(reset(1, CANCEL)).await, Some(PROTOCOL_ERROR));
    assert_eq!(code_for(frame(SETTINGS, ACK, 0, []).repeat(2)).await, Some(PROTOCOL_ERROR));
    assert_eq!(code_for(frame(HEADERS, END_HEADERS, 2, get_block(&[]))).await, Some(PROTOCOL_ERROR));
    let beyond_the_window = frame(DATA, 0, 1, vec![0; 16 * 1024]).repeat(70);
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = RawH2::connect(&edge).await;
    client.send([post(1), beyond_the_window].concat()).await;
    assert_eq!(first_end(&mut client).await, FLOW_CONTROL_ERROR);
}

/// The code of the first frame that ends a stream or the connection.
async fn first_end(client: &mut RawH2) -> u32 {
    loop {
        let frame = client.next().await.expect("an end is told");
        if let Some(code) = frame.code() {
            return code;
        }
    }
}
