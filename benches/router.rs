//! The price of finding a route, by the number of routes. Run with `cargo bench --bench router`.

#![expect(clippy::unwrap_used, reason = "the inputs are constants")]

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use evener::config::spec::MatchSpec;
use evener::router::{Parts, RouteId, Router, Rule};
use evener::types::RouteName;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

/// Counts allocations, of which `find` has none.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const ROUTES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

/// An edge of many sites: of ten routes, seven have an exact host, two a wildcard, one none; prefixes of one to
/// three segments, an exact path, a header and a method among them.
fn spec(index: usize) -> Value {
    let site = index / 10;
    let host = format!("www.site{site}.example.com");
    match index % 10 {
        0 => json!({ "host": host }),
        1 => json!({ "host": host, "path": "/api/" }),
        2 => json!({ "host": host, "path": format!("/api/v{site}/") }),
        3 => json!({ "host": host, "path": format!("/api/v{site}/users/") }),
        4 => json!({ "host": host, "path": { "exact": "/healthz" } }),
        5 => json!({ "host": host, "path": "/api/", "headers": { "X-Canary": "1" } }),
        6 => json!({ "host": host, "path": "/upload/", "methods": ["POST", "PUT"] }),
        7 => json!({ "host": format!("*.site{site}.example.com"), "path": "/static/" }),
        8 => json!({ "host": format!("*.site{site}.example.com") }),
        _ => json!({ "path": format!("/shared/{site}/") }),
    }
}

/// What a configuration holds.
fn rules(routes: usize) -> Vec<(RouteName, MatchSpec)> {
    let name = |index: usize| format!("r{index}").parse().unwrap();
    (0..routes).map(|index| (name(index), serde_json::from_value(spec(index)).unwrap())).collect()
}

fn router(rules: &[(RouteName, MatchSpec)]) -> Router {
    Router::build(rules.iter().map(|(name, matches)| Rule { name, listeners: &[], matches }))
}

fn headers() -> HeaderMap {
    let fields = [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("accept", "text/html,application/xhtml+xml"),
        ("accept-encoding", "gzip, br"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
    ];
    fields.into_iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

/// Measures requests for sites all over the table, in an order that no cache can guess.
fn measure(
    bencher: Bencher<'_, '_>,
    routes: usize,
    target: impl Fn(usize) -> (String, String),
    hit: Option<usize>,
) {
    let router = router(&rules(routes));
    let headers = headers();
    let sites = routes / 10;
    // 7919 is prime, so the steps visit every site before they repeat. A power of two makes the choice cheap.
    let targets: Vec<(String, String)> = (0..1024).map(|step| target(step * 7919 % sites)).collect();
    let parts = |step: usize| {
        let (host, path) = &targets[step % 1024];
        let client_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Parts { listener: 0, host, path, query: None, method: &Method::GET, headers: &headers, client_ip }
    };
    assert_eq!(router.find(&parts(0)), hit.map(RouteId), "the first target is of site 0");
    // Pages are touched once before, or the first visits would be measured as the price of large tables.
    for step in 0..1024 {
        black_box(router.find(&parts(step)));
    }
    let mut step = 0;
    bencher.bench_local(|| {
        step += 1;
        router.find(black_box(&parts(step)))
    });
}

/// An exact host and the longest of three prefixes.
#[divan::bench(args = ROUTES, sample_size = 1024)]
fn exact_host_deep_prefix(bencher: Bencher<'_, '_>, routes: usize) {
    let target = |site| (format!("www.site{site}.example.com"), format!("/api/v{site}/users/42"));
    measure(bencher, routes, target, Some(3));
}

/// An exact host and a prefix whose first route fails on a header.
#[divan::bench(args = ROUTES, sample_size = 1024)]
fn exact_host_failing_condition(bencher: Bencher<'_, '_>, routes: usize) {
    let target = |site| (format!("www.site{site}.example.com"), "/api/other".to_owned());
    measure(bencher, routes, target, Some(1));
}

/// A wildcard host and a route without a path.
#[divan::bench(args = ROUTES, sample_size = 1024)]
fn wildcard_host(bencher: Bencher<'_, '_>, routes: usize) {
    let target = |site| (format!("img.site{site}.example.com"), "/a/b/c.png".to_owned());
    measure(bencher, routes, target, Some(8));
}

/// A host that no route names and a prefix without a host.
#[divan::bench(args = ROUTES, sample_size = 1024)]
fn no_host(bencher: Bencher<'_, '_>, routes: usize) {
    let target = |site| ("unknown.example.net".to_owned(), format!("/shared/{site}/x"));
    measure(bencher, routes, target, Some(9));
}

/// Neither the host nor the path is known.
#[divan::bench(args = ROUTES, sample_size = 1024)]
fn miss(bencher: Bencher<'_, '_>, routes: usize) {
    let target = |site| (format!("www.site{site}.example.net"), format!("/none/{site}/x"));
    measure(bencher, routes, target, None);
}

/// What a reload pays; not on the way of a request.
#[divan::bench(args = ROUTES, sample_count = 20)]
fn build(bencher: Bencher<'_, '_>, routes: usize) {
    let rules = rules(routes);
    bencher.bench_local(|| router(black_box(&rules)));
}
