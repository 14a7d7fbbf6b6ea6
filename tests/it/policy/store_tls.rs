//! Stores that are reached over TLS: a `redis-server` that speaks it.

use crate::support::{Ca, Edge, Redis, eventually};

/// A user who may do what limits need, in another database than the first.
const USER: &[&str] = &["--user", "edge", "on", ">hunter2", "~*", "&*", "+@all"];

fn config(store: &str) -> String {
    format!(
        "server: {{ stores: {{ limits: {{ {store}, timeout: 100ms }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes:
  - filters: [{{ rate_limit: {{ scope: cluster, store: limits, name: api, rate: 2/h, on_store_failure: reject, key: {{ header: X-Key }} }} }}]
    respond: {{}}
log: {{ access: {{ format: off }} }}
"
    )
}

async fn ask(edge: &Edge, key: &str) -> u16 {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n")).await.status
}

/// Waits for the store: its first connection may take longer than a request has.
async fn reaches_store(edge: &Edge) {
    eventually("the store is asked", async || ask(edge, "first").await != 503).await;
}

#[tokio::test]
async fn limits_are_kept_over_tls_for_a_user_in_a_database() {
    let ca = Ca::new("stores");
    let (redis, port) = Redis::over_tls(&ca, &ca.issue(&["127.0.0.1", "localhost"]), USER).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca.pem()).unwrap();
    std::fs::write(folder.path().join("password"), "hunter2\n").unwrap();
    let who = format!("user: edge, password: {{ file: '{}/password' }}", folder.path().display());
    for host in ["127.0.0.1", "localhost"] {
        let store = format!("redis: 'rediss://{host}:{port}/3', ca: '{}', {who}", file.display());
        let edge = Edge::start(&config(&store)).await;
        reaches_store(&edge).await;
        let statuses = [ask(&edge, host).await, ask(&edge, host).await, ask(&edge, host).await];
        assert_eq!(statuses, [200, 200, 429]);
    }
    let keyspace = redis.keyspace().await;
    assert!(keyspace.contains("db3:keys=3") && !keyspace.contains("db0:"), "{keyspace}");
}

#[tokio::test]
async fn a_store_that_does_not_prove_its_name_or_wants_another_password_is_none() {
    let (ca, other) = (Ca::new("stores"), Ca::new("others"));
    let (redis, port) = Redis::over_tls(&ca, &ca.issue(&["localhost"]), USER).await;
    let folder = tempfile::tempdir().unwrap();
    let [good, bad] = [("good.pem", &ca), ("bad.pem", &other)].map(|(name, ca)| {
        let file = folder.path().join(name);
        std::fs::write(&file, ca.pem()).unwrap();
        file.display().to_string()
    });
    let tls = |host: &str, ca: &str| format!("redis: 'rediss://{host}:{port}', ca: '{ca}'");
    let user = "user: edge, password: hunter2";
    for store in [
        format!("{}, {user}", tls("localhost", &bad)),
        format!("{}, {user}", tls("127.0.0.1", &good)),
        format!("{}, user: edge, password: hunter3", tls("localhost", &good)),
        format!("redis: 'rediss://localhost:{port}', {user}"),
        format!("redis: 'redis://localhost:{port}', {user}"),
    ] {
        let edge = Edge::start(&config(&store)).await;
        for _ in 0..8 {
            assert_eq!(ask(&edge, "a").await, 503, "{store}");
        }
    }
    assert_eq!(redis.keyspace().await.lines().filter(|line| line.starts_with("db")).count(), 0);
    let edge = Edge::start(&config(&format!("{}, {user}", tls("localhost", &good)))).await;
    reaches_store(&edge).await;
}
