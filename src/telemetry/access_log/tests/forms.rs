//! What lines look like, and what never gets into them.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::telemetry::lines::{ConnectionLine, ConnectionTimings, LogLine, WafFinding};
use crate::types::EndpointAddr;

use super::*;

fn text_of<L: LogLine>(spec: &AccessSpec, line: &L) -> String {
    let mut out = Vec::new();
    Form::new(spec).unwrap().write(line, None, Share::ALL, &mut out);
    let text = String::from_utf8(out).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    line.to_owned()
}

fn json_of<L: LogLine>(spec: &AccessSpec, line: &L) -> Value {
    serde_json::from_str(&text_of(spec, line)).unwrap()
}

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn connection(client: &str) -> ConnectionLine<'_> {
    ConnectionLine {
        began: line("").began,
        client: client.parse().ok(),
        listener: "postgres",
        protocol: "TCP",
        server_name: None,
        pool: Some("postgres"),
        endpoint: None,
        attempts: 1,
        bytes_in: 0,
        bytes_out: 9,
        datagrams_in: None,
        datagrams_out: None,
        ended: "finished",
        closed_by: "client",
        ms: ConnectionTimings::default(),
    }
}

#[test]
fn json_has_all_that_there_is_in_its_order() {
    let endpoint: EndpointAddr = "10.0.0.7:8080".parse().unwrap();
    let full = AccessLine {
        cause: Some("waf_blocked"),
        grpc_status: Some(7),
        rate_limit: Some("allowed"),
        waf: Some(WafFinding { verdict: "blocked", score: Some(5), rules: &[942_100] }),
        cache: Some("miss"),
        pool: Some("app"),
        endpoint: Some(&endpoint),
        user_agent: Some(b"curl/8"),
        ms: Timings { filters: Some(Millis(Duration::from_micros(7))), ..line("").ms },
        ..line("/a?b=1")
    };
    assert_eq!(
        text_of(&AccessSpec::default(), &full),
        r#"{"time":"2030-01-01T00:00:00.250Z","request_id":"id","client":"192.0.2.77","listener":"web","protocol":"HTTP/1.1","method":"GET","host":"example.com","target":"/a?b=1","status":200,"cause":"waf_blocked","grpc_status":7,"rate_limit":"allowed","waf":{"verdict":"blocked","score":5,"rules":[942100]},"cache":"miss","route":"api","pool":"app","endpoint":"10.0.0.7:8080","attempts":0,"bytes_in":0,"bytes_out":2,"ms":{"filters":0.007,"total":1.5},"user_agent":"curl/8"}"#
    );
    assert_eq!(
        text_of(&AccessSpec::default(), &connection("192.0.2.1")),
        r#"{"time":"2030-01-01T00:00:00.250Z","client":"192.0.2.1","listener":"postgres","protocol":"TCP","pool":"postgres","attempts":1,"bytes_in":0,"bytes_out":9,"ended":"finished","closed_by":"client","ms":{"total":0.0}}"#
    );
}

#[test]
fn keys_without_a_value_are_left_out() {
    let empty = AccessLine { request_id: None, client: None, method: "", host: "", target: "", ..line("") };
    let told = json_of(&AccessSpec::default(), &empty);
    for key in ["request_id", "client", "method", "host", "target", "cause", "user_agent", "sampled"] {
        assert_eq!(told.get(key), None, "{told}");
    }
    assert_eq!(told["listener"], "web");
}

#[test]
fn fields_are_chosen_and_members_of_a_group_stand_together() {
    let spec = spec(
        "fields: [ms.total, status, var.auth.user, scheme, path, query, ms.filters, time.clf, request_line, status]",
    );
    let told = AccessLine { ms: Timings { filters: Some(Millis::default()), ..line("").ms }, ..line("/a?b") };
    assert_eq!(
        text_of(&spec, &told),
        r#"{"ms":{"total":1.5,"filters":0.0},"status":200,"var":{"auth.user":"kim"},"scheme":"https","path":"/a","query":"?b","time.clf":"01/Jan/2030:00:00:00 +0000","request_line":"GET /a?b HTTP/1.1"}"#
    );
    assert_eq!(text_of(&self::spec("fields: [cause]"), &line("/")), "{}");
}

#[test]
fn headers_are_told_when_they_are_asked_for() {
    let spec =
        spec("{ request_headers: [Referer, X-Many, Authorization], response_headers: [content-type] }");
    let request = headers(&[
        ("referer", b"https://a.example/?token=abc"),
        ("x-many", b"1"),
        ("x-many", b"2"),
        ("x-many", b"3"),
        ("authorization", b"Basic a2ltOnNlc2FtZQ=="),
    ]);
    let response = headers(&[("content-type", b"text/html")]);
    let told = AccessLine { request_headers: Some(&request), response_headers: Some(&response), ..line("/") };
    let told = json_of(&spec, &told);
    assert_eq!(
        told["request_headers"],
        json!({ "referer": "https://a.example/?token=***", "x-many": "1, 2, 3", "authorization": "***" })
    );
    assert_eq!(told["response_headers"], json!({ "content-type": "text/html" }));
    assert!(Form::new(&spec).unwrap().needs_headers());
    assert!(!Form::new(&AccessSpec::default()).unwrap().needs_headers());
}

#[test]
fn combined_is_apaches() {
    let request = headers(&[("referer", b"https://a.example/\"x")]);
    let told = AccessLine {
        request_headers: Some(&request),
        user_agent: Some(b"Mozilla/5.0 \"(X11)\" \xe9"),
        protocol: "HTTP/2",
        bytes_out: 0,
        ..line("/a?b=1")
    };
    assert_eq!(
        text_of(&spec("format: combined"), &told),
        r#"192.0.2.77 - kim [01/Jan/2030:00:00:00 +0000] "GET /a?b=1 HTTP/2.0" 200 - "https://a.example/\"x" "Mozilla/5.0 \"(X11)\" \xe9""#
    );
    let refused = AccessLine { method: "", target: "", client: None, status: 400, ..line("") };
    assert_eq!(
        text_of(&spec("format: combined"), &refused),
        r#"- - kim [01/Jan/2030:00:00:00 +0000] "-" 400 2 "-" "-""#
    );
    assert_eq!(
        text_of(&spec("format: combined"), &connection("2001:db8::1")),
        r#"2001:db8::1 - - [01/Jan/2030:00:00:00 +0000] "-" - 9 "-" "-""#
    );
}

#[test]
fn a_text_has_its_fields() {
    let spec = spec("format: '{client_ip} {method} {path} {status} {ms.total} {{{cause}}} {scheme} {ended}'");
    assert_eq!(text_of(&spec, &line("/a?b")), "192.0.2.77 GET /a 200 1.5 {-} https -");
}

#[test]
fn clients_are_told_as_far_as_they_may_be() {
    let request = headers(&[("x-forwarded-for", b"192.0.2.77"), ("user-agent", b"curl/8")]);
    let told = AccessLine { request_headers: Some(&request), user_agent: Some(b"curl/8"), ..line("/") };
    let form = "format: '{client} {client_ip} {request_headers.x-forwarded-for} {user_agent} {request_headers.user-agent}'";
    let of = |rest: &str| text_of(&spec(&format!("{form}\n{rest}")), &told);
    assert_eq!(of(""), "192.0.2.77 192.0.2.77 192.0.2.77 curl/8 curl/8");
    assert_eq!(of("client: prefix"), "192.0.2.0 192.0.2.0 *** curl/8 curl/8");
    assert_eq!(of("client: off\nuser_agent: false"), "- - *** - -");
}

#[test]
fn a_line_says_of_how_many_it_stands_for_one() {
    let mut out = Vec::new();
    let form = Form::new(&AccessSpec::default()).unwrap();
    form.write(&line("/"), None, "0.25%".parse().unwrap(), &mut out);
    let told: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(told["sampled"], 0.0025);
}

#[test]
fn values_have_an_end() {
    let long = "a".repeat(20_000);
    let told = json_of(&AccessSpec::default(), &line(&long));
    assert_eq!(told["target"].as_str().unwrap(), format!("{}...", "a".repeat(8192)));
}

#[test]
fn a_route_has_lines_of_its_own() {
    let access = spec("{ sample: { rest: 0% }, fields: [status], request_headers: [referer] }");
    let own = |text: &str| OwnLines::of_requests(&serde_yaml::from_str(text).unwrap(), &access);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&AccessSpec { to: AccessSink::File(path.clone()), ..access.clone() }).unwrap();
    let failed = Occasion { is_error: true, took: None };
    let write = |occasion, own: &OwnLines| {
        if let Some(pending) = log.begin(occasion, Some(own)) {
            pending.write(&line("/own"));
        }
    };
    write(failed, &own("off"));
    write(GOOD, &own("fields: [target]"));
    write(failed, &own("fields: [target]"));
    write(GOOD, &own("sample: { errors: 0% }"));
    write(failed, &own("sample: { errors: 0% }"));
    log.settle(PATIENCE);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, "{\"target\":\"/own\"}\n{\"status\":200}\n");
    assert_eq!(log.left_out(), 2);
}

#[test]
fn what_is_slow_or_wrong_has_its_own_share() {
    let sample = spec("sample: { errors: 50%, rest: 1%, slow: 1s }").sample;
    let share = |is_error, took: u64| {
        Occasion { is_error, took: Some(Duration::from_millis(took)) }.share(&sample).to_string()
    };
    assert_eq!([share(false, 999), share(true, 999)], ["1%", "50%"]);
    assert_eq!([share(false, 1000), share(true, 1000)], ["100%", "100%"]);
}

/// Bytes as a client may send them in a header.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8, Just(b'"'), Just(b'\\')],
        0..60,
    )
}

/// More than a target can be, since that is checked before.
fn target() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "(/[a-z%\"]{0,5}){1,3}[?](token|a|%74oken)=[ -~]{0,20}"]
}

proptest! {
    #[test]
    fn nothing_that_a_client_sends_ends_a_line_or_a_value(
        target in target(), host in any::<String>(), agent in value(), referer in value(), id in value(),
    ) {
        let request = headers(&[("referer", &referer)]);
        let told = AccessLine {
            host: &host,
            request_id: Some(&id),
            user_agent: Some(&agent),
            request_headers: Some(&request),
            ..line(&target)
        };
        let json = json_of(&spec("request_headers: [referer]"), &told);
        prop_assert_eq!(json["status"].as_u64(), Some(200));
        prop_assert_eq!(json["route"].as_str(), Some("api"));
        let combined = regex::Regex::new(
            r#"^192\.0\.2\.77 - kim \[01/Jan/2030:00:00:00 \+0000\] "GET (?:[ !#-\[\]-~]|\\.)* HTTP/1\.1" 200 2 "(?:[ !#-\[\]-~]|\\.)+" "(?:[ !#-\[\]-~]|\\.)+"$"#,
        ).unwrap();
        let text = text_of(&spec("format: combined"), &told);
        prop_assert!(combined.is_match(&text), "{}", text);
        let text = text_of(&spec("format: '<{target}> {host} {request_id} <{user_agent}>'"), &told);
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
    }

    #[test]
    fn no_form_tells_a_secret(before in "[a-z0-9=?&/]{0,8}", name in "(token|PASSWORD|%73ecret|user\\[sig\\])") {
        let target = format!("/{before}?{name}=SECRET&x=1");
        let referer = format!("https://a.example{target}");
        let request = headers(&[("referer", referer.as_bytes()), ("cookie", b"SECRET")]);
        let told = AccessLine { request_headers: Some(&request), ..line(&target) };
        for form in [
            "request_headers: [referer, cookie]",
            "format: combined",
            "format: '{target} {query} {request_line} {request_headers.referer} {request_headers.cookie}'",
            "{ to: journald, request_headers: [referer] }",
        ] {
            let mut out = Vec::new();
            Form::new(&spec(form)).unwrap().write(&told, None, Share::ALL, &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert!(text.contains("***") && !text.contains("SECRET"), "{}", text);
        }
    }
}
