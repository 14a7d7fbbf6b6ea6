use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hooks::testing::{self, Exchange};
use crate::hooks::{FetchError, Filter, Flow, Needs};

use super::Mirror;

/// The copies that came.
type Came = Arc<Mutex<Vec<Request<Bytes>>>>;

fn mirror(yaml: &str) -> (Mirror, Came) {
    let came = Came::default();
    let seen = came.clone();
    let shadow = testing::pool_client(move |request| {
        seen.lock().push(request.clone());
        match request.uri().path() {
            "/fails" => Err(FetchError::TimedOut),
            _ => Ok(Response::new(Bytes::new())),
        }
    });
    let settings = serde_yaml::from_str(&format!("{{ pool: shadow, {yaml} }}")).unwrap();
    (testing::build_with_clients(&[("shadow", shadow)], settings, Mirror::build).unwrap(), came)
}

/// Sends a request with a body in pieces past the filter, and lets its copy arrive.
async fn pass(mirror: &Mirror, mut exchange: Exchange, pieces: &[&'static str]) {
    assert!(matches!(exchange.on_request(mirror).await, Ok(Flow::Continue)));
    send_body(mirror, &mut exchange, pieces, true).await;
}

async fn send_body(mirror: &Mirror, exchange: &mut Exchange, pieces: &[&'static str], ends: bool) {
    exchange.on_upstream_request(mirror).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        let mut body = Some(Bytes::from_static(piece.as_bytes()));
        exchange.on_request_body(mirror, &mut body, ends && index + 1 == pieces.len()).unwrap();
        assert_eq!(body.as_deref(), Some(piece.as_bytes()), "it passes untouched");
    }
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

fn get(target: &str) -> Exchange {
    Exchange::get(target, Instant::now())
}

fn post() -> Exchange {
    get("/").with_method("POST").with_header("transfer-encoding", "chunked")
}

#[tokio::test]
async fn a_copy_is_the_request_and_says_that_it_is_one() {
    let (mirror, came) = mirror("");
    let exchange = get("/a%20b?c=d").with_header("cookie", "a=1").with_header("x-a", "1");
    pass(&mirror, exchange.with_header("x-a", "2"), &[]).await;
    let came = came.lock();
    let [copy] = &came[..] else { panic!("{came:?}") };
    assert_eq!((copy.method().as_str(), copy.uri().to_string().as_str()), ("GET", "/a%20b?c=d"));
    let values = |name| copy.headers().get_all(name).iter().map(|value| value.to_str().unwrap());
    for (name, expected) in [
        ("host", &["www.example.com"][..]),
        ("cookie", &["a=1"]),
        ("x-a", &["1", "2"]),
        ("x-evener-mirror", &["test"]),
        ("x-forwarded-for", &["192.0.2.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &["www.example.com"]),
        ("x-real-ip", &["192.0.2.1"]),
        ("via", &["1.1 evener"]),
        ("x-request-id", &["0193-test"]),
    ] {
        assert_eq!(values(name).collect::<Vec<_>>(), expected, "{name}");
    }
    assert_eq!(mirror.sending.counts(), [1, 0, 0]);
}

#[tokio::test]
async fn some_requests_have_no_copies() {
    let (mirror, came) = mirror("");
    assert_eq!(mirror.needs(), Needs::NOTHING);
    for exchange in [
        post(),
        get("/").with_header("upgrade", "websocket"),
        get("/").with_header("x-evener-mirror", "elsewhere"),
        get("/").with_header("content-type", "application/grpc+proto"),
        get("/").with_header("content-length", "3"),
    ] {
        pass(&mirror, exchange, &["abc"]).await;
    }
    assert!(came.lock().is_empty());
    assert_eq!(mirror.sending.counts(), [0, 0, 1], "a body that nobody wanted");
}

#[tokio::test]
async fn a_share_of_the_requests_is_copied() {
    let (mirror, came) = mirror("percent: 30%");
    for _ in 0..2000 {
        pass(&mirror, get("/"), &[]).await;
    }
    // Six standard deviations on both sides.
    let count = came.lock().len();
    assert!((477..=723).contains(&count), "{count}");
}

#[tokio::test]
async fn bodies_are_copied_up_to_their_limit() {
    let (mirror, came) = mirror("methods: [POST], max_body: 8B");
    assert_eq!(mirror.needs(), Needs::BODIES);
    pass(&mirror, post(), &["1234", "56", "78"]).await;
    pass(&mirror, post(), &["1234", "56789", "0"]).await;
    pass(&mirror, get("/").with_method("POST").with_header("content-length", "9"), &["123456789"]).await;
    pass(&mirror, get("/").with_method("POST").with_header("content-length", "0"), &[]).await;
    pass(&mirror, get("/"), &[]).await;
    let bodies: Vec<_> = came.lock().iter().map(|copy| copy.body().clone()).collect();
    assert_eq!(bodies, ["12345678", ""]);
    assert_eq!(mirror.sending.counts(), [2, 0, 2]);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_copied_once() {
    let (mirror, came) = mirror("methods: [POST]");
    let mut exchange = post();
    exchange.on_request(&mirror).await.unwrap();
    send_body(&mirror, &mut exchange, &["ab"], false).await;
    send_body(&mirror, &mut exchange, &["ab", "cd"], true).await;
    send_body(&mirror, &mut exchange, &["ab", "cd"], true).await;
    let bodies: Vec<_> = came.lock().iter().map(|copy| copy.body().clone()).collect();
    assert_eq!(bodies, ["abcd"]);
}

#[tokio::test]
async fn no_more_copies_are_under_way_than_may_be() {
    let (mirror, came) = mirror("methods: [POST, GET], in_flight: 2");
    let mut held = [post(), post()];
    for exchange in &mut held {
        exchange.on_request(&mirror).await.unwrap();
    }
    pass(&mirror, get("/"), &[]).await;
    assert_eq!(mirror.sending.counts(), [0, 0, 1]);
    // A client that leaves gives its place back.
    drop(held);
    pass(&mirror, get("/"), &[]).await;
    assert_eq!((came.lock().len(), mirror.sending.counts()), (1, [1, 0, 1]));
}

#[tokio::test]
async fn what_the_shadow_answers_is_nothing_to_the_request() {
    let (mirror, _) = mirror("");
    let panics = Arc::new(AtomicUsize::new(0));
    let seen = panics.clone();
    let shadow = testing::pool_client(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        panic!("on purpose")
    });
    pass(&mirror, get("/fails"), &[]).await;
    assert_eq!(mirror.sending.counts(), [0, 1, 0]);
    let settings = serde_yaml::from_str("{ pool: shadow, in_flight: 1 }").unwrap();
    let mirror = testing::build_with_clients(&[("shadow", shadow)], settings, Mirror::build).unwrap();
    pass(&mirror, get("/"), &[]).await;
    pass(&mirror, get("/"), &[]).await;
    assert_eq!(panics.load(Ordering::Relaxed), 2, "the place was given back");
}

#[test]
fn settings_out_of_range_are_refused_at_their_place() {
    for (yaml, key) in [
        ("percent: 0%", "percent"),
        ("percent: 101%", "percent"),
        ("methods: []", "methods"),
        ("max_body: 2MiB", "max_body"),
        ("in_flight: 0", "in_flight"),
        ("in_flight: 10001", "in_flight"),
        ("timeout: 10ms", "timeout"),
        ("timeout: 2m", "timeout"),
    ] {
        let settings = serde_yaml::from_str(&format!("{{ pool: shadow, {yaml} }}")).unwrap();
        let refused = testing::build_among(&["shadow"], settings, Mirror::build);
        assert_eq!(refused.unwrap_err().into_parts().0, [key], "{yaml}");
    }
}
