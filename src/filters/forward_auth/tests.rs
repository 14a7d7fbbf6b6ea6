use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hooks::testing::{self, Exchange};
use crate::hooks::{BuildError, FetchError, Flow};

use super::ForwardAuth;

/// What the service was asked, as lines of a head.
type Asked = Arc<Mutex<Vec<Vec<String>>>>;

fn lines(request: &Request<Bytes>) -> Vec<String> {
    let mut lines: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines.insert(0, format!("{} {}", request.method(), request.uri()));
    lines
}

/// The filter before a service that answers like this.
fn with_service(
    yaml: &str,
    answer: impl Fn() -> Result<Response<Bytes>, FetchError> + Send + Sync + 'static,
) -> (ForwardAuth, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let service = testing::pool_client(move |request| {
        seen.lock().push(lines(request));
        answer()
    });
    let settings = serde_yaml::from_str(&format!("{{ pool: auth, {yaml} }}")).unwrap();
    let filter = testing::build_with_clients(&[("auth", service)], settings, ForwardAuth::build);
    (filter.unwrap(), asked)
}

fn response(status: u16, fields: &[(&str, &str)], body: &'static str) -> Result<Response<Bytes>, FetchError> {
    let builder = Response::builder().status(status);
    let add = |builder: http::response::Builder, (name, value): &(&str, &str)| builder.header(*name, *value);
    Ok(fields.iter().fold(builder, add).body(Bytes::from_static(body.as_bytes())).unwrap())
}

fn refused(yaml: &str) -> (Vec<String>, String) {
    let settings = serde_yaml::from_str(&format!("{{ pool: auth, {yaml} }}")).unwrap();
    let (key, message, _) =
        testing::build_among(&["auth"], settings, ForwardAuth::build).unwrap_err().into_parts();
    (key, message)
}

fn all<'e>(exchange: &'e Exchange, name: &str) -> Vec<&'e str> {
    exchange.request_headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn the_service_is_told_of_the_request() {
    let (filter, asked) = with_service("path: '/verify?a=b', host: auth.example", || response(200, &[], ""));
    let mut exchange = Exchange::get("/a%20b?c=d", Instant::now())
        .with_method("PUT")
        .with_header("cookie", "sid=1")
        .with_header("authorization", "Bearer t")
        .with_header("content-length", "9")
        .with_header("x-other", "1");
    assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
    let expected = [
        "GET /verify?a=b",
        "authorization: Bearer t",
        "cookie: sid=1",
        "host: auth.example",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: www.example.com",
        "x-forwarded-method: PUT",
        "x-forwarded-proto: http",
        "x-forwarded-uri: /a%20b?c=d",
        "x-request-id: 0193-test",
    ];
    assert_eq!(*asked.lock(), [expected]);
}

#[tokio::test]
async fn a_trusted_proxy_knows_host_and_scheme_better() {
    let (filter, asked) = with_service("", || response(200, &[], ""));
    let exchange = Exchange::get("/", Instant::now()).with_header("x-forwarded-proto", "https");
    let mut exchange = exchange.with_header("x-forwarded-host", "outer.example");
    exchange.on_request(&filter).await.unwrap();
    let asked = asked.lock();
    assert!(asked[0].contains(&"x-forwarded-proto: https".to_owned()), "{asked:?}");
    assert!(asked[0].contains(&"x-forwarded-host: outer.example".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn endpoints_believe_the_service_and_nobody_else() {
    let keys = "send: [X-User], to_request: [X-User, X-Groups], vars: { auth.user: X-User }";
    let answer = [("x-user", "ada"), ("x-groups", "a"), ("x-groups", "b"), ("x-else", "1")];
    let (filter, _) = with_service(keys, move || response(204, &answer, ""));
    let spoofed = || {
        let exchange = Exchange::get("/", Instant::now()).with_header("x-user", "root");
        exchange.with_header("x_user", "root").with_header("x-groups", "wheel")
    };
    let mut exchange = spoofed();
    assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
    assert_eq!(all(&exchange, "x-user"), ["ada"]);
    assert_eq!(all(&exchange, "x-groups"), ["a", "b"]);
    assert_eq!(all(&exchange, "x_user").len() + all(&exchange, "x-else").len(), 0);
    assert_eq!(exchange.var("auth.user"), Some(&b"ada"[..]));

    // Also where the service says nothing of them.
    let (filter, _) = with_service(keys, || response(200, &[], ""));
    let mut exchange = spoofed();
    assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
    for name in ["x-user", "x_user", "x-groups"] {
        assert_eq!(all(&exchange, name), [""; 0]);
    }
    assert_eq!(exchange.var("auth.user"), None);
}

/// What the client gets: status, headers and body.
async fn denial(filter: &ForwardAuth) -> (u16, Vec<String>, Bytes) {
    match Exchange::get("/", Instant::now()).on_request(filter).await.unwrap() {
        Flow::Respond(answer) => {
            let mut fields: Vec<_> = answer
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            fields.sort();
            (answer.status.as_u16(), fields, answer.body.as_whole().unwrap().clone())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_and_a_redirect_are_the_clients() {
    let login = [("location", "https://login.example/"), ("set-cookie", "s=1"), ("x-internal", "1")];
    let (filter, _) = with_service("", move || response(302, &login, ""));
    let expected = ["cache-control: no-store", "location: https://login.example/", "set-cookie: s=1"];
    assert_eq!(denial(&filter).await, (302, expected.map(str::to_owned).to_vec(), Bytes::new()));

    let fields =
        [("www-authenticate", "Bearer"), ("content-type", "text/plain"), ("cache-control", "private")];
    let (filter, _) = with_service("max_body: 4B", move || response(401, &fields, "four"));
    let expected = ["cache-control: private", "content-type: text/plain", "www-authenticate: Bearer"];
    assert_eq!(denial(&filter).await, (401, expected.map(str::to_owned).to_vec(), Bytes::from("four")));
    // Half a page is no page.
    let (filter, _) = with_service("max_body: 3B", move || response(401, &fields, "four"));
    let expected = ["cache-control: private", "www-authenticate: Bearer"];
    assert_eq!(denial(&filter).await, (401, expected.map(str::to_owned).to_vec(), Bytes::new()));

    let (filter, _) = with_service("to_client: [X-Why, Content-Type]", || {
        response(403, &[("x-why", "no"), ("location", "/"), ("content-type", "a/b")], "x")
    });
    let expected = ["cache-control: no-store", "content-type: a/b", "x-why: no"];
    assert_eq!(denial(&filter).await, (403, expected.map(str::to_owned).to_vec(), Bytes::from("x")));
}

#[tokio::test]
async fn without_an_answer_to_go_by_nobody_passes() {
    type Fails = fn() -> Result<Response<Bytes>, FetchError>;
    let failures: [Fails; 8] = [
        || response(500, &[], ""),
        || response(503, &[], ""),
        || response(304, &[], ""),
        || response(300, &[], ""),
        || Err(FetchError::TimedOut),
        || Err(FetchError::NoEndpoint),
        || Err(FetchError::HeadTooLarge(1)),
        || Err(FetchError::Broken("half".to_owned())),
    ];
    for fails in failures {
        let (filter, _) = with_service("to_request: [X-User]", fails);
        let mut exchange = Exchange::get("/", Instant::now()).with_header("x-user", "root");
        let Ok(Flow::Reject(rejection)) = exchange.on_request(&filter).await else { panic!("it passed") };
        assert_eq!((rejection.status.as_u16(), &*rejection.cause), (503, "auth_unavailable"));
        assert_eq!(all(&exchange, "x-user"), [""; 0]);
    }
    let (filter, asked) = with_service("", || response(200, &[], ""));
    let exchange = Exchange::get("/", Instant::now()).with_header("authorization", "a");
    let flow = exchange.with_header("authorization", "b").on_request(&filter).await.unwrap();
    assert!(matches!(flow, Flow::Reject(rejection) if rejection.status == 400));
    assert!(asked.lock().is_empty());
}

#[tokio::test]
async fn the_client_gets_what_is_meant_for_it() {
    let fields = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-plan", "free")];
    let (filter, _) = with_service("to_response: [Set-Cookie, X-Plan]", move || response(200, &fields, ""));
    let exchange = Exchange::get("/", Instant::now()).with_response_header("set-cookie", "own=1");
    let mut exchange = exchange.with_response_header("x-plan", "gold");
    exchange.on_request(&filter).await.unwrap();
    exchange.on_response(&filter).unwrap();
    let all = |name| exchange.response_headers().get_all(name).iter().map(|value| value.to_str().unwrap());
    assert_eq!(all("set-cookie").collect::<Vec<_>>(), ["own=1", "a=1", "b=2"]);
    assert_eq!(all("x-plan").collect::<Vec<_>>(), ["free"]);
}

#[tokio::test]
async fn what_may_pass_counts_for_a_while_for_requests_that_are_alike() {
    let (filter, asked) =
        with_service("to_request: [X-User], cache: { ttl: 5s }", || response(200, &[("x-user", "ada")], ""));
    let start = Instant::now();
    let ask = async |seconds, target: &str, token: &str| {
        let now = start + Duration::from_secs(seconds);
        let exchange = Exchange::get(target, now).with_header("authorization", token);
        let mut exchange = exchange.with_header("x-user", "root");
        assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
        assert_eq!(all(&exchange, "x-user"), ["ada"]);
        asked.lock().len()
    };
    assert_eq!(ask(0, "/", "a").await, 1);
    assert_eq!(ask(4, "/", "a").await, 1);
    assert_eq!(ask(4, "/other", "a").await, 2);
    assert_eq!(ask(4, "/", "b").await, 3);
    assert_eq!(ask(5, "/", "a").await, 4);
}

#[tokio::test]
async fn what_is_alike_can_be_chosen_and_a_missing_part_is_alike_to_nothing() {
    let keys = "cache: { ttl: 5s, key: [{ header: Authorization }, host] }";
    let (filter, asked) = with_service(keys, || response(200, &[], ""));
    let now = Instant::now();
    let ask = async |exchange: Exchange| {
        let mut exchange = exchange;
        exchange.on_request(&filter).await.unwrap();
        asked.lock().len()
    };
    assert_eq!(ask(Exchange::get("/", now).with_header("authorization", "a")).await, 1);
    assert_eq!(ask(Exchange::get("/other", now).with_header("authorization", "a")).await, 1);
    assert_eq!(ask(Exchange::get("/", now).with_header("authorization", "b")).await, 2);
    assert_eq!(ask(Exchange::get("/", now)).await, 3);
    assert_eq!(ask(Exchange::get("/", now)).await, 4);
}

#[tokio::test]
async fn a_part_of_the_key_that_stands_twice_is_alike_to_nothing() {
    for (part, once, twice) in [
        ("{ header: X-Tenant }", ("/", "x-tenant", "a"), ("/", "x-tenant", "b")),
        ("{ header: X-Tenant }", ("/", "x-tenant", "a"), ("/", "x_tenant", "b")),
        ("{ cookie: t }", ("/", "cookie", "t=a"), ("/", "cookie", "t=b")),
        ("{ query: t }", ("/?t=a", "x-tenant", "a"), ("/?t=a&t=b", "x-other", "")),
        ("{ query: t }", ("/?t=a", "x-tenant", "a"), ("/?t=a&%74=b", "x-other", "")),
    ] {
        let keys = format!("cache: {{ ttl: 5s, key: {part} }}");
        let (filter, asked) = with_service(&keys, || response(200, &[], ""));
        let (target, name, value) = once;
        let first = || Exchange::get(target, Instant::now()).with_header(name, value);
        for mut exchange in [first(), first()] {
            exchange.on_request(&filter).await.unwrap();
        }
        assert_eq!(asked.lock().len(), 1, "{part}");
        for count in [2, 3] {
            let exchange = Exchange::get(twice.0, Instant::now()).with_header(name, value);
            exchange.with_header(twice.1, twice.2).on_request(&filter).await.unwrap();
            assert_eq!(asked.lock().len(), count, "{part} {twice:?}");
        }
    }
}

#[tokio::test]
async fn refusals_and_what_is_for_one_request_do_not_count_for_others() {
    type Answers = fn() -> Result<Response<Bytes>, FetchError>;
    let answers: [Answers; 4] = [
        || response(401, &[], ""),
        || response(200, &[("set-cookie", "a=1")], ""),
        || response(200, &[("cache-control", "private, No-Store")], ""),
        || Err(FetchError::TimedOut),
    ];
    for answer in answers {
        let (filter, asked) = with_service("cache: { ttl: 5s }", answer);
        for _ in 0..2 {
            Exchange::get("/", Instant::now()).on_request(&filter).await.unwrap();
        }
        assert_eq!(asked.lock().len(), 2);
    }
}

#[test]
fn settings_that_mean_nothing_are_refused_at_their_place() {
    for (yaml, key, words) in [
        ("path: verify", &["path"][..], "no path"),
        ("path: '/a b'", &["path"], "no path"),
        ("timeout: 11s", &["timeout"], "100ms to 10s"),
        ("timeout: 0s", &["timeout"], "100ms to 10s"),
        ("max_body: 2MiB", &["max_body"], "up to 1MiB"),
        ("send: [Cookie, X-Forwarded-For]", &["send", "1"], "cannot be sent"),
        ("send: [Host]", &["send", "0"], "cannot be sent"),
        ("to_request: [Content-Length]", &["to_request", "0"], "cannot be changed"),
        ("to_response: [Date]", &["to_response", "0"], "cannot be changed"),
        ("to_client: [Connection]", &["to_client", "0"], "cannot be changed"),
        ("cache: { ttl: 2m }", &["cache", "ttl"], "1s to 1m"),
        ("cache: { ttl: 1s, size: 0 }", &["cache", "size"], "1 to 1000000"),
    ] {
        let (found, message) = refused(yaml);
        assert_eq!(found, key, "{yaml}");
        assert!(message.contains(words), "{message}");
    }
    let settings = serde_yaml::from_str("{ pool: aut }").unwrap();
    let unknown: Result<ForwardAuth, BuildError> =
        testing::build_among(&["auth"], settings, ForwardAuth::build);
    assert_eq!(unknown.unwrap_err().into_parts().0, ["pool"]);
}
