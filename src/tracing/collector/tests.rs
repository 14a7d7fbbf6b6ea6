use http::header::AUTHORIZATION;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

use crate::tracing::testing::{Script, answer_of, collector, settings, spans};

use super::*;

#[tokio::test]
async fn spans_are_sent_as_otlp_has_it() {
    let script = Script::answering([]);
    let headers = vec![(AUTHORIZATION, HeaderValue::from_static("Bearer of-a-token"))];
    let collector = collector(config::Collector { headers, ..settings("http://192.0.2.1:4318") }, &script);
    assert_eq!(collector.send(collector.body(spans(0..2))).await, Ok(0));
    let asked = script.asked.lock().pop().unwrap();
    assert_eq!(
        (asked.head.method, asked.head.uri.to_string()),
        (http::Method::POST, "http://192.0.2.1:4318/v1/traces".to_owned())
    );
    assert_eq!(asked.limit, Duration::from_secs(10));
    assert_eq!(asked.head.headers[CONTENT_TYPE], "application/x-protobuf");
    assert_eq!(asked.head.headers[AUTHORIZATION], "Bearer of-a-token");
    let [of_process] = &asked.body.resource_spans[..] else { panic!("{:?}", asked.body) };
    let told = |name: &str| {
        let attributes = &of_process.resource.as_ref().unwrap().attributes;
        let value = &attributes.iter().find(|attribute| attribute.key == name).unwrap().value;
        format!("{:?}", value.as_ref().unwrap().value)
    };
    assert!(
        told("service.name").contains("\"edge\"") && told("deployment.environment.name").contains("\"test\"")
    );
    assert_eq!(of_process.scope_spans[0].scope.as_ref().unwrap().name, "evener");
    assert_eq!(of_process.scope_spans[0].spans, spans(0..2));
}

#[test]
fn a_url_without_a_path_has_the_usual_one() {
    for (to, expected) in [
        ("http://192.0.2.1:4318", "http://192.0.2.1:4318/v1/traces"),
        ("https://otel.example/", "https://otel.example/v1/traces"),
        ("https://otel.example/otlp/v1/traces", "https://otel.example/otlp/v1/traces"),
        ("https://otel.example/?tenant=a", "https://otel.example/?tenant=a"),
    ] {
        assert_eq!(uri(&to.parse().unwrap()).to_string(), expected);
    }
}

#[test]
fn messages_do_not_tell_what_its_query_says() {
    let collector = collector(settings("https://otel.example/v1/traces?key=SECRET"), &Script::answering([]));
    assert_eq!(collector.to_string(), "https://otel.example/v1/traces?key=…");
}

#[test]
fn answers_say_what_becomes_of_spans() {
    let refusing = |rejected_spans| {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: "no".to_owned() };
        let response = ExportTraceServiceResponse { partial_success: Some(partial) };
        Bytes::from(response.encode_to_vec())
    };
    let judged = |status: u16, headers: &[(&'static str, &str)], body| {
        judge(Ok(answer_of(StatusCode::from_u16(status).unwrap(), headers, body)))
    };
    assert_eq!(judged(200, &[], Bytes::new()), Ok(0));
    assert_eq!(judged(202, &[], Bytes::from_static(b"\xffno protobuf")), Ok(0));
    assert_eq!(judged(200, &[], refusing(3)), Ok(3));
    assert_eq!(judged(200, &[], refusing(-3)), Ok(0));
    let next =
        |status, headers: &[(&'static str, &str)]| judged(status, headers, Bytes::new()).unwrap_err().next;
    for status in [301, 400, 401, 404, 413, 500] {
        assert_eq!(next(status, &[]), Next::Drop, "{status}");
    }
    for status in [429, 502, 503, 504] {
        assert_eq!(next(status, &[]), Next::SendAgain(None), "{status}");
    }
    assert_eq!(next(503, &[("retry-after", "7")]), Next::SendAgain(Some(Duration::from_secs(7))));
    assert_eq!(next(503, &[("retry-after", "soon")]), Next::SendAgain(None));
    assert_eq!(judge(Err(FetchError::TimedOut)).unwrap_err().next, Next::SendAgain(None));
    assert_eq!(judge(Err(FetchError::Unsendable("x".to_owned()))).unwrap_err().next, Next::Drop);
}

#[test]
fn headers_are_not_shown() {
    let mut token = HeaderValue::from_static("of-a-token");
    token.set_sensitive(true);
    let headers = vec![(AUTHORIZATION, token)];
    let collector =
        collector(config::Collector { headers, ..settings("http://192.0.2.1") }, &Script::answering([]));
    let shown = format!("{collector:?} {collector}");
    assert!(shown.contains("192.0.2.1") && !shown.contains("of-a-token"), "{shown}");
}
