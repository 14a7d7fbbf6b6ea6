use super::*;
use crate::pools::State;
use crate::runtime::{CacheDiskUse, CacheStatus, CertificateStatus, EndpointStatus, PoolStatus, RouteStatus};
use crate::telemetry::Percentiles;

/// Without a limit of the width.
fn told(status: &Status) -> String {
    status_table(status, usize::MAX)
}

/// Read as what a process tells, so that figures that come later are none of this.
fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn endpoint(address: &str, state: State) -> EndpointStatus {
    read(serde_json::json!({
        "address": address, "state": state, "weight": 1, "backup": false, "on_trial": false, "in_flight": 0,
        "max_requests": 1024, "picks": 0, "failures": 0, "probes": []
    }))
}

fn pool() -> PoolStatus {
    let busy = EndpointStatus {
        weight: 100,
        zone: Some("a".to_owned()),
        in_flight: 12,
        picks: 1532,
        slow_start_percent: Some(40),
        ..endpoint("10.0.0.1:9001", State::Fit)
    };
    let ejected = EndpointStatus {
        backup: true,
        failures: 5,
        ejected_for_ms: Some(8_200),
        ..endpoint("10.0.0.2:80", State::Ejected)
    };
    read(serde_json::json!({
        "name": "app", "balance": "p2c", "in_flight": 12, "waiting": 1, "retries": 2, "picks": 1532, "failures": 5,
        "panic": false, "fit": 1, "endpoints": [busy, ejected]
    }))
}

fn status(pools: Vec<PoolStatus>) -> Status {
    Status { version: "0.1.0".to_owned(), process: 42, generation: 1, pools, ..Status::default() }
}

#[test]
fn stores_of_answers_tell_how_they_are() {
    use crate::runtime::CacheDiskStatus;
    let disk = |state, why: Option<&str>, files_given_up| CacheDiskStatus {
        path: "/cache".to_owned(),
        bytes: 3 << 29,
        size: 20 << 30,
        state,
        for_s: why.map(|_| 35),
        why: why.map(str::to_owned),
        files_given_up,
    };
    for (disk, expected) in [
        (None, ""),
        (Some(disk(CacheDiskUse::InUse, None, 0)), ", 1.5 GiB of 20 GiB in /cache"),
        (
            Some(disk(CacheDiskUse::Off, Some("Input/output error"), 2)),
            ", 1.5 GiB of 20 GiB in /cache, OFF, works from memory for 35 s: Input/output error, 2 files given up",
        ),
        (
            Some(disk(CacheDiskUse::Full, Some("no space"), 0)),
            ", 1.5 GiB of 20 GiB in /cache, FULL, nothing is written for 35 s: no space",
        ),
    ] {
        let cache = CacheStatus { name: "main".to_owned(), memory_bytes: 700, memory_size: 1 << 20, disk };
        let told = told(&Status { caches: vec![cache], ..status(Vec::new()) });
        assert_eq!(told.lines().last().unwrap(), format!("cache main  700 B of 1 MiB in memory{expected}"));
    }
}

fn minute(per_s: f64, p50: f64) -> Percentiles {
    Percentiles { p50_ms: Some(p50), p95_ms: Some(p50 * 4.0), p99_ms: Some(p50 * 20.0), per_s }
}

/// A status with a route, and some who are not at their best.
fn busy() -> Status {
    let mut pool = pool();
    pool.endpoints[0].last_minute = minute(120.5, 3.2);
    pool.endpoints[0].picks_percent = Some(100.0);
    pool.endpoints[1].reason = Some("5 failures in a row".to_owned());
    let route = |name: &str, to: &str, per_s, answered| -> RouteStatus {
        read(serde_json::json!({
            "name": name, "to": to, "requests": { "2xx": answered, "5xx": 5 }, "in_flight": 12, "bytes_in": 0,
            "bytes_out": 0, "errors": {}, "last_minute": minute(per_s, 3.2), "steps": []
        }))
    };
    Status {
        uptime_s: 3700,
        last_minute: minute(121.0, 3.2),
        routes: vec![route("old", "pool app", 0.5, 70), route("api", "pool app", 120.5, 1500)],
        ..status(vec![pool])
    }
}

#[test]
fn routes_and_endpoints_stand_in_columns() {
    let expected = "evener 0.1.0, process 42, up 1h 1m
last minute: 121 req/s, p50 3.2 ms, p95 12.8 ms, p99 64.0 ms

  ROUTE  TO        PER S     P50      P95      P99  IN FLIGHT  REQUESTS  5XX
  api    pool app    120  3.2 ms  12.8 ms  64.0 ms         12      1505    5
  old    pool app    0.5  3.2 ms  12.8 ms  64.0 ms         12        75    5

app  p2c, 1 of 2 fit, 12 in flight, 1 waiting, 2 retries, 1532 picks, 5 failures
  ENDPOINT       STATE    WEIGHT  IN FLIGHT  PICKS  FAILURES  PER S    SHARE     P50      P95      P99  NOTES
  10.0.0.1:9001  fit         100    12/1024   1532         0    120  100.0 %  3.2 ms  12.8 ms  64.0 ms  zone a, slow start at 40 %
  10.0.0.2:80    ejected       1     0/1024      0         5    0.0        -       -        -        -  backup, ejected for 9 s more: 5 failures in a row
";
    assert_eq!(told(&busy()), expected);
}

#[test]
fn what_does_not_fit_into_a_terminal_is_left_out() {
    let expected = "evener 0.1.0, process 42, up 1h 1m
last minute: 121 req/s, p50 3.2 ms, p95 12.8 ms, p99 64.0 ms

  ROUTE  TO        PER S     P50      P95      P99  IN FLIGHT  REQUESTS  5XX
  api    pool app    120  3.2 ms  12.8 ms  64.0 ms         12      1505    5
  old    pool app    0.5  3.2 ms  12.8 ms  64.0 ms         12        75    5

app  p2c, 1 of 2 fit, 12 in flight, 1 waiting, 2 retries, 1532 picks, 5 failures
  ENDPOINT       STATE    WEIGHT  IN FLIGHT  PER S    SHARE     P50      P99
  10.0.0.1:9001  fit         100    12/1024    120  100.0 %  3.2 ms  64.0 ms
      zone a, slow start at 40 %
  10.0.0.2:80    ejected       1     0/1024    0.0        -       -        -
      backup, ejected for 9 s more: 5 failures in a row
";
    assert_eq!(status_table(&busy(), 80), expected);
    for width in [1, 20, 40, 79, 80, 120, 160] {
        let told = status_table(&busy(), width);
        assert!(told.lines().all(|line| line.chars().count() <= width), "{told}");
    }
}

#[test]
fn the_busiest_routes_come_first_and_those_without_requests_not_at_all() {
    let mut busy = busy();
    busy.routes[0].requests.clear();
    busy.routes.extend(vec![busy.routes[1].clone(); 20]);
    busy.unrouted = Some(RouteStatus {
        name: String::new(),
        to: String::new(),
        in_flight: None,
        ..busy.routes[1].clone()
    });
    busy.unrouted.as_mut().unwrap().last_minute.per_s = 9000.0;
    let told = told(&busy);
    let lines: Vec<_> = told.lines().skip(4).take(21).collect();
    assert!(lines[0].starts_with("  (no route)  -          9000  "), "{told}");
    assert_eq!((lines[20], told.contains("  old ")), ("  and 2 routes more", false));
}

#[test]
fn certificates_are_told_with_what_they_have_left() {
    let certificate = |expires_in_s| CertificateStatus {
        listener: "secure".to_owned(),
        names: vec!["a.example".to_owned(), "*.a.example".to_owned()],
        key: "ECDSA".to_owned(),
        not_after: "2026-03-01T00:00:00Z".to_owned(),
        expires_in_s,
        file: "tls/a.pem".to_owned(),
    };
    for (left, expected) in
        [(-1, "EXPIRED"), (3600, "EXPIRES TODAY"), (61 * 24 * 3600 + 5, "expires in 61 days")]
    {
        let told = told(&Status { certificates: vec![certificate(left)], ..status(Vec::new()) });
        let line = "certificate of secure for a.example, *.a.example (ECDSA)";
        let line = format!("\n{line} {expected}, 2026-03-01T00:00:00Z: tls/a.pem\n");
        assert!(told.ends_with(&line), "{told}");
    }
}

#[test]
fn listeners_tell_what_they_have_to_do() {
    let listener = |serves: &str| -> ListenerStatus {
        read(serde_json::json!({
            "name": "a", "serves": serves, "bind": ["0.0.0.0:1", "unix:a.sock"], "open": 3, "refused": 2, "dropped": 7
        }))
    };
    let listeners = vec![listener("tcp"), listener("udp")];
    let told = told(&Status { listeners, ..status(Vec::new()) });
    let lines = "listener a  tcp on 0.0.0.0:1, unix:a.sock, 3 connections, 2 refused\n\
                 listener a  udp on 0.0.0.0:1, unix:a.sock, 3 flows, 7 datagrams dropped\n";
    assert!(told.ends_with(lines), "{told}");
}

#[test]
fn the_last_probe_is_told_if_it_failed() {
    let notes_of = |probes: serde_json::Value| {
        let probes = serde_json::from_value(probes).unwrap();
        notes(&EndpointStatus { probes, ..endpoint("10.0.0.1:80", State::Unfit) })
    };
    let probe = |passed: bool, reason: &str| serde_json::json!({ "at": "2026-01-01T00:00:00.000Z", "passed": passed, "took_ms": 1.5, "reason": reason });
    let (good, bad) = (probe(true, "200 OK"), probe(false, "it said \x1b[2J"));
    assert_eq!(notes_of(serde_json::json!([good, bad])), ["probe failed: it said \\u001b[2J"]);
    assert!(notes_of(serde_json::json!([bad, good])).is_empty());
}

#[test]
fn what_is_out_of_the_ordinary_is_told_on_top() {
    let pool = PoolStatus { panic: true, ..pool() };
    let told = told(&Status { draining: true, ..status(vec![pool]) });
    assert!(told.starts_with("evener 0.1.0, process 42, up 0s, draining\n"), "{told}");
    assert!(told.contains("5 failures, PANIC: all serve that can be connected to\n"), "{told}");
}

#[test]
fn an_endpoint_in_drain_says_why_and_nothing_does_anything_to_a_terminal() {
    let reason = |text: &str| Some(text.to_owned());
    let drained =
        EndpointStatus { reason: reason("its weight is 0"), ..endpoint("10.0.0.1:80", State::Drained) };
    let ejected = EndpointStatus {
        reason: reason("a\u{1b}[2Jb\nc"),
        ejected_for_ms: Some(500),
        ..endpoint("10.0.0.2:80", State::Ejected)
    };
    assert_eq!(notes(&drained), ["its weight is 0"]);
    assert_eq!(notes(&ejected), ["ejected for 1 s more: a\\u001b[2Jb\\u000ac"]);
}
