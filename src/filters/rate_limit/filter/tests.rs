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

#[tokio::test(start_paused = true)]
async fn only_answers_with_these_statuses_count() {
    let filter = filter("{ rate: 2/h, count: [401, 5xx] }");
    let ask = async |status: u16| {
        let mut exchange = get("/").with_response_status(StatusCode::from_u16(status).unwrap());
        match exchange.on_request(&filter).await.unwrap() {
            Flow::Continue => {}
            Flow::Reject(_) => {
                exchange.on_response(&filter).unwrap();
                return false;
            }
            other => panic!("{other:?}"),
        }
        exchange.on_response(&filter).unwrap();
        // An answer that is shown twice counts once.
        exchange.on_response(&filter).unwrap();
        true
    };
    for status in [200, 404, 401, 403, 503] {
        assert!(ask(status).await, "{status}");
    }
    assert!(!ask(200).await && !ask(200).await);
    tokio::time::advance(Duration::from_secs(1800)).await;
    assert!(ask(200).await && ask(599).await);
    assert!(!ask(200).await);
    assert_eq!(filter.describe(), "2/h per client_ip, burst 2, counting 401, 500-599");
}

#[tokio::test(start_paused = true)]
async fn several_counts_on_a_route_do_not_mix() {
    let (errors, all) = (filter("{ rate: 1/h, count: 5xx }"), filter("{ rate: 2/h, count: 100-599 }"));
    let mut exchange = get("/");
    for filter in [&errors, &all] {
        assert!(matches!(exchange.on_request(filter).await, Ok(Flow::Continue)));
    }
    for filter in [&all, &errors] {
        exchange.on_response(filter).unwrap();
    }
    let left = async |filter: &RateLimit| {
        let key = get("/").with_request(|request, cx| filter.counter.key(request, cx));
        match filter.counter.decide(key, Instant::now(), Duration::ZERO).await.unwrap() {
            Some(Decision::Allowed { remaining, .. }) => remaining,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((left(&errors).await, left(&all).await), (1, 1));
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
        ("{ rate: 1/s, mode: delay, count: 5xx }", "count", "before the answers"),
        ("{ rate: 1/s, name: api }", "name", "`scope: cluster` only"),
        ("{ rate: 1/s, scope: cluster, name: api }", "scope", "`store`"),
        ("{ rate: 1/s, scope: cluster, store: a }", "scope", "`name`"),
        ("{ rate: 1/s, scope: cluster, store: a, name: api }", "store", "no store named `a`"),
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
