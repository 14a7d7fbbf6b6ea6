use tokio::time::Instant;

use super::*;
use crate::hooks::testing::{self, Exchange};

fn build(yaml: &str) -> Result<Bandwidth, BuildError> {
    testing::build(serde_yaml::from_str(yaml).unwrap(), Bandwidth::build)
}

const KIB: usize = 1024;

#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

/// Lets a piece pass; how long it is held up.
fn pass(exchange: &mut Exchange, filter: &Bandwidth, way: Way, size: usize) -> Duration {
    let mut body = Some(Bytes::from(vec![0; size]));
    let passed = match way {
        Way::Down => exchange.on_response_body(filter, &mut body, false),
        Way::Up => exchange.on_request_body(filter, &mut body, false),
    };
    passed.unwrap();
    assert_eq!(body.unwrap().len(), size, "nothing is lost");
    exchange.take_delay()
}

#[tokio::test]
async fn no_stretch_of_time_sees_more_than_the_burst_and_the_rate() {
    let filter = build("{ down: 64KiB/s, burst: 16KiB }").unwrap();
    let start = Instant::now();
    let mut exchange = Exchange::get("/", start);
    let (mut now, mut sent) = (start, 0);
    for size in [10, 6, 1, 64, 3, 64, 64, 2].map(|size| size * KIB) {
        now += pass(&mut exchange, &filter, Way::Down, size);
        exchange.set_now(now);
        sent += size;
        let allowed = 16.0 * KIB as f64 + 64.0 * KIB as f64 * (now - start).as_secs_f64();
        assert!(sent as f64 <= allowed + 1.0, "{sent} bytes after {:?}", now - start);
    }
    // And no longer than that.
    let due = (sent - 16 * KIB) as f64 / (64.0 * KIB as f64);
    assert!(((now - start).as_secs_f64() - due).abs() < 0.001, "{:?} for {due} s", now - start);
    // After a rest the burst is there again.
    exchange.set_now(now + Duration::from_secs(10));
    assert_eq!(pass(&mut exchange, &filter, Way::Down, 16 * KIB), Duration::ZERO);
    assert_eq!(pass(&mut exchange, &filter, Way::Down, 64 * KIB), Duration::from_secs(1));
}

#[tokio::test]
async fn directions_and_connections_have_their_own() {
    let filter = build("{ down: 64KiB/s, up: 32KiB/s, burst: 32KiB }").unwrap();
    let now = Instant::now();
    let mut exchange = Exchange::get("/", now);
    assert_eq!(pass(&mut exchange, &filter, Way::Down, 32 * KIB), Duration::ZERO);
    assert_eq!(pass(&mut exchange, &filter, Way::Up, 32 * KIB), Duration::ZERO);
    assert_eq!(pass(&mut exchange, &filter, Way::Down, 64 * KIB), Duration::from_secs(1));
    assert_eq!(pass(&mut exchange, &filter, Way::Up, 64 * KIB), Duration::from_secs(2));
    // Another stream of the same connection waits behind it; another connection does not.
    let mut stream = Exchange::get("/other", now);
    assert_eq!(pass(&mut stream, &filter, Way::Down, 64 * KIB), Duration::from_secs(2));
    let mut other = Exchange::get("/", now).on_connection(2);
    assert_eq!(pass(&mut other, &filter, Way::Down, 32 * KIB), Duration::ZERO);
    let free = build("{ up: 32KiB/s }").unwrap();
    assert_eq!(pass(&mut other, &free, Way::Down, 1024 * KIB), Duration::ZERO);
}

#[tokio::test]
async fn a_key_has_its_rate_over_all_connections_and_who_has_none_shares_one() {
    let filter = build("{ down: 64KiB/s, burst: 64KiB, key: { header: X-User } }").unwrap();
    let now = Instant::now();
    let user = |name: Option<&str>, connection| {
        let exchange = Exchange::get("/", now).on_connection(connection);
        match name {
            Some(name) => exchange.with_header("x-user", name),
            None => exchange,
        }
    };
    let mut waits = Vec::new();
    for (name, connection) in [(Some("ada"), 1), (Some("ada"), 2), (Some("bob"), 3), (None, 4), (None, 5)] {
        let mut exchange = user(name, connection);
        exchange.on_request(&filter).await.unwrap();
        waits.push(pass(&mut exchange, &filter, Way::Down, 64 * KIB).as_secs());
    }
    assert_eq!(waits, [0, 1, 0, 0, 1]);
}

#[tokio::test]
async fn the_longer_of_two_pauses_counts() {
    let per_connection = build("{ down: 64KiB/s, burst: 1KiB }").unwrap();
    let per_client = build("{ down: 128KiB/s, burst: 1KiB, key: client_ip }").unwrap();
    let mut exchange = Exchange::get("/", Instant::now());
    for filter in [&per_connection, &per_client] {
        exchange.on_request(filter).await.unwrap();
    }
    let mut body = Some(Bytes::from(vec![0; 65 * KIB]));
    for filter in [&per_client, &per_connection] {
        exchange.on_response_body(filter, &mut body, false).unwrap();
    }
    assert_eq!(exchange.take_delay(), Duration::from_secs(1));
}

#[tokio::test]
async fn what_would_wait_for_more_than_a_minute_is_broken_off() {
    let filter = build("{ down: 4KiB/s, burst: 4KiB }").unwrap();
    let now = Instant::now();
    let mut streams: Vec<_> = (0..5).map(|_| Exchange::get("/", now)).collect();
    for (stream, wait) in streams.iter_mut().zip([15, 31, 47, 63]) {
        assert_eq!(pass(stream, &filter, Way::Down, 64 * KIB).as_secs(), wait);
    }
    let mut body = Some(Bytes::from(vec![0; 64 * KIB]));
    let error = streams[4].on_response_body(&filter, &mut body, false).unwrap_err();
    assert_eq!((error.status(), error.cause()), (StatusCode::SERVICE_UNAVAILABLE, "bandwidth_exceeded"));
}

#[tokio::test]
async fn one_answer_alone_is_never_too_much_however_long_its_pieces_are() {
    let filter = build("{ down: 64KiB/s, burst: 64KiB }").unwrap();
    let mut exchange = Exchange::get("/", Instant::now());
    let wait = |mebibytes: u64| mebibytes * 16 - 1;
    assert_eq!(pass(&mut exchange, &filter, Way::Down, 8192 * KIB).as_secs(), wait(8));
    assert_eq!(pass(&mut exchange, &filter, Way::Down, 8192 * KIB).as_secs(), wait(16));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for yaml in [
        "{}",
        "{ down: 0 }",
        "{ up: 4095B/s }",
        "{ down: 3GiB/s }",
        "{ down: 1MiB/s, burst: 1023B }",
        "{ down: 1MiB/s, burst: 2GiB }",
        "{ down: 1MiB/s, keys: 999 }",
    ] {
        assert!(build(yaml).is_err(), "{yaml}");
    }
    let both = build("{ down: 1MiB/s, up: 64KiB/s, key: client_ip }").unwrap();
    assert_eq!(both.describe(), "1MiB/s down, 64KiB/s up per client_ip");
}
