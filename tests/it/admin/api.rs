//! What the admin API tells is what happens.

use serde_json::{Value, json};

use crate::process::Running;
use crate::support::{Client, Edge, Endpoint, dead, eventually};

use super::{ask, config, pool, read};

/// What is told at a path, which has to be there.
async fn told(edge: &Edge, path: &str) -> Value {
    let told = read(edge, path).await;
    assert_eq!((told.status, told.header("content-type")), (200, Some("application/json")), "{path}");
    serde_json::from_str(told.text()).unwrap()
}

/// The same without what changes from one moment to the next.
fn still(mut told: Value) -> Value {
    match &mut told {
        Value::Object(fields) => {
            for key in ["latency_ms", "open", "expires_in_s"] {
                fields.remove(key);
            }
            fields.values_mut().for_each(|value| *value = still(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = still(item.take())),
        _ => {}
    }
    told
}

#[tokio::test]
async fn parts_of_the_process_are_told_by_path() {
    let endpoint = Endpoint::answering("hello").await;
    let pools = pool("app", "", &[endpoint.address()]);
    let routes = "{ name: api, match: { host: example.com }, pool: app, filters: [deny: [10.0.0.0/8]] }";
    let edge = Edge::start(&config(&pools, routes)).await;
    edge.get("/").await;
    assert_eq!(edge.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n").await.status, 404);
    eventually("both are counted", async || {
        let status = told(&edge, "/v1/status").await;
        status["routes"][0]["requests"]["2xx"] == 1 && status["unrouted"]["errors"]["no_route"] == 1
    })
    .await;
    let status = told(&edge, "/v1/status").await;
    for part in ["listeners", "pools", "certificates"] {
        let by_path = told(&edge, &format!("/v1/{part}")).await;
        assert_eq!(still(by_path), still(status[part].clone()), "{part}");
    }
    let routes = told(&edge, "/v1/routes").await;
    assert_eq!((&routes[0]["name"], &routes[0]["to"]), (&json!("api"), &json!("pool app")));
    assert_eq!(routes[0]["steps"][0]["filter"], "deny");
    assert_eq!((&routes[0]["bytes_out"], &routes[0]["in_flight"]), (&json!(5), &json!(0)));
    assert_eq!(status["listeners"][0]["accepted"], 2);
    let path = format!("/v1/pools/app/endpoints/{}", endpoint.address());
    let of_pool = told(&edge, "/v1/pools/app").await["endpoints"][0].take();
    assert_eq!(still(told(&edge, &path).await), still(of_pool));
    assert_eq!(read(&edge, "/v1/pools/ap").await.status, 404);
    assert_eq!(told(&edge, "/v1/caches").await, json!([]));
    assert_eq!(told(&edge, "/v1/history").await[0]["number"], 1);
}

#[tokio::test]
async fn percentiles_and_shares_appear_under_load() {
    let (one, other) = (Endpoint::answering("one").await, Endpoint::answering("other").await);
    let pools = pool("app", "balance: round_robin,", &[one.address(), other.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    assert_eq!(told(&edge, "/v1/status").await["last_minute"]["p99_ms"], Value::Null);
    eventually("a turn has seen requests", async || {
        edge.get("/").await;
        told(&edge, "/v1/pools/app").await["last_minute"]["per_s"].as_f64().unwrap() > 0.0
    })
    .await;
    let status = told(&edge, "/v1/status").await;
    let endpoints = status["pools"][0]["endpoints"].as_array().unwrap();
    let whole =
        [&status["last_minute"], &status["routes"][0]["last_minute"], &status["pools"][0]["last_minute"]];
    for told in whole.into_iter().chain(endpoints.iter().map(|endpoint| &endpoint["last_minute"])) {
        let [p50, p95, p99] = ["p50_ms", "p95_ms", "p99_ms"].map(|key| told[key].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{told}");
    }
    let shares = endpoints.iter().map(|endpoint| endpoint["picks_percent"].as_f64().unwrap());
    assert!((shares.sum::<f64>() - 100.0).abs() < 0.1, "{endpoints:?}");
}

#[tokio::test]
async fn it_is_told_why_an_endpoint_is_out() {
    let (good, bad) = (Endpoint::answering("good").await, dead().await);
    let ejecting = "balance: round_robin, outlier: { consecutive: 2 }, retry: { attempts: 0 },";
    let pools = [
        pool("passive", ejecting, &[bad, good.address()]),
        pool("probed", "health: { tcp: {}, interval: 100ms },", &[bad]),
    ];
    let routes = "{ match: { path: /passive }, pool: passive }, { pool: probed }";
    let edge = Edge::start(&config(&pools.join(", "), routes)).await;
    eventually("the endpoint is ejected", async || {
        edge.get("/passive").await;
        let endpoint = &told(&edge, "/v1/pools/passive").await["endpoints"][0];
        endpoint["state"] == "ejected" && endpoint["reason"] == "2 failures in a row"
    })
    .await;
    eventually("the other one is unfit", async || {
        let endpoint = &told(&edge, "/v1/pools/probed").await["endpoints"][0];
        let last = endpoint["probes"].as_array().and_then(|probes| probes.last()).cloned();
        endpoint["state"] == "unfit" && last.is_some_and(|last| last["reason"] == endpoint["reason"])
    })
    .await;
}

#[tokio::test]
async fn what_is_served_is_shown_without_its_secrets() {
    let pools = pool("app", "sticky: { cookie: stick, secret: SECRET-0123456789 },", &[dead().await]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    let shown = read(&edge, "/v1/config").await;
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("application/yaml")));
    assert!(shown.text().contains("secret: …") && !shown.text().contains("SECRET"), "{}", shown.text());
    let known = format!("Host: localhost\r\nIf-None-Match: {}\r\n", shown.header("etag").unwrap());
    assert_eq!(ask(&edge, "GET /v1/config", &known).await.status, 304);
    edge.reload(&config(&pools, "{ name: other, pool: app }")).await;
    let shown = ask(&edge, "GET /v1/config", &known).await;
    assert!(shown.status == 200 && shown.text().contains("name: other"), "{}", shown.text());
}

#[tokio::test]
async fn the_control_socket_speaks_http_too() {
    let text = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: ['127.0.0.1:9'] } }
routes: [{ pool: app }]
";
    let running = Running::start(text, 1).await;
    let connect = async || tokio::net::UnixStream::connect(running.file("run/evener.sock")).await.unwrap();
    // Twice on one connection, and under a name that the process does not know: no browser comes this way.
    let mut client = Client::over(connect().await);
    for host in ["localhost", "evener"] {
        client.send(format!("GET /v1/pools/app HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let pool: Value = serde_json::from_str(client.response().await.text()).unwrap();
        assert_eq!(pool, running.status().await["pools"][0]);
    }
    let mut slow = Client::over(connect().await);
    for part in ["G", "ET /healthz HTTP/1.1\r\n", "Host: localhost\r\n\r\n"] {
        slow.send(part).await;
    }
    assert_eq!(slow.response().await.text(), "ok\n");
}
