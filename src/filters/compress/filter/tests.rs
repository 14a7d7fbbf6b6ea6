use std::io::Read;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, ETAG, IF_MATCH, IF_NONE_MATCH, VARY};
use tokio::time::Instant;

use super::*;
use crate::hooks::testing::{self, Exchange};
use crate::hooks::{Filter, Flow};

fn build(yaml: &str) -> Result<Compress, BuildError> {
    testing::build(serde_yaml::from_str(yaml).unwrap(), Compress::build)
}

fn compress() -> Compress {
    build("{ algorithms: [gzip, br], min_size: 100B, max_active: 2 }").unwrap()
}

fn asking(accepted: &str) -> Exchange {
    Exchange::get("/", Instant::now()).with_header("accept-encoding", accepted)
}

/// What an endpoint says of a page of a kilobyte.
fn page(exchange: Exchange) -> Exchange {
    let fields = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "1000"),
        ("etag", "\"a\""),
        ("accept-ranges", "bytes"),
        ("content-digest", "sha-256=:x:"),
    ];
    fields.into_iter().fold(exchange, |exchange, (name, value)| exchange.with_response_header(name, value))
}

/// What the client is told of the answer.
async fn told(filter: &Compress, exchange: &mut Exchange) -> HeaderMap {
    assert!(matches!(exchange.on_request(filter).await, Ok(Flow::Continue)));
    exchange.on_response(filter).unwrap();
    exchange.response_headers().clone()
}

fn piece(exchange: &mut Exchange, filter: &Compress, text: &[u8], end: bool) -> Vec<u8> {
    let mut body = Some(Bytes::copy_from_slice(text)).filter(|body| !body.is_empty());
    exchange.on_response_body(filter, &mut body, end).unwrap();
    body.unwrap_or_default().into()
}

#[tokio::test]
async fn the_head_says_what_the_body_is() {
    let filter = compress();
    let mut exchange = page(asking("br;q=0.5, gzip"));
    let headers = told(&filter, &mut exchange).await;
    assert_eq!(headers[CONTENT_ENCODING], "gzip");
    assert_eq!(headers[ETAG], "W/\"a--gzip\"");
    assert_eq!(headers[VARY], "Accept-Encoding");
    for gone in ["content-length", "accept-ranges", "content-digest"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    let text = "the same ".repeat(111);
    let mut coded = piece(&mut exchange, &filter, &text.as_bytes()[..500], false);
    assert!(piece(&mut exchange, &filter, b"", false).is_empty());
    coded.extend(piece(&mut exchange, &filter, &text.as_bytes()[500..], true));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&coded[..]).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, text);
    assert!(coded.len() < 100, "{} bytes", coded.len());
}

#[tokio::test]
async fn what_could_have_been_coded_varies_and_nothing_else_does() {
    let filter = compress();
    for accepted in ["", "identity", "zstd", "gzip;q=0"] {
        let headers = told(&filter, &mut page(asking(accepted))).await;
        assert!(!headers.contains_key(CONTENT_ENCODING), "{accepted}");
        assert_eq!(
            (&headers[VARY], &headers[ETAG]),
            (&HeaderValue::from_static("Accept-Encoding"), &HeaderValue::from_static("\"a\""))
        );
        assert!(headers.contains_key(ACCEPT_RANGES) && headers.contains_key(CONTENT_LENGTH));
    }
    let vary = |value| page(asking("gzip")).with_response_header("vary", value);
    assert_eq!(told(&filter, &mut vary("accept-encoding, cookie")).await.get_all(VARY).iter().count(), 1);
    assert_eq!(told(&filter, &mut vary("*")).await.get_all(VARY).iter().count(), 1);
    assert_eq!(told(&filter, &mut vary("Cookie")).await.get_all(VARY).iter().count(), 2);
}

#[tokio::test]
async fn what_must_stay_as_it_is_does() {
    let filter = compress();
    let fields: &[(&str, &str)] = &[
        ("content-encoding", "gzip"),
        ("content-encoding", "identity"),
        ("content-range", "bytes 0-999/2000"),
        ("cache-control", "public, no-transform"),
    ];
    for &(name, value) in fields {
        let headers = told(&filter, &mut page(asking("gzip")).with_response_header(name, value)).await;
        assert_eq!(headers[CONTENT_LENGTH], "1000", "{name}: {value}");
        assert!(!headers.contains_key(VARY), "{name}: {value}");
    }
    for status in [204, 205, 206, 304] {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = told(&filter, &mut page(asking("gzip")).with_response_status(status)).await;
        assert!(!headers.contains_key(CONTENT_ENCODING) && headers[ETAG] == "\"a\"", "{status}");
    }
    for media in ["image/png", "application/grpc+proto", "Application/gRPC", ""] {
        let answer = asking("gzip").with_response_header("content-type", media);
        assert!(!told(&filter, &mut { answer }).await.contains_key(CONTENT_ENCODING), "{media}");
    }
    let short = asking("gzip").with_response_header("content-type", "text/plain");
    let mut short = short.with_response_header("content-length", "99");
    assert!(!told(&filter, &mut short).await.contains_key(CONTENT_ENCODING));
    let mut untouched = page(asking("gzip").with_header("cache-control", "no-transform"));
    assert!(!told(&filter, &mut untouched).await.contains_key(CONTENT_ENCODING));
    assert_eq!(piece(&mut untouched, &filter, b"as it is", true), b"as it is");
}

#[tokio::test]
async fn pieces_of_unknown_length_and_events_go_out_at_once() {
    let filter = compress();
    for fields in [
        &[("content-type", "text/plain")][..],
        &[("content-type", "text/event-stream"), ("content-length", "100000")][..],
    ] {
        let answer = asking("gzip");
        let mut answer =
            fields.iter().fold(answer, |answer, &(name, value)| answer.with_response_header(name, value));
        assert_eq!(told(&filter, &mut answer).await[CONTENT_ENCODING], "gzip");
        let coded = piece(&mut answer, &filter, b"data: now\n\n", false);
        let mut plain = [0; 11];
        flate2::read::GzDecoder::new(&coded[..]).read_exact(&mut plain).unwrap();
        assert_eq!(&plain, b"data: now\n\n");
    }
}

#[tokio::test]
async fn to_head_the_same_is_said_and_nothing_is_sent() {
    let filter = compress();
    let mut exchange = page(asking("gzip").with_method("HEAD"));
    let headers = told(&filter, &mut exchange).await;
    assert_eq!(
        (&headers[CONTENT_ENCODING], &headers[ETAG]),
        (&HeaderValue::from_static("gzip"), &HeaderValue::from_static("W/\"a--gzip\""))
    );
    assert!(!headers.contains_key(CONTENT_LENGTH));
    assert!(piece(&mut exchange, &filter, b"", true).is_empty());
}

#[tokio::test]
async fn a_copy_that_was_coded_stays_the_one_that_the_client_has() {
    let filter = compress();
    for (accepted, known, asked, told_of) in [
        ("gzip", "\"b\", W/\"a--gzip\"", "\"b\", \"a\"", "W/\"a--gzip\""),
        ("br", "W/\"a--gzip\", W/\"a--br\"", "\"a\", \"a\"", "W/\"a--br\""),
        ("", "W/\"a--gzip\", \"a\"", "\"a\", \"a\"", "\"a\""),
        ("", "W/\"a--gzip\"", "\"a\"", "W/\"a--gzip\""),
        ("gzip", "\"a\"", "\"a\"", "\"a\""),
    ] {
        let exchange = asking(accepted).with_header("if-none-match", known);
        let exchange = exchange.with_response_status(StatusCode::NOT_MODIFIED);
        let mut exchange = exchange.with_response_header("etag", "\"a\"");
        let headers = told(&filter, &mut exchange).await;
        assert_eq!(exchange.request_headers()[IF_NONE_MATCH], asked, "{known}");
        assert_eq!(
            (&headers[ETAG], &headers[VARY]),
            (&told_of.parse().unwrap(), &"Accept-Encoding".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn who_changes_what_it_has_got_coded_names_it_to_the_endpoint() {
    let filter = compress();
    let mut exchange = asking("gzip").with_method("PUT").with_header("if-match", "W/\"a--gzip\"");
    exchange = exchange.with_header("if-range", "W/\"a--gzip\"");
    exchange.on_request(&filter).await.unwrap();
    assert_eq!(exchange.request_headers()[IF_MATCH], "\"a\"");
    assert_eq!(exchange.request_headers()["if-range"], "W/\"a--gzip\"", "parts are of other bytes");
}

#[tokio::test]
async fn an_answer_that_stands_for_a_coded_one_varies_too() {
    let filter = compress();
    for (status, fields, varies) in [
        (304, &[][..], true),
        (304, &[("content-type", "image/png")], false),
        (304, &[("cache-control", "no-transform")], false),
        (412, &[], true),
        (206, &[("content-type", "text/plain"), ("content-range", "bytes 0-9/1000")], true),
        (206, &[("content-range", "bytes 0-9/99")], false),
        (206, &[("content-type", "image/png"), ("content-range", "bytes 0-9/1000")], false),
    ] {
        let answer = asking("").with_response_status(StatusCode::from_u16(status).unwrap());
        let mut answer =
            fields.iter().fold(answer, |answer, &(name, value)| answer.with_response_header(name, value));
        assert_eq!(told(&filter, &mut answer).await.contains_key(VARY), varies, "{status} {fields:?}");
    }
}

#[tokio::test]
async fn more_than_there_may_be_go_out_as_they_are() {
    let filter = compress();
    let (mut first, mut third) = (page(asking("gzip")), page(asking("gzip")));
    let mut second = page(asking("br").from_client([10, 0, 0, 2].into()));
    assert!(told(&filter, &mut first).await.contains_key(CONTENT_ENCODING));
    assert!(told(&filter, &mut second).await.contains_key(CONTENT_ENCODING));
    let headers = told(&filter, &mut third).await;
    assert!(!headers.contains_key(CONTENT_ENCODING) && headers[VARY] == "Accept-Encoding");
    // One that has come to its end makes room, and so does one whose client has gone.
    piece(&mut first, &filter, b"x", true);
    drop(second);
    for _ in 0..2 {
        let mut next = page(asking("gzip"));
        assert!(told(&filter, &mut next).await.contains_key(CONTENT_ENCODING));
        piece(&mut next, &filter, b"x", true);
    }
}

#[tokio::test]
async fn two_on_a_route_code_once() {
    let (outer, inner) = (compress(), compress());
    let mut exchange = page(asking("gzip"));
    exchange.on_request(&outer).await.unwrap();
    exchange.on_request(&inner).await.unwrap();
    exchange.on_response(&inner).unwrap();
    exchange.on_response(&outer).unwrap();
    assert_eq!(exchange.response_headers().get_all(CONTENT_ENCODING).iter().count(), 1);
    let once = piece(&mut exchange, &inner, b"plain", true);
    assert_eq!(piece(&mut exchange, &outer, &once, true), once);
}

#[tokio::test]
async fn an_error_in_the_place_of_an_answer_is_not_taken_for_it() {
    let filter = compress();
    let mut exchange = page(asking("gzip"));
    assert!(told(&filter, &mut exchange).await.contains_key(CONTENT_ENCODING));
    let mut failed = exchange.with_response_status(StatusCode::BAD_GATEWAY);
    assert_eq!(failed.response_headers()[CONTENT_ENCODING], "gzip");
    // To the filter this is an answer that is coded already.
    failed.on_response(&filter).unwrap();
    assert_eq!(piece(&mut failed, &filter, b"error", true), b"error");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for yaml in [
        "{ algorithms: [] }",
        "{ algorithms: [br, gzip, br] }",
        "{ types: [] }",
        "{ levels: { gzip: 0 } }",
        "{ levels: { br: 12 } }",
        "{ levels: { zstd: 20 } }",
        "{ max_active: 0 }",
    ] {
        assert!(build(yaml).is_err(), "{yaml}");
    }
    assert_eq!(build("{}").unwrap().describe(), "zstd, br, gzip from 1KiB");
}
