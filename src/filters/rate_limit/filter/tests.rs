use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::*;
use crate::hooks::testing::{self, Exchange};

fn build(yaml: &str) -> Result<RateLimit, BuildError> {
    testing::build(serde_yaml::from_str(yaml).unwrap(), RateLimit::build)
}

fn filter(yaml: &str) -> RateLimit {
    build(yaml).unwrap()
}

fn refusal(yaml: &str) -> (Vec<String>, String) {
    let (key, message, _) = build(yaml).unwrap_err().into_parts();
    (key, message)
}

fn get(target: &str) -> Exchange {
    Exchange::get(target, Instant::now())
}

async fn rejection(filter: &RateLimit, mut exchange: Exchange) -> Option<HeaderMap> {
    match exchange.on_request(filter).await.unwrap() {
        Flow::Continue => None,
        Flow::Reject(rejection) => {
            assert_eq!((rejection.status.as_u16(), &*rejection.cause), (429, "rate_limited"));
            assert_eq!(exchange.extensions().get(), Some(&RateLimitVerdict::Rejected));
            Some(rejection.headers.into_iter().collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let filter = filter("{ rate: 6/m, burst: 2 }");
    assert!(rejection(&filter, get("/")).await.is_none());
    assert!(rejection(&filter, get("/")).await.is_none());
    let headers = rejection(&filter, get("/")).await.unwrap();
    assert_eq!(headers["retry-after"], "10");
    assert_eq!(headers["ratelimit-policy"], "\"default\";q=6;w=60");
    assert_eq!(headers["ratelimit"], "\"default\";r=0;t=10");
    tokio::time::advance(Duration::from_millis(9_500)).await;
    assert_eq!(rejection(&filter, get("/")).await.unwrap()["retry-after"], "1");
    tokio::time::advance(Duration::from_millis(500)).await;
    assert!(rejection(&filter, get("/")).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_default_burst_is_the_count_of_the_rate() {
    let filter = filter("{ rate: 20/s }");
    for _ in 0..20 {
        assert!(rejection(&filter, get("/")).await.is_none());
    }
    assert!(rejection(&filter, get("/")).await.is_some());
    assert_eq!(filter.describe(), "20/s per client_ip, burst 20");
}

#[tokio::test(start_paused = true)]
async fn requests_without_the_key_share_one_limit() {
    let filter = filter("{ rate: 1/s, key: { header: X-User } }");
    let user = |name: &str| get("/").with_header("x-user", name);
    assert!(rejection(&filter, user("a")).await.is_none());
    assert!(rejection(&filter, user("b")).await.is_none());
    assert!(rejection(&filter, user("a")).await.is_some());
    assert!(rejection(&filter, get("/1")).await.is_none());
    let other_client = get("/2").from_client("10.0.0.9".parse().unwrap());
    assert!(rejection(&filter, other_client).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn answers_carry_the_tightest_quota_when_asked_to() {
    let wide = filter("{ rate: 100/s, headers: true }");
    let tight = filter("{ rate: 3/h, headers: true }");
    let quiet = filter("{ rate: 2/h }");
    let mut exchange = get("/");
    for filter in [&wide, &tight, &quiet] {
        assert!(matches!(exchange.on_request(filter).await, Ok(Flow::Continue)));
    }
    for filter in [&quiet, &tight, &wide] {
        exchange.on_response(filter).unwrap();
    }
    assert_eq!(exchange.response_headers()["ratelimit"], "\"default\";r=2;t=1200");
    assert_eq!(exchange.response_headers()["ratelimit-policy"], "\"default\";q=3;w=3600");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_overwritten_by_an_earlier_limit() {
    let wide = filter("{ rate: 100/s, headers: true }");
    let tight = filter("{ rate: 1/h, headers: true }");
    assert!(rejection(&tight, get("/")).await.is_none());
    let mut exchange = get("/");
    assert!(matches!(exchange.on_request(&wide).await, Ok(Flow::Continue)));
    assert!(matches!(exchange.on_request(&tight).await, Ok(Flow::Reject(_))));
    exchange.on_response(&tight).unwrap();
    exchange.on_response(&wide).unwrap();
    assert!(exchange.response_headers().get("ratelimit").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_waits_exactly_for_its_turn() {
    let filter = filter("{ rate: 10/s, burst: 1, mode: delay, max_delay: 200ms }");
    let start = Instant::now();
    let run = |at| {
        let filter = &filter;
        async move {
            let mut exchange = Exchange::get("/", at);
            let flow = exchange.on_request(filter).await.unwrap();
            (matches!(flow, Flow::Continue), start.elapsed(), exchange.extensions().get().copied())
        }
    };
    let (first, second, third, fourth) = tokio::join!(run(start), run(start), run(start), run(start));
    let delayed = Some(RateLimitVerdict::Delayed);
    assert_eq!(first, (true, Duration::ZERO, None));
    assert_eq!(second, (true, Duration::from_millis(100), delayed));
    assert_eq!(third, (true, Duration::from_millis(200), delayed));
    assert_eq!(fourth, (false, Duration::ZERO, Some(RateLimitVerdict::Rejected)));
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_at_most_and_leaving_makes_room() {
    let filter = filter("{ rate: 1000000/s, burst: 1, mode: delay, max_delay: 1m }");
    assert!(rejection(&filter, get("/")).await.is_none());
    let all = filter.waiting.try_acquire_many(u32::try_from(MAX_WAITING).unwrap()).unwrap();
    assert!(rejection(&filter, get("/")).await.is_some());
    drop(all);
    let waiting = rejection(&filter, get("/"));
    assert!(waiting.await.is_none());
    assert_eq!(filter.waiting.available_permits(), MAX_WAITING);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_lets_everything_pass_and_marks_it() {
    let filter = filter("{ rate: 1/s, mode: dry_run }");
    let verdicts = [None, Some(&RateLimitVerdict::WouldReject), Some(&RateLimitVerdict::WouldReject)];
    for expected in verdicts {
        let mut exchange = get("/");
        assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
        assert_eq!(exchange.extensions().get::<RateLimitVerdict>(), expected);
    }
}

#[test]
fn the_strictest_verdict_of_several_limits_stays() {
    let mut extensions = http::Extensions::new();
    RateLimitVerdict::WouldReject.record(&mut extensions);
    RateLimitVerdict::Delayed.record(&mut extensions);
    assert_eq!(extensions.get(), Some(&RateLimitVerdict::WouldReject));
}

#[test]
fn settings_out_of_range_are_refused_at_their_key() {
    let cases = [
        ("{ rate: 1/s, burst: 0 }", "burst", "1 or more"),
        ("{ rate: 1/s, keys: 999 }", "keys", "1000 to 10000000"),
        ("{ rate: 1/s, keys: 10000001 }", "keys", "1000 to 10000000"),
        ("{ rate: 1/s, mode: delay, max_delay: 61s }", "max_delay", "up to 1m"),
        ("{ rate: 1/s, mode: delay, max_delay: 0s }", "max_delay", "more than 0s"),
        ("{ rate: 1/s, max_delay: 1s }", "max_delay", "mode: delay"),
    ];
    for (yaml, key, message) in cases {
        let (found_key, found) = refusal(yaml);
        assert_eq!(found_key, [key], "{yaml}");
        assert!(found.contains(message), "{yaml}: {found}");
    }
    for yaml in ["{}", "{ rate: 100 }", "{ rate: 1/s, brust: 2 }", "{ rate: 1/s, mode: drop }"] {
        assert!(serde_yaml::from_str::<RateLimitSettings>(yaml).is_err(), "{yaml}");
    }
}
