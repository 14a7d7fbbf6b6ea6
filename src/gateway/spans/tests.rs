use std::sync::Arc;

use http::HeaderValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Outcomes;

use crate::config::spec::{ClientShown, RedactSpec};
use crate::hooks::Picked;
use crate::runtime::{Uses, WaitedFor};
use crate::telemetry::{Redaction, TraceContext, TraceId};
use crate::tracing::Traced;
use crate::types::Random;

use super::*;

const BEGAN: u64 = 1_900_000_000;

/// A request that began at `now` and took 100 ms.
fn recording(now: Instant) -> Recording {
    let asked = Asked {
        method: Method::GET,
        version: Version::HTTP_2,
        scheme: Scheme::Https,
        host: "a.example".to_owned(),
        target: "/orders/7;sig=of-a-client?token=of-a-client".parse().unwrap(),
        redaction: Arc::new(Redaction::new(&RedactSpec::default(), ClientShown::Full)),
        client: "192.0.2.9".parse().unwrap(),
        listener: "web".parse().unwrap(),
        request_id: HeaderValue::from_static("id-1"),
    };
    let mut recording = Recording::new(Uses::TRACE, now, asked);
    let mut random = Random::with_seed(1);
    let root = TraceContext::root(TraceId::random(&mut random), SpanId::random(&mut random), true);
    recording.traced =
        Some(Traced { context: root, parent: Some(SpanId::random(&mut random)), is_recorded: true });
    recording.end = Some(Ended {
        at: now + Duration::from_millis(100),
        status: Some(StatusCode::OK),
        cause: None,
        grpc_status: None,
        cache: None,
        pool: Some("app".parse().unwrap()),
        endpoint: Some(endpoint()),
        bytes_in: 1,
        bytes_out: 2,
        filtered: None,
        first_byte: None,
    });
    recording
}

fn endpoint() -> Arc<EndpointAddr> {
    Arc::new("10.0.0.7:8080".parse().unwrap())
}

fn made(recording: &Recording) -> Vec<Span> {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGAN) + Duration::from_millis(100);
    spans(recording, recording.end.as_ref().unwrap(), Some("orders"), wall)
}

/// What is told under a name.
fn told(span: &Span, name: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn has_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == Outcomes::Error)
}

#[test]
fn the_answer_is_told_by_the_conventions_and_nothing_that_is_secret() {
    let recording = recording(Instant::now());
    let spans = made(&recording);
    let [answer] = &spans[..] else { panic!("{spans:?}") };
    let traced = recording.traced.as_ref().unwrap();
    assert_eq!((answer.kind(), answer.name.as_str()), (SpanKind::Server, "GET orders"));
    assert_eq!(answer.span_id, traced.context.span_id.bytes());
    assert_eq!(answer.parent_span_id, traced.parent.unwrap().bytes());
    assert_eq!(answer.flags, 0x301, "sampled, and the parent is elsewhere");
    assert_eq!(answer.start_time_unix_nano, BEGAN * 1_000_000_000);
    assert_eq!(answer.end_time_unix_nano - answer.start_time_unix_nano, 100_000_000);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "orders"),
        ("url.scheme", "https"),
        ("url.path", "/orders/7;sig=***"),
        ("server.address", "a.example"),
        ("client.address", "192.0.2.9"),
        ("network.protocol.version", "2"),
        ("evener.request_id", "id-1"),
        ("evener.pool", "app"),
        ("evener.endpoint", "10.0.0.7:8080"),
        ("http.response.body.size", "2"),
    ] {
        assert_eq!(told(answer, name).as_deref(), Some(value), "{name}");
    }
    assert!(!has_failed(answer) && told(answer, "error.type").is_none());
    assert!(!format!("{answer:?}").contains("of-a-client"));
}

#[test]
fn failures_are_the_servers_and_not_what_clients_do_wrong() {
    for (status, cause, error, failed) in [
        (Some(404), None, None, false),
        (Some(503), None, Some("503"), true),
        (Some(429), Some(Cause::BodyTooLarge), Some("body_too_large"), false),
        (Some(502), Some(Cause::ConnectFailed), Some("connect_failed"), true),
        (None, Some(Cause::ClientGone), Some("client_gone"), false),
    ] {
        let mut recording = recording(Instant::now());
        let end = recording.end.as_mut().unwrap();
        end.status = status.map(|status| StatusCode::from_u16(status).unwrap());
        end.cause = cause;
        let spans = made(&recording);
        assert_eq!(
            (told(&spans[0], "error.type").as_deref(), has_failed(&spans[0])),
            (error, failed),
            "{status:?}"
        );
    }
}

#[test]
fn what_a_client_makes_up_is_no_name() {
    let mut recording = recording(Instant::now());
    recording.asked.method = Method::from_bytes(b"BREW").unwrap();
    recording.asked.target = format!("/{}", "%C3%A4".repeat(1000)).parse().unwrap();
    let spans = made(&recording);
    assert_eq!(spans[0].name, "HTTP orders");
    assert_eq!(told(&spans[0], "http.request.method").unwrap(), "_OTHER");
    assert_eq!(told(&spans[0], "http.request.method_original").unwrap(), "BREW");
    assert_eq!(told(&spans[0], "url.path").unwrap().len(), LONGEST_PATH);
    assert_eq!(path(&"ä".repeat(1000)).len(), LONGEST_PATH);
    assert_eq!(path(&format!("a{}", "ä".repeat(1000))).len(), LONGEST_PATH - 1, "characters stay whole");
}

#[test]
fn filters_have_spans_where_they_took_time_or_decided() {
    let now = Instant::now();
    let mut recording = recording(now);
    let run = |name: &str, micros, verdict| FilterRun {
        name: name.to_owned(),
        began: now,
        took: Duration::from_micros(micros),
        verdict,
    };
    let rejected = FilterVerdict::Rejected(StatusCode::TOO_MANY_REQUESTS, "rate_limited".to_owned());
    recording.filters = [
        run("fast", 100, FilterVerdict::Continued),
        run("slow", 101, FilterVerdict::Continued),
        run("rate_limit", 1, rejected),
        run("jwt", 1, FilterVerdict::Failed(Cause::HookPanicked)),
    ]
    .into_iter()
    .collect();
    let spans = made(&recording);
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), has_failed(span))).collect();
    assert_eq!(
        names,
        [("GET orders", false), ("filter slow", false), ("filter rate_limit", false), ("filter jwt", true)]
    );
    assert_eq!(told(&spans[2], "evener.cause").unwrap(), "rate_limited");
    assert_eq!(told(&spans[2], "http.response.status_code").unwrap(), "429");
    for span in &spans[1..] {
        assert_eq!((span.kind(), &span.parent_span_id), (SpanKind::Internal, &spans[0].span_id));
        assert_eq!(span.flags, 0x101);
    }
}

#[test]
fn each_attempt_is_a_request_to_its_endpoint() {
    let now = Instant::now();
    let mut recording = recording(now);
    let of_first = SpanId::random(&mut Random::with_seed(5));
    let mut first = Attempt::new(endpoint(), WhyAttempt::First, now);
    first.span = Some(of_first);
    first.come_to(Outcome::Failed(Cause::ConnectFailed));
    first.end(now + Duration::from_millis(10));
    let unix = Arc::new("unix:run/app.sock".parse().unwrap());
    let mut second =
        Attempt::new(unix, WhyAttempt::Retry(Cause::ConnectFailed), now + Duration::from_millis(20));
    second.come_to(Outcome::Answered(StatusCode::NOT_FOUND));
    recording.begin_attempt(first);
    recording.begin_attempt(second);
    recording.picks.push(PickRun {
        pool: "app".parse().unwrap(),
        policy: "p2c".to_owned(),
        began: now + Duration::from_millis(10),
        ended: now + Duration::from_millis(20),
        picked: Picked::default(),
        waited_for: Some(WaitedFor::BackOff),
        out: Default::default(),
        found: Ok(endpoint()),
    });
    let spans = made(&recording);
    let [answer, wait, first, second] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(
        (wait.name.as_str(), told(wait, "evener.waited_for").as_deref()),
        ("wait app", Some("back_off"))
    );
    assert_eq!((first.kind(), first.name.as_str(), has_failed(first)), (SpanKind::Client, "GET app", true));
    assert_eq!(first.span_id, of_first.bytes(), "as its endpoint was told");
    assert_eq!(told(first, "server.address").unwrap(), "10.0.0.7");
    assert_eq!(told(first, "server.port").unwrap(), "8080");
    assert_eq!(
        (told(first, "error.type").as_deref(), told(first, "http.request.resend_count")),
        (Some("connect_failed"), None)
    );
    assert_eq!(first.end_time_unix_nano - first.start_time_unix_nano, 10_000_000);
    assert_eq!(told(second, "http.request.resend_count").unwrap(), "1");
    assert_eq!(told(second, "evener.retry.cause").unwrap(), "connect_failed");
    assert_eq!(told(second, "network.transport").unwrap(), "unix");
    assert!(has_failed(second), "to whoever asks, a 404 is a failure");
    assert_eq!(second.end_time_unix_nano, answer.end_time_unix_nano, "it ends with the answer");
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(spans[1..].iter().all(|span| span.parent_span_id == answer.span_id));
}
