//! What each filter costs a request that it lets pass: its head, its answer's head and its end, without a body.
//!
//! Where a filter remembers something, this is the price once it does; what it costs the first time stands beside it. The
//! table of docs/filters.md has these figures.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use divan::Bencher;
use evener::filters::*;
use evener::hooks::testing::{self, Exchange};
use evener::hooks::{BuildCx, BuildError, ClientCert, Filter, Flow, TlsSession};
use evener::types::TlsVersion;
use futures::FutureExt;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

#[allow(dead_code, clippy::unwrap_used, reason = "it is written for tests, which write more kinds of values")]
#[path = "../src/filters/geo/writer.rs"]
mod mmdb;

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
        "body" => Box::new(built("{ max: 1MiB }", BodyLimit::build)),
        "client_cert" => Box::new(built(
            "{ sans: ['URI:spiffe://example/*'], subjects: ['CN=worker-*,O=Example'] }",
            RequireClientCert::build,
        )),
        "concurrency" => Box::new(built("{ max: 1000 }", Concurrency::build)),
        "cors" => Box::new(built("{ origins: ['https://*.example.com'] }", Cors::build)),
        "decompress, another answer" => Box::new(built("{}", Decompress::build)),
        "error_pages, another answer" => Box::new(error_pages()),
        "fault, by header" => Box::new(built(
            "{ abort: { status: 503, header: X-Fault }, clients: [10.0.0.0/8] }",
            Fault::build,
        )),
        "forward_auth, remembered" => Box::new(forward_auth()),
        "geo" => Box::new(geo()),
        "grpc_web, another request" => Box::new(built("{}", GrpcWeb::build)),
        "hedge" => Box::new(built("{ after: 50ms }", Hedge::build)),
        "hsts" => Box::new(built("{}", Hsts::build)),
        "jwt, HS256" => Box::new(built(&hs256_settings(), Jwt::build)),
        "jwt, ES256" => {
            let folder = tempfile::tempdir().expect("a folder");
            let settings = es256_settings(&folder.path().join("keys.json"));
            Box::new(built(&settings, Jwt::build))
        }
        "mirror, another request" => Box::new(mirror("{ pool: shadow, methods: [POST] }", || {})),
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
        "client_cert" => request().over_tls(with_certificate()),
        "geo" => request().from_client([81, 2, 69, 7].into()),
        "cors" => request().with_header("Origin", "https://app.example.com"),
        "jwt, HS256" => request().with_header("Authorization", &hs256_token()),
        "jwt, ES256" => request().with_header("Authorization", &es256_token()),
        _ => request(),
    }
}

fn forward_auth() -> ForwardAuth {
    let yes = testing::pool_client(|_| {
        let answer = http::Response::builder().header("X-User", "ada").body(Bytes::new());
        Ok(answer.expect("a constant"))
    });
    let settings = "{ pool: auth, to_request: [X-User], cache: { ttl: 1m } }";
    let settings = serde_yaml::from_str(settings).expect("settings");
    testing::build_with_clients(&[("auth", yes)], settings, ForwardAuth::build).expect("a filter")
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Until the year 2100.
const CLAIMS: &str = r#"{"sub":"ada","aud":"api","exp":4102444800}"#;

fn hs256_settings() -> String {
    format!("{{ algorithms: HS256, keys: {{ secret: {SECRET} }}, audience: api }}")
}

fn hs256_token() -> String {
    let signed = signed_part("HS256");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("Bearer {signed}.{}", BASE64.encode(signature))
}

fn signed_part(algorithm: &str) -> String {
    let head = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    format!("{}.{}", BASE64.encode(head), BASE64.encode(CLAIMS))
}

static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"));

fn es256_settings(file: &std::path::Path) -> String {
    // A point without compression: 4, x, y.
    let (x, y) = P256.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (BASE64.encode(x), BASE64.encode(y));
    let keys = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}]}}"#);
    std::fs::write(file, keys).expect("a file");
    format!("{{ algorithms: ES256, keys: {{ file: '{}' }}, audience: api }}", file.display())
}

fn es256_token() -> String {
    let signed = signed_part("ES256");
    let signature = P256.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
    format!("Bearer {signed}.{}", BASE64.encode(signature))
}

fn many_networks() -> String {
    let network = |number: u32| format!("{}/28", std::net::Ipv4Addr::from(0x0a00_0000 + (number << 5)));
    format!("[{}]", (0..100_000).map(network).collect::<Vec<_>>().join(", "))
}

fn with_certificate() -> TlsSession {
    let mut session = TlsSession::new(TlsVersion::V1_3);
    let mut cert = ClientCert::new("CN=worker-7,OU=Batch,O=Example");
    cert.sans = vec!["DNS:worker-7.example".to_owned(), "URI:spiffe://example/worker".to_owned()];
    session.client_cert = Some(cert);
    session
}

fn geo() -> Geo {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), mmdb::sample()).expect("a file");
    built(&format!("{{ file: '{}', allow: [GB, JP] }}", file.path().display()), Geo::build)
}

fn error_pages() -> ErrorPages {
    let page = tempfile::NamedTempFile::new().expect("a file");
    built(&format!("{{ pages: {{ 5xx: '{}' }} }}", page.path().display()), ErrorPages::build)
}

/// With a pool that tells of each copy.
fn mirror(settings: &str, copied: impl Fn() + Send + Sync + 'static) -> Mirror {
    let sink = testing::pool_client(move |_| {
        copied();
        Ok(http::Response::new(Bytes::new()))
    });
    let settings = serde_yaml::from_str(settings).expect("settings");
    testing::build_with_clients(&[("shadow", sink)], settings, Mirror::build).expect("a filter")
}

const FILTERS: [&str; 26] = [
    "adaptive_concurrency",
    "allow, 3 networks",
    "api_key",
    "basic_auth, remembered",
    "body",
    "client_cert",
    "concurrency",
    "cors",
    "decompress, another answer",
    "deny, 100 000 networks",
    "error_pages, another answer",
    "fault, by header",
    "forward_auth, remembered",
    "geo",
    "grpc_web, another request",
    "hedge",
    "hsts",
    "jwt, ES256",
    "jwt, HS256",
    "mirror, another request",
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

/// The codings of a page of 32 KiB, of words as in prose.
#[divan::bench(args = ["gzip", "br", "zstd"])]
fn compress(bencher: Bencher<'_, '_>, coding: &str) {
    let filter = built(&format!("{{ algorithms: [{coding}] }}"), Compress::build);
    let page = page();
    let bencher = bencher.with_inputs(|| {
        let mut exchange = request();
        pass(&mut exchange, &filter);
        exchange
    });
    bencher.bench_local_refs(|exchange| {
        let mut body = Some(page.clone());
        exchange.on_response_body(&filter, &mut body, true).expect("it does not fail");
        assert!(body.is_some_and(|coded| coded.len() < page.len() / 2));
    });
}

/// The same page, coded before.
#[divan::bench(args = ["gzip", "br", "zstd"])]
fn decompress(bencher: Bencher<'_, '_>, coding: &str) {
    let encoder = built(&format!("{{ algorithms: [{coding}] }}"), Compress::build);
    let mut exchange = request();
    pass(&mut exchange, &encoder);
    let mut coded = Some(page());
    exchange.on_response_body(&encoder, &mut coded, true).expect("it does not fail");
    let length = page().len();
    let filter = built("{ always: true, max_active: 10000 }", Decompress::build);
    let bencher = bencher.with_inputs(|| {
        let mut exchange = request().with_response_header("Content-Encoding", coding);
        pass(&mut exchange, &filter);
        exchange
    });
    bencher.bench_local_refs(|exchange| {
        let mut body = coded.clone();
        exchange.on_response_body(&filter, &mut body, true).expect("it does not fail");
        assert_eq!(body.map(|body| body.len()), Some(length));
    });
}

/// A piece of 16 KiB of an answer that needs no pause.
#[divan::bench]
fn bandwidth_piece(bencher: Bencher<'_, '_>) {
    let filter = built("{ down: 2GiB/s, burst: 1GiB }", Bandwidth::build);
    let piece = Bytes::from(vec![b'a'; 16 * 1024]);
    let bencher = bencher.with_inputs(|| {
        let mut exchange = request();
        pass(&mut exchange, &filter);
        exchange
    });
    bencher.bench_local_refs(|exchange| {
        exchange.on_response_body(&filter, &mut Some(piece.clone()), false).expect("it does not fail");
    });
}

/// A request of which a copy is made and answered at once by a pool that costs nothing.
#[divan::bench]
fn mirror_copied(bencher: Bencher<'_, '_>) {
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    let filter = mirror("{ pool: shadow }", || {
        COPIES.fetch_add(1, Ordering::Relaxed);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bencher = bencher.with_inputs(request);
    bencher.bench_local_refs(|exchange| {
        let before = COPIES.load(Ordering::Relaxed);
        runtime.block_on(async {
            exchange.on_request(&filter).await.expect("it does not fail");
            while COPIES.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
        });
        exchange.on_end(&filter, Some(StatusCode::OK));
    });
}

fn page() -> Bytes {
    const WORDS: [&str; 12] = [
        "the ",
        "bar ",
        "shares ",
        "a ",
        "load ",
        "evenly ",
        "between ",
        "two ",
        "horses, ",
        "whichever ",
        "way ",
        "<p>",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::with_capacity(33_000);
    while text.len() < 32 * 1024 {
        text.push_str(WORDS[random.usize(..WORDS.len())]);
    }
    Bytes::from(text)
}
