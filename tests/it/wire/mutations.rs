//! No request ever becomes two: requests that were tampered with, sent through an edge to an endpoint that keeps count.

use std::ops::Range;

use futures::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Client, Edge, Endpoint, Exchange};

use super::site_with;

/// What an attacker hides in a body. Where the edge takes it for a request, it answers by itself, so the endpoint sees it
/// only if the two disagree.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// The last request, after which the connection ends.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn sound_requests() -> [String; 6] {
    let length = HIDDEN.len();
    [
        format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nX: y\r\n\r\n{HIDDEN}"),
        format!(
            "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"
        ),
        format!("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n{HIDDEN}"),
        format!(
            "POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
        ),
        format!("GET /e HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{HIDDEN}"),
        format!(
            "POST /f HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
        ),
    ]
}

/// One change to the bytes of a request.
#[derive(Clone, Debug)]
enum Change {
    Insert(&'static str),
    Replace(u8),
    Remove(usize),
    /// Repeats what stands there.
    Double(usize),
    /// Exchanges all of one text for another.
    Exchange(&'static str, &'static str),
}

fn changes() -> impl Strategy<Value = Change> {
    let pieces = [
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "\t",
        "\x0b",
        "\u{85}",
        ",",
        ":",
        ";",
        "0",
        "1",
        "x",
        "+",
        "-",
        "0x",
        "\"",
        "chunked",
        "identity",
        "\r\n\r\n",
        "0\r\n\r\n",
        "\r\n ",
        "\r\nHost: b",
        "\r\nContent-Length: 0",
        "\r\nContent-Length: 5",
        "\r\nContent-Length:",
        "\r\nTransfer-Encoding: chunked",
        "\r\nTransfer-Encoding: identity",
        "\r\nTransfer_Encoding: chunked",
        "\r\nTransfer-Encoding : chunked",
        "\r\nExpect: 100-continue",
        "\r\nConnection: Content-Length",
        "\r\nConnection: close, Transfer-Encoding",
        "\r\nUpgrade: h2c",
        " HTTP/1.0",
        HIDDEN,
    ];
    let exchanges = [
        ("\r\n", "\n"),
        ("\r\n", "\r"),
        (": ", ":"),
        (": ", " : "),
        (": ", ":\t"),
        ("chunked", "Chunked"),
        ("chunked", "chunked, chunked"),
        ("chunked", "gzip, chunked"),
        ("chunked", "chunked\r\n"),
        ("-", "_"),
        ("1.1", "1.0"),
        ("1.0", "1.1"),
        ("POST", "GET"),
        ("POST", "HEAD"),
        ("GET", "POST"),
        ("0\r\n", "00\r\n"),
        ("Content-Length: ", "Content-Length: 0"),
        ("Content-Length: ", "Content-Length: 1"),
    ];
    prop_oneof![
        4 => prop::sample::select(pieces.to_vec()).prop_map(Change::Insert),
        2 => (0u8..128).prop_map(Change::Replace),
        2 => (1usize..8).prop_map(Change::Remove),
        1 => (1usize..40).prop_map(Change::Double),
        2 => prop::sample::select(exchanges.to_vec()).prop_map(|(old, new)| Change::Exchange(old, new)),
    ]
}

impl Change {
    /// Applies it at `at` of 65 536 parts of the text.
    fn apply(&self, text: &mut Vec<u8>, at: u16) {
        let at = usize::from(at) * text.len() / 65_536;
        let span = |length: usize| -> Range<usize> { at..(at + length).min(text.len()) };
        match self {
            Self::Insert(piece) => drop(text.splice(at..at, piece.bytes())),
            Self::Replace(byte) => drop(text.splice(span(1), [*byte])),
            Self::Remove(length) => drop(text.drain(span(*length))),
            Self::Double(length) => {
                let piece = text[span(*length)].to_vec();
                text.splice(at..at, piece);
            }
            Self::Exchange(old, new) => {
                // Bytes stand for themselves in Latin-1, so that none is lost.
                let latin: String = text.iter().map(|&byte| char::from(byte)).collect();
                *text = latin.replace(old, new).chars().map(|letter| letter as u8).collect();
            }
        }
    }
}

fn tampered() -> impl Strategy<Value = Vec<u8>> {
    let changed = prop::collection::vec((changes(), any::<u16>()), 1..4);
    (prop::sample::select(sound_requests().to_vec()), changed).prop_map(|(sound, changes)| {
        let mut text = sound.into_bytes();
        for (change, at) in changes {
            change.apply(&mut text, at);
        }
        text
    })
}

/// Answers every request and counts what came beyond one.
async fn counting() -> (Endpoint, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let beyond = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = beyond.clone();
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        counter.fetch_add(exchange.ahead.len(), std::sync::atomic::Ordering::SeqCst);
        async move {
            let body = if exchange.request.line().starts_with("HEAD") { "" } else { "ok" };
            exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}")).await;
            Some(exchange)
        }
    })
    .await;
    (endpoint, beyond)
}

/// Sends one request and the last one behind it, and reads all that is answered.
async fn answers(edge: &Edge, text: &[u8]) -> String {
    let mut client: Client = edge.connect().await;
    // The edge may refuse before it has read everything.
    let _ = client.try_send([text, LAST.as_bytes()].concat()).await;
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

#[test]
fn no_request_becomes_two() {
    const BATCH: usize = 64;
    const BATCHES: u32 = 20;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (endpoint, beyond) = runtime.block_on(counting());
    let limits = "limits: { header: { timeout: 200ms }, body: { idle: 200ms }, keepalive: { idle: 200ms } }";
    let routes = "- { match: { path: /hidden }, respond: { status: 418 } }\n- pool: app";
    let edge = runtime.block_on(Edge::start(&site_with(endpoint.address(), limits, "", routes)));

    let config = Config { cases: BATCHES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let batches = prop::collection::vec(tampered(), BATCH);
    let result = runner.run(&batches, |batch| {
        let sent = batch.iter().map(|text| answers(&edge, text));
        let answers = runtime.block_on(join_all(sent));
        for (text, answer) in batch.iter().zip(answers) {
            // A 502 says that the endpoint could not read what the edge made of the request.
            prop_assert!(
                !answer.contains("HTTP/1.1 5") || answer.contains(" 505 "),
                "{}: {answer}",
                text.escape_ascii()
            );
        }
        prop_assert!(endpoint.requests().iter().all(|request| !request.head.contains("/hidden")));
        prop_assert_eq!(beyond.load(std::sync::atomic::Ordering::SeqCst), 0);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));

    let asked = |line: &serde_json::Value| line["attempts"].as_u64().is_some_and(|attempts| attempts > 0);
    let requests = endpoint.requests().len();
    let told = runtime.block_on(async {
        edge.log_of(requests).await;
        edge.log().iter().filter(|line| asked(line)).count()
    });
    assert!(requests <= told, "{requests} requests reached the endpoint, of {told}");
    // Both outcomes were seen, many times over.
    let refused = edge.log().iter().filter(|line| line["status"] == 400).count();
    assert!(requests > 100 && refused > 100, "{requests} served, {refused} refused");
}
