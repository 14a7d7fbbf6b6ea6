//! What `request_headers` and `response_headers` cost a message.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use divan::Bencher;
use evener::filters::{HeaderSettings, RequestHeaders, ResponseHeaders};
use evener::hooks::testing::{self, Exchange};
use futures::FutureExt;
use tokio::time::Instant;

fn main() {
    divan::main();
}

const CONSTANT: &str = "set: { X-Env: prod }";
const ONE_VARIABLE: &str = "set: { X-Env: '{client_ip}' }";
const FIVE_VARIABLES: &str = "set: { X-Env: '{client_ip} {method} {scheme}://{host}{path}' }";

fn settings(yaml: &str) -> HeaderSettings {
    serde_yaml::from_str(yaml).expect("settings")
}

#[divan::bench(args = [CONSTANT, ONE_VARIABLE, FIVE_VARIABLES])]
fn request(bencher: Bencher<'_, '_>, yaml: &str) {
    let filter = testing::build(settings(yaml), RequestHeaders::build).expect("a filter");
    let mut exchange = Exchange::get("/users/17/orders?open=1", Instant::now());
    // The filter never waits, so its future is ready at once.
    bencher.bench_local(|| exchange.on_request(&filter).now_or_never());
}

#[divan::bench(args = [CONSTANT, ONE_VARIABLE, FIVE_VARIABLES])]
fn response(bencher: Bencher<'_, '_>, yaml: &str) {
    let filter = testing::build(settings(yaml), ResponseHeaders::build).expect("a filter");
    let mut exchange = Exchange::get("/users/17/orders?open=1", Instant::now());
    bencher.bench_local(|| exchange.on_response(&filter));
}
