use std::ops::AddAssign;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::process::Running;
use crate::support::{Client, Edge, Redis, eventually};

/// A configuration with a store and a route with this limit.
fn config(redis: &str, timeout: &str, limit: &str) -> String {
    format!(
        "server: {{ stores: {{ limits: {{ redis: '{redis}', timeout: {timeout} }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes:
  - filters: [{{ rate_limit: {{ scope: cluster, store: limits, {limit} }} }}]
    respond: {{}}
log: {{ access: {{ format: off }} }}
"
    )
}

async fn limited(redis: &str, limit: &str) -> Edge {
    Edge::start(&config(redis, "100ms", limit)).await
}

async fn statuses(edge: &Edge, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(edge.get("/").await.status);
    }
    statuses
}

#[tokio::test]
async fn processes_count_together_under_one_name_and_rate() {
    let redis = Redis::start().await;
    let limit = "name: api, rate: 3/h";
    let (one, other) = (limited(&redis.address(), limit).await, limited(&redis.address(), limit).await);
    assert_eq!(statuses(&one, 2).await, [200, 200]);
    assert_eq!(statuses(&other, 2).await, [200, 429]);
    let refused = one.get("/").await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"default\";q=3;w=3600"));
    for another in ["name: web, rate: 3/h", "name: api, rate: 4/h"] {
        let another = limited(&redis.address(), another).await;
        assert_eq!(statuses(&another, 1).await, [200]);
    }
    assert_eq!(redis.keys().await, 3);
}

#[tokio::test]
async fn keys_are_counted_apart_and_those_without_one_together() {
    let redis = Redis::start().await;
    let edge = limited(&redis.address(), "name: api, rate: 1/h, key: { header: X-User }").await;
    for (fields, status) in
        [("X-User: a\r\n", 200), ("X-User: a\r\n", 429), ("X-User: b\r\n", 200), ("", 200), ("", 429)]
    {
        let response = edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert_eq!(response.status, status, "{fields}");
    }
}

#[tokio::test]
async fn several_limits_on_a_route_all_count() {
    let redis = Redis::start().await;
    let second = "name: slow, rate: 2/h, key: host } }, { rate_limit: { rate: 3/h, key: path";
    let edge = limited(&redis.address(), &format!("name: fast, rate: 5/h, headers: true }} }}, {{ rate_limit: {{ scope: cluster, store: limits, {second}")).await;
    let first = edge.get("/a").await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, Some("\"default\";q=5;w=3600")));
    assert_eq!(edge.get("/a").await.status, 200);
    let refused = edge.get("/a").await;
    assert_eq!((refused.status, refused.header("ratelimit-policy")), (429, Some("\"default\";q=2;w=3600")));
}

#[tokio::test]
async fn what_is_over_the_rate_waits_for_its_turn_among_all_processes() {
    let redis = Redis::start().await;
    let limit = "name: api, rate: 1/200ms, burst: 1, mode: delay, max_delay: 300ms";
    let (one, other) = (limited(&redis.address(), limit).await, limited(&redis.address(), limit).await);
    assert_eq!(statuses(&one, 1).await, [200]);
    let begun = Instant::now();
    let (second, third) = tokio::join!(other.get("/"), one.get("/"));
    let took = begun.elapsed();
    // The second has to wait for 200 ms and the third for 400, but for what went by since the first.
    let statuses = [second.status, third.status];
    assert!(statuses.contains(&200) && took >= Duration::from_millis(100), "{statuses:?} after {took:?}");
}

#[tokio::test]
async fn without_its_store_a_limit_does_as_it_is_told() {
    let redis = Redis::absent();
    for (on_failure, expected) in [
        ("on_store_failure: local", [200, 200, 429]),
        ("on_store_failure: local, processes: 2", [200, 429, 429]),
        ("on_store_failure: allow", [200, 200, 200]),
        ("on_store_failure: reject", [503, 503, 503]),
        ("mode: dry_run, on_store_failure: reject", [200, 200, 200]),
    ] {
        let edge = limited(&redis.address(), &format!("name: api, rate: 2/h, {on_failure}")).await;
        assert_eq!(statuses(&edge, 3).await, expected, "{on_failure}");
    }
}

#[tokio::test]
async fn connections_go_on_over_reloads_and_end_with_the_store() {
    let redis = Redis::start().await;
    let edge = limited(&redis.address(), "name: api, rate: 9/h").await;
    assert_eq!(statuses(&edge, 4).await, [200; 4]);
    eventually("both connections are there", async || redis.clients().await == 2).await;
    let before = redis.accepted().await;
    edge.reload(&config(&redis.address(), "100ms", "name: api, rate: 9/h, burst: 6")).await;
    assert_eq!(statuses(&edge, 4).await, [200, 200, 429, 429]);
    assert_eq!(redis.accepted().await, before + 1, "the one that asks");
    edge.reload(&config(&redis.address(), "90ms", "name: api, rate: 9/h, burst: 8")).await;
    assert_eq!(statuses(&edge, 2).await, [200, 200]);
    eventually("only the new ones are left", async || redis.clients().await == 2).await;
    edge.reload("listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]").await;
    eventually("none is left", async || redis.clients().await == 0).await;
}

#[tokio::test]
async fn answers_that_count_do_so_for_all_processes() {
    let redis = Redis::start().await;
    let limit = "name: api, rate: 2/h, count: 4xx";
    let with_status = |status| config(&redis.address(), "100ms", limit).replace("respond: {}", status);
    let good = Edge::start(&with_status("respond: { status: 200 }")).await;
    let bad = Edge::start(&with_status("respond: { status: 403 }")).await;
    assert_eq!(statuses(&good, 3).await, [200; 3]);
    assert_eq!(redis.keys().await, 0);
    assert_eq!(statuses(&bad, 1).await, [403]);
    eventually("it is counted", async || redis.keys().await == 1).await;
    assert_eq!(statuses(&good, 1).await, [200]);
    assert_eq!(statuses(&bad, 1).await, [403]);
    eventually("both are counted", async || good.get("/").await.status == 429).await;
    assert_eq!(statuses(&bad, 1).await, [429]);
}

// === Three processes ===

const RATE: f64 = 200.0;
const BURST: f64 = 20.0;

/// What the load asks the store in a fraction of a second; looking at that asks it too.
const ASKED: u64 = 100;

/// What became of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    passed: u32,
    refused: u32,
    failed: u32,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.refused += other.refused;
        self.failed += other.failed;
    }
}

fn in_three_processes(redis: &Redis) -> String {
    format!(
        "server: {{ stores: {{ limits: {{ redis: '{}', timeout: 100ms }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes:
  - match: {{ path: /probe }}
    filters: [{{ rate_limit: {{ scope: cluster, store: limits, name: probe, rate: 1/h, key: {{ header: X-Probe }} }} }}]
    respond: {{}}
  - filters: [{{ rate_limit: {{ scope: cluster, store: limits, name: api, rate: {RATE}/s, burst: {BURST}, processes: 3 }} }}]
    respond: {{}}
log: {{ access: {{ format: off }} }}
",
        redis.address()
    )
}

/// Asks a process as often as the limit allows to all, for so long.
async fn load(process: &Running, time: Duration) -> Tally {
    let mut client = Client::connect(process.address()).await;
    let mut tally = Tally::default();
    let end = Instant::now() + time;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while ticks.tick().await < end {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        match client.response().await.status {
            200 => tally.passed += 1,
            429 => tally.refused += 1,
            _ => tally.failed += 1,
        }
    }
    tally
}

/// The same at all processes at once, with the time that it took.
async fn load_all(processes: &[Running; 3], time: Duration) -> (Tally, f64) {
    let begun = Instant::now();
    let [a, b, c] = processes;
    let (a, b, c) = tokio::join!(load(a, time), load(b, time), load(c, time));
    let mut all = a;
    all += b;
    all += c;
    (all, begun.elapsed().as_secs_f64())
}

/// That what passes is within 2 % of what the limit lets pass in that time. On a machine that has no time for the store it
/// answers too late now and then, and a process rightly counts for itself; then it is looked at again.
async fn assert_exact(processes: &[Running; 3]) {
    const ATTEMPTS: usize = 4;

    let mut found = Vec::new();
    for _ in 0..ATTEMPTS {
        let (tally, time) = load_all(processes, Duration::from_secs(4)).await;
        assert!(tally.refused > tally.passed && tally.failed == 0, "{tally:?}");
        // What the load before has left of the burst is not much.
        let burst = if found.is_empty() { BURST } else { 0.0 };
        let ratio = f64::from(tally.passed) / (RATE * time + burst);
        if (ratio - 1.0).abs() < 0.02 {
            return;
        }
        found.push(format!("{tally:?}: {ratio:.3}"));
    }
    panic!("never within 2 %: {found:?}");
}

/// Until every process counts in the store.
async fn all_count_there(processes: &[Running; 3], redis: &Redis) {
    for process in processes {
        let known = redis.keys().await;
        let probe = async || {
            let request = format!("GET /probe HTTP/1.1\r\nHost: a\r\nX-Probe: {}\r\n\r\n", process.id());
            let mut client = Client::connect(process.address()).await;
            client.send(request).await;
            client.response().await;
            redis.keys().await > known
        };
        eventually("the store has a key more", probe).await;
    }
}

#[tokio::test]
async fn three_processes_keep_to_one_limit_and_go_on_without_the_store() {
    let mut redis = Redis::start().await;
    let config = in_three_processes(&redis);
    let processes = [
        Running::start(&config, 1).await,
        Running::start(&config, 1).await,
        Running::start(&config, 1).await,
    ];
    all_count_there(&processes, &redis).await;
    assert_exact(&processes).await;

    let before = redis.commands().await;
    let (outage, ()) = tokio::join!(load_all(&processes, Duration::from_secs(3)), async {
        eventually("it is asked", async || redis.commands().await > before + ASKED).await;
        redis.kill();
    });
    let (tally, time) = outage;
    let most = (RATE * time + BURST) * 1.02;
    assert!(
        f64::from(tally.passed) <= most && f64::from(tally.passed) > most / 2.0,
        "{tally:?} for {most:.0}"
    );
    assert_eq!(tally.failed, 0, "{tally:?}");
    for process in &processes {
        process.tells("a store does not answer, each process counts for itself store=limits").await;
    }

    redis.come_back().await;
    all_count_there(&processes, &redis).await;
    assert_exact(&processes).await;
}
