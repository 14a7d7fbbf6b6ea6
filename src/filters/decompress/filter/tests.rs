use std::io::Write;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, VARY};
use tokio::time::Instant;

use super::*;
use crate::hooks::testing::{self, Exchange};
use crate::hooks::{Filter, Flow};

fn build(yaml: &str) -> Result<Decompress, BuildError> {
    testing::build(serde_yaml::from_str(yaml).unwrap(), Decompress::build)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

/// An answer in that coding to a client that takes those.
fn coded(coding: &str, accepted: &str) -> Exchange {
    let exchange = Exchange::get("/", Instant::now()).with_header("accept-encoding", accepted);
    [("content-encoding", coding), ("content-length", "100"), ("etag", "\"a\""), ("accept-ranges", "bytes")]
        .into_iter()
        .fold(exchange, |exchange, (name, value)| exchange.with_response_header(name, value))
}

async fn told(filter: &Decompress, exchange: &mut Exchange) -> Result<HeaderMap, HookError> {
    assert!(matches!(exchange.on_request(filter).await, Ok(Flow::Continue)));
    exchange.on_response(filter)?;
    Ok(exchange.response_headers().clone())
}

fn piece(
    exchange: &mut Exchange,
    filter: &Decompress,
    bytes: &[u8],
    end: bool,
) -> Result<Vec<u8>, HookError> {
    let mut body = Some(Bytes::copy_from_slice(bytes));
    exchange.on_response_body(filter, &mut body, end)?;
    Ok(body.unwrap_or_default().into())
}

#[tokio::test]
async fn clients_that_do_not_take_the_coding_get_it_off() {
    let filter = build("{}").unwrap();
    for accepted in ["", "identity", "br", "gzip;q=0, *"] {
        let mut exchange = coded("gzip", accepted);
        let headers = told(&filter, &mut exchange).await.unwrap();
        assert_eq!(
            (&headers[ETAG], &headers[VARY]),
            (&HeaderValue::from_static("W/\"a--plain\""), &HeaderValue::from_static("Accept-Encoding"))
        );
        for gone in [CONTENT_ENCODING, CONTENT_LENGTH, ACCEPT_RANGES] {
            assert!(!headers.contains_key(&gone), "{gone}");
        }
        let bytes = gzip(b"plain");
        let mut plain = piece(&mut exchange, &filter, &bytes[..12], false).unwrap();
        plain.extend(piece(&mut exchange, &filter, &bytes[12..], true).unwrap());
        assert_eq!(plain, b"plain");
    }
    for accepted in ["gzip", "x-gzip, br", "*;q=0.1"] {
        let mut exchange = coded("gzip", accepted);
        let headers = told(&filter, &mut exchange).await.unwrap();
        assert_eq!(
            (&headers[CONTENT_ENCODING], &headers[ETAG]),
            (&HeaderValue::from_static("gzip"), &HeaderValue::from_static("\"a\""))
        );
        assert_eq!(piece(&mut exchange, &filter, b"as it is", true).unwrap(), b"as it is");
    }
}

#[tokio::test]
async fn always_means_every_client_and_every_coding() {
    let filter = build("{ always: true }").unwrap();
    let mut exchange = coded("gzip", "gzip");
    let headers = told(&filter, &mut exchange).await.unwrap();
    assert!(!headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(VARY));
    assert_eq!(piece(&mut exchange, &filter, &gzip(b"plain"), true).unwrap(), b"plain");
    // RFC 9110 §8.4.1: nothing was done to it.
    assert!(told(&filter, &mut coded("identity", "")).await.unwrap().contains_key(CONTENT_LENGTH));
    for coding in ["compress", "gzip, br"] {
        let error = told(&filter, &mut coded(coding, "gzip")).await.unwrap_err();
        assert_eq!((error.status(), error.cause()), (StatusCode::BAD_GATEWAY, "decompress_failed"));
    }
    let mut twice = coded("gzip", "").with_response_header("content-encoding", "br");
    assert!(told(&filter, &mut twice).await.is_err());
    let lenient = build("{}").unwrap();
    assert!(told(&lenient, &mut coded("compress", "")).await.unwrap().contains_key(CONTENT_LENGTH));
}

#[tokio::test]
async fn what_must_stay_as_it_is_does() {
    let filter = build("{}").unwrap();
    for (name, value) in [("cache-control", "no-transform"), ("content-range", "bytes 0-99/200")] {
        let mut exchange = coded("gzip", "").with_response_header(name, value);
        assert!(told(&filter, &mut exchange).await.unwrap().contains_key(CONTENT_ENCODING), "{name}");
    }
    for status in [StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED] {
        let mut exchange = coded("gzip", "").with_response_status(status);
        assert!(told(&filter, &mut exchange).await.unwrap().contains_key(CONTENT_ENCODING), "{status}");
    }
    let mut head = coded("gzip", "").with_method("HEAD");
    assert!(!told(&filter, &mut head).await.unwrap().contains_key(CONTENT_LENGTH));
    assert!(piece(&mut head, &filter, b"", true).unwrap().is_empty());
}

#[tokio::test]
async fn parts_are_not_asked_for_where_they_could_not_be_decoded() {
    let all = "gzip, br, zstd, deflate";
    for (settings, accepted, stays) in
        [("{}", "", false), ("{}", "gzip", false), ("{}", all, true), ("{ always: true }", all, false)]
    {
        let filter = build(settings).unwrap();
        let mut exchange = coded("gzip", accepted).with_header("range", "bytes=0-9");
        exchange = exchange.with_header("if-range", "\"a\"");
        exchange.on_request(&filter).await.unwrap();
        for name in [RANGE, IF_RANGE] {
            assert_eq!(exchange.request_headers().contains_key(&name), stays, "{settings} {accepted}");
        }
        exchange.on_response(&filter).unwrap();
        let headers = exchange.response_headers();
        assert_eq!(headers.contains_key(ACCEPT_RANGES), stays, "{settings} {accepted}");
    }
}

#[tokio::test]
async fn a_copy_that_was_decoded_is_asked_for_by_the_tag_of_the_coded_one() {
    let filter = build("{}").unwrap();
    let mut exchange = Exchange::get("/", Instant::now())
        .with_header("if-none-match", "W/\"a--plain\"")
        .with_response_status(StatusCode::NOT_MODIFIED)
        .with_response_header("etag", "\"a\"");
    let headers = told(&filter, &mut exchange).await.unwrap();
    assert_eq!(exchange.request_headers()[IF_NONE_MATCH], "\"a\"");
    assert_eq!(
        (&headers[ETAG], &headers[VARY]),
        (&"W/\"a--plain\"".parse().unwrap(), &"Accept-Encoding".parse().unwrap())
    );
}

#[tokio::test]
async fn bombs_and_half_bodies_are_broken_off_with_a_word() {
    let filter = build("{ max_size: 1kB }").unwrap();
    let mut exchange = coded("gzip", "");
    told(&filter, &mut exchange).await.unwrap();
    let error = piece(&mut exchange, &filter, &gzip(&[0; 1001]), true).unwrap_err();
    assert_eq!((error.status(), error.cause()), (StatusCode::BAD_GATEWAY, "decompress_bomb"));
    let mut exchange = coded("gzip", "");
    told(&filter, &mut exchange).await.unwrap();
    let half = gzip(b"plain");
    let error = piece(&mut exchange, &filter, &half[..half.len() - 1], true).unwrap_err();
    assert_eq!((error.status(), error.cause()), (StatusCode::BAD_GATEWAY, "decompress_failed"));
}

#[tokio::test]
async fn without_memory_the_answer_fails_rather_than_pass() {
    let filter = build("{ memory: 32MiB }").unwrap();
    let from = |client: u8, coding| coded(coding, "").from_client([10, 0, 0, client].into());
    let mut first = from(1, "br");
    told(&filter, &mut first).await.unwrap();
    let error = told(&filter, &mut from(2, "br")).await.unwrap_err();
    assert_eq!((error.status(), error.cause()), (StatusCode::SERVICE_UNAVAILABLE, "decompress_busy"));
    // It is counted as what its window takes once that is known.
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
    writer.write_all(b"plain").unwrap();
    let bytes = writer.into_inner();
    piece(&mut first, &filter, &bytes[..1], false).unwrap();
    told(&filter, &mut from(2, "br")).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_slowly_keeps_nobody_else_out() {
    let filter = build("{ memory: 32MiB }").unwrap();
    let mut slow = Vec::new();
    loop {
        let mut exchange = coded("gzip", "");
        if told(&filter, &mut exchange).await.is_err() {
            break;
        }
        slow.push(exchange);
    }
    assert_eq!(slow.len(), 256, "half of it");
    let mut other = coded("gzip", "").from_client([10, 0, 0, 2].into());
    told(&filter, &mut other).await.unwrap();
    assert_eq!(piece(&mut other, &filter, &gzip(b"x"), true).unwrap(), b"x");
    // What has ended holds only what its client has not taken.
    for exchange in &mut slow[..2] {
        piece(exchange, &filter, &gzip(&[b'x'; 60_000]), true).unwrap();
    }
    assert!(told(&filter, &mut coded("gzip", "")).await.is_err());
    slow.clear();
    told(&filter, &mut coded("gzip", "")).await.unwrap();
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for yaml in ["{ max_size: 0B }", "{ max_ratio: 1 }", "{ max_ratio: 201 }", "{ memory: 31MiB }"] {
        assert!(build(yaml).is_err(), "{yaml}");
    }
    assert_eq!(build("{ always: true }").unwrap().describe(), "for all, up to 100MiB");
}
