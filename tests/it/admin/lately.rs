//! What has gone on lately, the events that tell what goes on, and the page that shows both.

use serde_json::Value;

use crate::support::{Client, Edge, Endpoint, dead, eventually};

use super::{config, pool, read, with_admin};

async fn json(edge: &Edge, path: &str) -> Value {
    serde_json::from_str(read(edge, path).await.text()).unwrap()
}

async fn samples(edge: &Edge) -> Vec<Value> {
    json(edge, "/v1/series").await["samples"].as_array().unwrap().clone()
}

fn sum(samples: &[Value], field: &str) -> f64 {
    samples.iter().map(|sample| sample[field].as_f64().unwrap()).sum()
}

#[tokio::test]
async fn each_second_is_kept_over_reloads() {
    let edge = Edge::start(&config("", "{ name: all, respond: { status: 503 } }")).await;
    for path in ["/a", "/b", "/c"] {
        edge.get(path).await;
    }
    eventually("they are in a sample", async || sum(&samples(&edge).await, "requests_per_s") > 2.0).await;
    let before = samples(&edge).await;
    assert!(sum(&before, "errors_per_s") > 2.0 && sum(&before, "client_errors_per_s") == 0.0, "{before:?}");
    assert!(before.iter().any(|sample| sample["p99_ms"].is_f64()), "{before:?}");
    edge.reload(&config("", "{ name: other, match: { path: /x }, respond: {} }")).await;
    edge.get("/nowhere").await;
    eventually("the edge's own error is too", async || {
        let after = samples(&edge).await;
        assert_eq!(after[0], before[0], "what was before the reload stays");
        sum(&after, "edge_errors_per_s") > 0.0 && sum(&after, "client_errors_per_s") > 0.0
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_its_endpoint_breaks_off_is_no_error_of_the_edge() {
    let broken = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        None
    })
    .await;
    let pools = pool("app", "", &[broken.address()]);
    let edge = Edge::start(&config(&pools, "{ match: { path: /half }, pool: app }")).await;
    let mut client = Client::connect(edge.address()).await;
    client.send("GET /half HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    client.rest().await;
    eventually("it is in a sample", async || sum(&samples(&edge).await, "requests_per_s") > 0.0).await;
    let after = samples(&edge).await;
    assert_eq!(sum(&after, "edge_errors_per_s"), 0.0, "{after:?}");
    edge.get("/nowhere").await;
    eventually("an error of the edge is", async || sum(&samples(&edge).await, "edge_errors_per_s") > 0.0)
        .await;
}

#[tokio::test]
async fn what_has_changed_is_told_with_its_reason() {
    let address = dead().await;
    let health = "health: { tcp: {}, interval: 100ms },";
    let pools = pool("app", health, &[address]);
    let edge = Edge::start(&config(&pools, "{ pool: app }")).await;
    let transitions =
        async || json(&edge, "/v1/transitions").await["transitions"].as_array().unwrap().clone();
    eventually("the endpoint is unfit", async || !transitions().await.is_empty()).await;
    let first = transitions().await[0].clone();
    assert_eq!((&first["pool"], &first["endpoint"]), (&"app".into(), &address.to_string().into()));
    assert_eq!((&first["from"], &first["to"]), (&"checking".into(), &"unfit".into()));
    assert!(first["why"].as_str().unwrap().contains("refused"), "{first}");
    edge.try_reload("listeners: 5\n").await.unwrap_err();
    edge.reload(&config(&pools, "{ name: named, pool: app }")).await;
    // Nothing differs, so nothing is told.
    edge.reread().await;
    let told: Vec<_> = transitions().await.into_iter().filter(|one| one["pool"].is_null()).collect();
    let [refused, made] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&refused["from"], &refused["to"]), (&"generation 1".into(), &"refused".into()));
    assert!(refused["why"].as_str().unwrap().contains("listeners"), "{refused}");
    assert_eq!((&made["from"], &made["to"]), (&"generation 1".into(), &"generation 2".into()));
}

#[tokio::test]
async fn a_refusal_tells_nobody_what_was_found() {
    let admin = "bind: 127.0.0.1:0, audit_log: DIR/audit.log";
    let text = with_admin(admin, "", "{ respond: {} }");
    let edge = Edge::start(&text).await;
    let mut listener = Listener::begin(&edge).await;
    for (wrong, place) in [
        ("server: { threads: SECRET }\n", "server.threads: expected a whole number"),
        ("tracing: { to: 'https://user:SECRET@collector.example/' }\n", "tracing.to: it is refused"),
        // The warning comes first in the file, and is not the reason.
        (
            "pools: { idle: { endpoints: [127.0.0.1:1] } }\nserver: { zone: 'SECRET SECRET' }\n",
            "server.zone: ",
        ),
    ] {
        let told =
            edge.try_reload(&format!("{}{wrong}", text.replace("pools: {  }\n", ""))).await.unwrap_err();
        let wrong = told.lines().filter(|line| !line.contains("warning")).collect::<Vec<_>>();
        assert!(wrong[0].contains(&place[..7]), "whoever has asked knows all: {told}");
        let event = listener.event("transition").await;
        assert!(event["why"].as_str().unwrap().contains(place), "{event}");
    }
    for path in ["/v1/audit", "/v1/transitions"] {
        let told = read(&edge, path).await;
        let text = told.text();
        assert!(text.contains("server.threads") && !text.contains("SECRET"), "{path}: {text}");
    }
    let folder = edge.stop_and_keep().await;
    let noted = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(noted.contains("tracing.to: it is refused") && !noted.contains("SECRET"), "{noted}");
}

/// Somebody who listens.
struct Listener(Client);

impl Listener {
    async fn begin(edge: &Edge) -> Self {
        Self::begin_with(edge, "").await
    }

    async fn begin_with(edge: &Edge, fields: &str) -> Self {
        let mut client = Client::connect(edge.admin_address()).await;
        client.send(format!("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")).await;
        let head = client.head().await;
        assert!(head.contains(" 200 ") && head.contains("content-type: text/event-stream"), "{head}");
        Self(client)
    }

    /// The data of the next event of that name.
    async fn event(&mut self, name: &str) -> Value {
        self.0.until(format!("event: {name}\ndata: ").as_bytes()).await;
        let data = self.0.until(b"\n\n").await;
        serde_json::from_slice(data.trim_ascii_end()).unwrap()
    }
}

#[tokio::test]
async fn the_status_is_told_once_and_then_what_changes() {
    let endpoint = Endpoint::answering("ok").await;
    let pools = pool("app", "", &[endpoint.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    let mut listener = Listener::begin(&edge).await;
    let status = listener.event("status").await;
    let address = endpoint.address().to_string();
    assert_eq!(status["pools"]["app"]["endpoints"][&address]["picks"], 0);
    edge.get("/").await;
    let picks = loop {
        let patch = listener.event("patch").await;
        assert!(patch["version"].is_null(), "it has not changed: {patch}");
        // Connections come and go besides.
        let picks = &patch["pools"]["app"]["endpoints"][&address]["picks"];
        if picks.is_u64() {
            break picks.clone();
        }
    };
    assert_eq!(picks, 1);
    assert!(listener.event("sample").await["at_ms"].is_u64());
    edge.try_reload("listeners: 5\n").await.unwrap_err();
    assert_eq!(listener.event("transition").await["to"], "refused");
}

#[tokio::test]
async fn events_end_with_their_listener() {
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    let mut listener = Listener::begin(&edge).await;
    listener.event("status").await;
    edge.reload(&with_admin("bind: 127.0.0.2:0", "", "{ respond: {} }")).await;
    let rest = listener.0.rest().await;
    assert!(rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn events_end_for_those_who_may_not_read_any_more() {
    let (first, second) = ("reads-but-never-writes", "another-one-of-that-name");
    let text = |token: &str, anonymous: &str| {
        let tokens = format!("tokens: {{ grafana: {{ token: {token}, scope: read }} }}");
        let admin = format!("bind: 127.0.0.1:0, anonymous: {anonymous}, {tokens}");
        with_admin(&admin, "", "{ respond: {} }")
    };
    let edge = Edge::start(&text(first, "read")).await;
    let mut anonymous = Listener::begin(&edge).await;
    let mut known = Listener::begin_with(&edge, &format!("Authorization: Bearer {first}\r\n")).await;
    anonymous.event("status").await;
    known.event("status").await;
    edge.reload(&text(first, "health")).await;
    anonymous.0.until(b"0\r\n\r\n").await;
    known.event("sample").await;
    known.event("sample").await;
    // Another token of the same name is not the one that was shown.
    edge.reload(&text(second, "read")).await;
    known.0.until(b"0\r\n\r\n").await;
}

#[tokio::test]
async fn the_page_and_its_files_are_bound_to_themselves() {
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    let page = read(&edge, "/").await;
    assert!(page.text().starts_with("<!doctype html>"));
    let of_page = page.text().split('"').filter(|part| part.starts_with("/dashboard/"));
    for path in ["/"].into_iter().chain(of_page) {
        let file = read(&edge, path).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(file.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(read(&edge, "/dashboard/mod.rs").await.status, 404);
}
