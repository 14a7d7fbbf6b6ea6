use http::HeaderMap;
use tokio::time::Instant;

use super::*;
use crate::hooks::testing::{self, Exchange};

fn build(yaml: &str) -> Result<Cors, BuildError> {
    testing::build(serde_yaml::from_str(yaml).unwrap(), Cors::build)
}

fn cors(yaml: &str) -> Cors {
    build(yaml).unwrap()
}

fn from(origin: &str) -> Exchange {
    Exchange::get("/", Instant::now()).with_header("origin", origin)
}

/// What a client is told after an endpoint has said `said`.
async fn told(filter: &Cors, exchange: Exchange, said: &[(&str, &str)]) -> HeaderMap {
    let with = |exchange: Exchange, &(name, value): &(&str, &str)| exchange.with_response_header(name, value);
    let mut exchange = said.iter().fold(exchange, with);
    assert!(matches!(exchange.on_request(filter).await, Ok(Flow::Continue)));
    exchange.on_response(filter).unwrap();
    exchange.response_headers().clone()
}

async fn preflight(filter: &Cors, exchange: Exchange) -> HeaderMap {
    let mut exchange = exchange.with_method("OPTIONS").with_header("access-control-request-method", "PUT");
    let Flow::Respond(answer) = exchange.on_request(filter).await.unwrap() else { panic!("is not answered") };
    assert_eq!(answer.status, 204);
    answer.headers.into_iter().collect()
}

#[tokio::test]
async fn an_allowed_origin_is_named_and_others_are_not() {
    let filter = cors("{ origins: ['https://a.example', 'https://*.b.example'], expose: [X-Total, ETag] }");
    for origin in ["https://a.example", "https://x.b.example"] {
        let headers = told(&filter, from(origin), &[]).await;
        assert_eq!(headers["access-control-allow-origin"], origin);
        assert_eq!(headers["access-control-expose-headers"], "X-Total, ETag");
        assert_eq!(headers["vary"], "Origin");
        assert!(headers.get("access-control-allow-credentials").is_none());
    }
    let twice = from("https://a.example").with_header("origin", "https://a.example");
    for exchange in [from("https://evil.example"), from("null"), twice, Exchange::get("/", Instant::now())] {
        let headers = told(&filter, exchange, &[]).await;
        assert_eq!(headers.len(), 1, "{headers:?}");
        assert_eq!(headers["vary"], "Origin");
    }
}

#[tokio::test]
async fn what_the_endpoint_says_does_not_count() {
    let filter = cors("{ origins: 'https://a.example' }");
    let said = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "*"),
        ("vary", "Accept-Encoding, origin"),
    ];
    let headers = told(&filter, from("https://evil.example"), &said).await;
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert_eq!(headers["vary"], "Accept-Encoding, origin");
    let headers = told(&filter, from("https://a.example"), &said).await;
    assert_eq!(headers["access-control-allow-origin"], "https://a.example");
    assert!(headers.get("access-control-allow-credentials").is_none());
}

#[tokio::test]
async fn a_preflight_request_is_answered_at_once() {
    let filter = cors(
        "{ origins: 'https://a.example', methods: [PUT, DELETE], headers: [Content-Type], credentials: true, max_age: 1h }",
    );
    let headers = preflight(&filter, from("https://a.example")).await;
    assert_eq!(headers["access-control-allow-origin"], "https://a.example");
    assert_eq!(headers["access-control-allow-methods"], "PUT, DELETE");
    assert_eq!(headers["access-control-allow-headers"], "Content-Type");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert_eq!(headers["access-control-max-age"], "3600");
    assert_eq!(headers["vary"], "Origin");
    let headers = preflight(&filter, from("https://evil.example")).await;
    assert_eq!(headers.len(), 1, "{headers:?}");
}

#[tokio::test]
async fn only_preflight_requests_are_answered() {
    let filter = cors("{ origins: 'https://a.example' }");
    let plain = from("https://a.example").with_method("OPTIONS");
    let foreign = Exchange::get("/", Instant::now())
        .with_method("OPTIONS")
        .with_header("access-control-request-method", "PUT");
    let get = from("https://a.example").with_header("access-control-request-method", "PUT");
    for mut exchange in [plain, foreign, get] {
        assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
    }
}

#[tokio::test]
async fn a_star_is_the_same_for_everybody() {
    let filter = cors("{ origins: '*', headers: ['*'] }");
    let headers = told(&filter, from("https://any.example"), &[]).await;
    assert_eq!((headers.len(), &headers["access-control-allow-origin"]), (1, &ALLOW_ALL));
    let headers = preflight(&filter, from("https://any.example")).await;
    assert_eq!((headers.len(), &headers["access-control-allow-headers"]), (3, &ALLOW_ALL));
}

#[test]
fn credentials_exclude_what_lets_everybody_in() {
    for (yaml, key) in [
        ("{ origins: '*', credentials: true }", ["origins", "0"]),
        ("{ origins: ['https://a.example', 'null'], credentials: true }", ["origins", "1"]),
        ("{ origins: 'https://a.example', headers: [X-A, '*'], credentials: true }", ["headers", "1"]),
        ("{ origins: 'https://a.example', expose: ['*'], credentials: true }", ["expose", "0"]),
    ] {
        let (found, message, _) = build(yaml).unwrap_err().into_parts();
        assert_eq!(found, key, "{yaml}");
        assert!(message.contains("credentials"), "{message}");
    }
    let (key, ..) = build("{ origins: '*', max_age: 25h }").unwrap_err().into_parts();
    assert_eq!(key, ["max_age"]);
}

#[test]
fn tells_whom_it_lets_in() {
    let filter = cors("{ origins: ['http://a', 'http://b', 'http://c', 'http://d'], credentials: true }");
    assert_eq!(filter.describe(), "http://a, http://b, http://c and 1 more, with credentials");
}
