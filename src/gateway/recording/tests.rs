use std::sync::Arc;

use super::*;
use crate::config::Origin;
use crate::hooks::Scheme;
use crate::runtime::{Registry, Snapshot, Tap, TapFilter, Watchers, assemble};

fn snapshot() -> Arc<Snapshot> {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n";
    assemble(&Origin::test(text), &Registry::with_built_ins(), None).unwrap().snapshot
}

/// A request of 192.0.2.1 on `web`, once its facts are known.
fn request(watchers: &Arc<Watchers>) -> RequestCx {
    let now = Instant::now();
    let mut cx = RequestCx::watched_by(watchers, snapshot(), now);
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

#[tokio::test]
async fn nothing_is_kept_while_nobody_wants_to_know() {
    let watchers: Arc<Watchers> = Arc::default();
    let cx = request(&watchers);
    assert!(cx.recording.is_none() && cx.watchers.is_none());
    assert_eq!(Arc::strong_count(&watchers), 1);
}

#[tokio::test]
async fn a_request_is_recorded_that_a_tap_may_want_and_no_other() {
    let watchers: Arc<Watchers> = Arc::default();
    let filter = |client: &str| TapFilter { client: Some(client.parse().unwrap()), ..TapFilter::default() };
    let tap = Tap::open(&watchers, filter("10.0.0.0/8")).unwrap();
    assert!(request(&watchers).recording.is_none());
    drop(tap);
    let mut tap = Tap::open(&watchers, filter("192.0.2.0/24")).unwrap();
    let mut cx = request(&watchers);
    assert!(cx.recording.is_some());
    finish(Some(StatusCode::OK), (1, 2), &mut cx);
    let end = tap.next().await.end.as_ref().map(|end| (end.status, end.bytes_in, end.bytes_out));
    assert_eq!(end, Some((Some(StatusCode::OK), 1, 2)));
}

#[tokio::test]
async fn a_key_alone_has_nothing_recorded() {
    let watchers: Arc<Watchers> = Arc::default();
    watchers.set(Uses::DEBUG, true);
    assert!(request(&watchers).recording.is_none());
}
