//! Conditional requests.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::support::Response;

use super::Site;

/// Sun, 06 Nov 1994 08:49:37 GMT
async fn dated(settings: &str) -> (Site, Response) {
    let site = Site::with(settings, &[("a.txt", "hello")]).await;
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    File::open(site.path("a.txt")).unwrap().set_modified(then).unwrap();
    let response = site.get("/a.txt").await;
    (site, response)
}

const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let (site, first) = dated("expires: 1h").await;
    assert_eq!(first.header("last-modified"), Some(THEN));
    let etag = first.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let known = [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"x\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {THEN}\r\n"),
        format!("If-None-Match: {etag}\r\nIf-Modified-Since: {BEFORE}\r\nRange: bytes=0-1\r\n"),
    ];
    for fields in &known {
        for method in ["GET", "HEAD"] {
            let mut client = site.edge.connect().await;
            client.send(format!("{method} /a.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
            let response = client.response().await;
            assert_eq!(response.status, 304, "{fields}");
            assert_eq!(response.header("etag"), Some(etag));
            assert_eq!(response.header("cache-control"), Some("max-age=3600"));
            assert_eq!(response.header("content-length"), None);
            assert_eq!(response.header("content-type"), None);
            client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.text(), "hello", "the connection goes on");
        }
    }
    let other = [
        "If-None-Match: \"x\"\r\n".to_owned(),
        format!("If-Modified-Since: {BEFORE}\r\n"),
        format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {THEN}\r\n"),
        "If-Modified-Since: soon\r\n".to_owned(),
    ];
    for fields in &other {
        assert_eq!(site.ask("GET", "/a.txt", fields).await.text(), "hello", "{fields}");
    }
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_told() {
    let (site, first) = dated("").await;
    let etag = first.header("etag").unwrap();
    for fields in [
        "If-Match: \"x\"\r\n".to_owned(),
        format!("If-Match: W/{etag}\r\n"),
        format!("If-Unmodified-Since: {BEFORE}\r\n"),
        format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"),
    ] {
        let response = site.ask("GET", "/a.txt", &fields).await;
        assert_eq!((response.status, response.text()), (412, ""), "{fields}");
    }
    let holds = format!("If-Match: {etag}\r\nIf-Unmodified-Since: {BEFORE}\r\n");
    assert_eq!(site.ask("GET", "/a.txt", &holds).await.text(), "hello");
}

#[tokio::test]
async fn a_change_is_another_state() {
    let (site, first) = dated("").await;
    let etag = first.header("etag").unwrap();
    site.put("a.txt", "other");
    let response = site.ask("GET", "/a.txt", &format!("If-None-Match: {etag}\r\n")).await;
    assert_eq!(response.text(), "other");
    assert_ne!(response.header("etag"), Some(etag));
}

#[tokio::test]
async fn a_file_of_tomorrow_is_of_now() {
    let (site, _) = dated("").await;
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    File::open(site.path("a.txt")).unwrap().set_modified(tomorrow).unwrap();
    let response = site.get("/a.txt").await;
    let date = |name| httpdate::parse_http_date(response.header(name).unwrap()).unwrap();
    assert!(date("last-modified") <= date("date"));
}

#[tokio::test]
async fn what_tells_of_no_file_is_not_kept_as_long_as_it() {
    let site = Site::with("expires: 365d, immutable: true", &[("a.txt", "hello")]).await;
    let kept = Some("max-age=31536000, immutable");
    for (field, status, expected) in [
        ("", 200, kept),
        ("Range: bytes=0-1\r\n", 206, kept),
        ("If-None-Match: *\r\n", 304, kept),
        ("If-Match: \"other\"\r\n", 412, None),
        ("Range: bytes=9-\r\n", 416, None),
    ] {
        let response = site.ask("GET", "/a.txt", field).await;
        assert_eq!((response.status, response.header("cache-control")), (status, expected), "{field}");
    }
}
