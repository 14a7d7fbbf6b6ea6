//! What each filter costs a request that it lets pass: its head, its answer's head and its end, without a body.
//!
//! Where a filter remembers something, this is the price once it does; what it costs the first time stands beside it. The
//! table of docs/filters.md has these figures.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use divan::Bencher;
use evener::filters::*;
use evener::hooks::testing::{self, Exchange};
use evener::hooks::{BuildCx, BuildError, Filter, Flow};
use futures::FutureExt;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

fn main() {
    divan::main();
}

/// A request as browsers make them.
fn request() -> Exchange {
    Exchange::get("/users/17/orders?open=1", Instant::now())
        .with_header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .with_header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .with_header("Accept-Encoding", "gzip, deflate, br, zstd")
        .with_header("Cookie", "session=7f3a9c1e5b2d4860; theme=dark")
        .with_response_header("Content-Type", "text/html; charset=utf-8")
        .with_response_header("Content-Length", "5000")
}

fn built<S, F>(yaml: &str, build: impl FnOnce(S, &BuildCx<'_>) -> Result<F, BuildError>) -> F
where
    S: DeserializeOwned,
{
    let settings = serde_yaml::from_str(yaml).expect("settings");
    testing::build(settings, build).expect("a filter")
}

/// The way of one request past a filter.
fn pass(exchange: &mut Exchange, filter: &dyn Filter) {
    let flow =
        exchange.on_request(filter).now_or_never().expect("it does not wait").expect("it does not fail");
    assert!(matches!(flow, Flow::Continue), "{flow:?}");
    exchange.on_response(filter).expect("it does not fail");
    exchange.on_end(filter, Some(StatusCode::OK));
}

fn cost(bencher: Bencher<'_, '_>, filter: &dyn Filter, request: impl Fn() -> Exchange) {
    let bencher = bencher.with_inputs(request);
    bencher.bench_local_refs(|exchange| pass(exchange, filter));
}

/// A filter with settings as they are usual, by its name in the table.
fn filter(name: &str) -> Box<dyn Filter> {
    match name {
        "adaptive_concurrency" => Box::new(built("{}", AdaptiveConcurrency::build)),
        "allow, 3 networks" => {
            Box::new(built("[10.0.0.0/8, 192.0.2.0/24, '2001:db8::/32']", Networks::allow))
        }
        "deny, 100 000 networks" => Box::new(built(&many_networks(), Networks::deny)),
        "api_key" => Box::new(built(
            "{ from: [{ header: X-API-Key }], keys: { acme: [0123456789abcdef0123456789abcdef] }, forward: true }",
            ApiKey::build,
        )),
        "basic_auth, remembered" => Box::new(built(
            "{ passwords: { ada: '$2b$04$f165LEP7E.wVOTppdL0enO6X5dSTyNPjSAB5vLf2BI675H3vnukoW' }, forward: true }",
            BasicAuth::build,
        )),
        "body" => Box::new(built("{ size: 1MiB }", BodyLimit::build)),
        "concurrency" => Box::new(built("{ max: 1000 }", Concurrency::build)),
        "cors" => Box::new(built("{ origins: ['https://*.example.com'] }", Cors::build)),
        "grpc_web, another request" => Box::new(built("{}", GrpcWeb::build)),
        "hsts" => Box::new(built("{}", Hsts::build)),
        "rate_limit" => Box::new(built("{ rate: 1000000000/s }", RateLimit::build)),
        "request_headers, 1 field" => Box::new(built("{ set: { X-Env: prod } }", RequestHeaders::build)),
        "response_headers, 1 field" => Box::new(built("{ set: { X-Env: prod } }", ResponseHeaders::build)),
        "rewrite" => Box::new(built("{ strip_prefix: /users }", Rewrite::build)),
        "security_headers" => Box::new(built("{}", SecurityHeaders::build)),
        "timeout" => Box::new(built("{ total: 5s }", Timeout::build)),
        other => panic!("no filter {other}"),
    }
}

/// The request that a filter lets pass.
fn request_for(name: &str) -> Exchange {
    match name {
        "api_key" => request().with_header("X-API-Key", "0123456789abcdef0123456789abcdef"),
        "basic_auth, remembered" => request().with_header("Authorization", "Basic YWRhOmFkYQ=="),
        "cors" => request().with_header("Origin", "https://app.example.com"),
        _ => request(),
    }
}

fn many_networks() -> String {
    let network = |number: u32| format!("{}/28", std::net::Ipv4Addr::from(0x0a00_0000 + (number << 5)));
    format!("[{}]", (0..100_000).map(network).collect::<Vec<_>>().join(", "))
}

const FILTERS: [&str; 16] = [
    "adaptive_concurrency",
    "allow, 3 networks",
    "api_key",
    "basic_auth, remembered",
    "body",
    "concurrency",
    "cors",
    "deny, 100 000 networks",
    "grpc_web, another request",
    "hsts",
    "rate_limit",
    "request_headers, 1 field",
    "response_headers, 1 field",
    "rewrite",
    "security_headers",
    "timeout",
];

/// A request that passes.
#[divan::bench(args = FILTERS)]
fn passes(bencher: Bencher<'_, '_>, name: &str) {
    let filter = filter(name);
    // What is remembered is known from here on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut first = request_for(name);
    runtime.block_on(first.on_request(&*filter)).expect("it does not fail");
    cost(bencher, &*filter, || request_for(name));
}
