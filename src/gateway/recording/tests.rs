use std::sync::Arc;

use super::*;
use crate::config::Origin;
use crate::hooks::Scheme;
use crate::runtime::{Registry, Snapshot, Tap, TapFilter, assemble};

fn snapshot() -> Arc<Snapshot> {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n";
    assemble(&Origin::test(text), &Registry::with_built_ins(), None).unwrap().snapshot
}

/// A request of 192.0.2.1 on `web`, once its facts are known.
fn request(snapshot: &Arc<Snapshot>) -> RequestCx {
    let now = Instant::now();
    let mut cx = RequestCx::new(snapshot.clone(), now);
    cx.facts = Some(Facts {
        client_ip: [192, 0, 2, 1].into(),
        connection: 1,
        listener: "web".parse().unwrap(),
        scheme: Scheme::Http,
        tls: None,
        request_id: HeaderValue::from_static("1"),
        received: now,
    });
    begin(&RequestHeader::build("GET", b"/", None).unwrap(), &mut cx);
    cx
}

fn asked() -> Asked {
    Asked {
        method: http::Method::GET,
        version: http::Version::HTTP_11,
        scheme: Scheme::Http,
        host: "a.example".to_owned(),
        target: "/".parse().unwrap(),
        redaction: snapshot().redaction.clone(),
        client: [192, 0, 2, 1].into(),
        listener: "web".parse().unwrap(),
        request_id: HeaderValue::from_static("1"),
    }
}

#[tokio::test]
async fn nothing_is_kept_while_nobody_wants_to_know() {
    assert!(request(&snapshot()).recording.is_none());
}

#[tokio::test]
async fn a_request_is_recorded_that_a_tap_may_want_and_no_other() {
    let snapshot = snapshot();
    let filter = |client: &str| TapFilter { client: Some(client.parse().unwrap()), ..TapFilter::default() };
    let tap = Tap::open(&snapshot.watchers, filter("10.0.0.0/8")).unwrap();
    assert!(request(&snapshot).recording.is_none());
    drop(tap);
    let mut tap = Tap::open(&snapshot.watchers, filter("192.0.2.0/24")).unwrap();
    let mut cx = request(&snapshot);
    assert!(cx.recording.is_some());
    let end = record::Outcome { status: Some(StatusCode::OK), received: 1, sent: 2, at: Instant::now() };
    finish(&end, &mut cx);
    let end = tap.next().await.end.as_ref().map(|end| (end.status, end.bytes_in, end.bytes_out));
    assert_eq!(end, Some((Some(StatusCode::OK), 1, 2)));
}

#[tokio::test]
async fn a_key_alone_has_nothing_recorded() {
    let snapshot = snapshot();
    snapshot.watchers.set(Uses::DEBUG, true);
    assert!(request(&snapshot).recording.is_none());
}

#[tokio::test]
async fn a_tap_outlasts_the_configuration_that_it_was_opened_in() {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n";
    let registry = Registry::with_built_ins();
    let first = assemble(&Origin::test(text), &registry, None).unwrap();
    let tap = Tap::open(&first.snapshot.watchers, TapFilter::default()).unwrap();
    let second = assemble(&Origin::test(text), &registry, Some(&first)).unwrap();
    assert!(request(&second.snapshot).recording.is_some());
    drop(tap);
    assert!(request(&second.snapshot).recording.is_none());
}

#[test]
fn nobody_may_keep_an_answer_that_tells_the_decision() {
    let snapshot = snapshot();
    let mut cx = request(&snapshot);
    cx.recording = Some(Box::new(Recording::new(Uses::DEBUG, cx.received, asked())));
    let mut response = ResponseHeader::build(200, None).unwrap();
    for (name, value) in [
        ("Cache-Control", "public, max-age=60"),
        ("Cache-Control", "immutable"),
        ("CDN-Cache-Control", "max-age=600"),
        ("Cloudflare-CDN-Cache-Control", "max-age=600"),
        ("Surrogate-Control", "max-age=600"),
        ("X-Accel-Expires", "600"),
        ("Expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ("ETag", "\"1\""),
    ] {
        response.append_header(name, value).unwrap();
    }
    tell_client(&mut response, &cx);
    let mut names: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "etag", "evener-decision"]);
    assert_eq!(response.headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
}
