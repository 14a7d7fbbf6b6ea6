use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use super::*;
use crate::config::spec::{ClientShown, RedactSpec};
use crate::hooks::Scheme;
use crate::runtime::recording::{Asked, Attempt, Ended, WhyAttempt};
use crate::runtime::{Cause, Outcome};
use crate::telemetry::Redaction;

fn asked(client: &str) -> Asked {
    Asked {
        method: Method::GET,
        version: Version::HTTP_11,
        scheme: Scheme::Http,
        host: "example.com".to_owned(),
        target: "/api/users;sig=secret?token=secret".parse().unwrap(),
        redaction: Arc::new(Redaction::new(&RedactSpec::default(), ClientShown::Full)),
        client: client.parse().unwrap(),
        listener: "web".parse().unwrap(),
        request_id: http::HeaderValue::from_static("1"),
    }
}

fn ended(client: &str) -> Arc<Recording> {
    let now = Instant::now();
    let mut recording = Recording::new(Uses::TAP, now, asked(client));
    let mut attempt = Attempt::new(Arc::new("127.0.0.1:9001".parse().unwrap()), WhyAttempt::First, now);
    attempt.come_to(Outcome::Failed(Cause::ConnectFailed));
    recording.begin_attempt(attempt);
    recording.end = Some(Ended {
        at: now,
        status: Some(StatusCode::BAD_GATEWAY),
        cause: Some(Cause::ConnectFailed),
        grpc_status: None,
        cache: None,
        pool: Some("app".parse().unwrap()),
        endpoint: None,
        bytes_in: 0,
        bytes_out: 0,
        filtered: None,
        first_byte: None,
    });
    Arc::new(recording)
}

fn filter(text: &str) -> TapFilter {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_request_is_wanted_that_is_like_all_that_is_given() {
    let recording = ended("10.1.2.3");
    for (text, expected) in [
        ("{}", true),
        (r#"{"client":"10.0.0.0/8","status":"5xx","pool":"app"}"#, true),
        (r#"{"client":"10.0.0.0/8","status":"4xx"}"#, false),
        (r#"{"client":"192.0.2.0/24"}"#, false),
        (r#"{"status":"connect_failed","host":"example.com","path":"/api"}"#, true),
        (r#"{"status":"502","listener":"web","endpoint":"127.0.0.1:9001"}"#, true),
        (r#"{"endpoint":"127.0.0.1:9002"}"#, false),
        (r#"{"host":"*.example.com"}"#, false),
        (r#"{"path":"/users"}"#, false),
        (r#"{"listener":"other"}"#, false),
        (r#"{"route":"api"}"#, false),
        (r#"{"pool":"other"}"#, false),
    ] {
        assert_eq!(filter(text).matches(&recording), expected, "{text}");
    }
}

#[tokio::test]
async fn nobody_is_watched_once_all_taps_are_gone() {
    let watchers: Arc<Watchers> = Arc::default();
    let open = || Tap::open(&watchers, TapFilter::default());
    let taps: Vec<_> = (0..MOST_TAPS).map(|_| open().unwrap()).collect();
    assert_eq!(open().unwrap_err(), TooManyTaps);
    assert!(watchers.uses().has(Uses::TAP));
    drop(taps);
    assert!(watchers.uses().is_none());
    let mut tap = open().unwrap();
    watchers.tell(&ended("10.1.2.3"));
    assert_eq!(tap.next().await.asked.host, "example.com");
}

#[test]
fn what_comes_too_fast_is_counted() {
    let watchers: Arc<Watchers> = Arc::default();
    let tap = Tap::open(&watchers, TapFilter::default()).unwrap();
    let recording = ended("10.1.2.3");
    (0..MOST_A_SECOND + 17).for_each(|_| watchers.tell(&recording));
    assert_eq!(tap.take_missed(), 17);
    assert_eq!(tap.take_missed(), 0);
}

#[test]
fn what_nobody_takes_is_counted_and_holds_nobody_up() {
    let watchers: Arc<Watchers> = Arc::default();
    let tap = Tap::open(&watchers, TapFilter::default()).unwrap();
    let end = |second: u64| {
        let mut recording = Arc::into_inner(ended("10.1.2.3")).unwrap();
        recording.end.as_mut().unwrap().at += std::time::Duration::from_secs(second);
        Arc::new(recording)
    };
    let recordings: Vec<_> = (0..4).map(end).collect();
    let (told, is_told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for recording in recordings {
            (0..MOST_A_SECOND).for_each(|_| watchers.tell(&recording));
        }
        told.send(())
    });
    // Whoever would wait for room in the queue waits for good.
    is_told.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert_eq!(tap.take_missed() as usize, 4 * MOST_A_SECOND as usize - QUEUE);
}

#[test]
fn only_requests_that_somebody_may_want_are_recorded() {
    let watchers: Arc<Watchers> = Arc::default();
    let _tap = Tap::open(&watchers, filter(r#"{"client":"10.0.0.0/8"}"#)).unwrap();
    let now = Instant::now();
    let wants = |client: &str| watchers.wants(client.parse().unwrap(), &"web".parse().unwrap(), now);
    assert_eq!([wants("10.1.2.3"), wants("192.0.2.1")], [Uses::TAP, Uses::NONE]);
}

#[test]
fn requests_beyond_the_pace_are_counted_without_their_reasons() {
    let watchers: Arc<Watchers> = Arc::default();
    let tap = Tap::open(&watchers, TapFilter::default()).unwrap();
    let recording = ended("10.1.2.3");
    let now = recording.began;
    let wants = |now| watchers.wants("10.1.2.3".parse().unwrap(), &"web".parse().unwrap(), now);
    (0..MOST_A_SECOND).for_each(|_| watchers.tell(&recording));
    assert_eq!((tap.take_missed(), wants(now)), (0, Uses::COUNTED));
    assert!(!Uses::COUNTED.wants_reasons());
    // One that began so is counted, though another second has begun by its end.
    let mut late = Arc::into_inner(ended("10.1.2.3")).unwrap();
    let next = now + std::time::Duration::from_secs(2);
    (late.uses, late.end.as_mut().unwrap().at) = (Uses::COUNTED, next);
    watchers.tell(&Arc::new(late));
    assert_eq!((tap.take_missed(), wants(next)), (1, Uses::TAP));
}
