//! Those who may not change anything: whatever they try, all that can be changed stays as it is.

use serde_json::Value;

use crate::process::Running;
use crate::support::{Client, Endpoint, Response};

use super::call;
use super::steer::{OPERATE, READ, fields};

/// A process with something of all that can be changed: its second configuration is served and a third one is in its file,
/// an endpoint is drained, and an answer is stored.
struct Scene {
    running: Running,
    first: Endpoint,
    second: Endpoint,
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 2\r\n\r\nok";
const PLAIN: &str = "Host: localhost\r\nContent-Type: application/json\r\n";
/// What changes by itself.
const RESTLESS: [&str; 9] = [
    "last_minute",
    "picks_percent",
    "latency_ms",
    "ejected_for_ms",
    "for_s",
    "picks",
    "connections",
    "bytes_received",
    "waits_for",
];

impl Scene {
    async fn set() -> Self {
        let (first, second) =
            (Endpoint::with(|_| ANSWER.to_owned()).await, Endpoint::with(|_| ANSWER.to_owned()).await);
        let running = Running::start(&text(&first, &second, 201), 1).await;
        let scene = Self { running, first, second };
        for (status, line) in [(202, "POST /v1/reload"), (203, &*scene.drained("drain"))] {
            std::fs::write(scene.running.file("edge.yaml"), text(&scene.first, &scene.second, status))
                .unwrap();
            assert_eq!(scene.order(line, &fields(OPERATE), "{}").await.status, 200, "{line}");
        }
        scene
    }

    /// What is done to the endpoint that is drained.
    fn drained(&self, what: &str) -> String {
        format!("POST /v1/pools/next/endpoints/{}/{what}", self.second.address())
    }

    async fn order(&self, line: &str, fields: &str, body: &str) -> Response {
        let fields = format!("{fields}Content-Length: {}\r\n", body.len());
        call(self.running.admin_address(), line, &fields, body).await
    }

    async fn text(&self, path: &str) -> String {
        let told =
            call(self.running.admin_address(), &format!("GET {path}"), "Host: localhost\r\n", "").await;
        assert_eq!(told.status, 200, "{path}: {}", told.text());
        told.text().to_owned()
    }

    async fn told(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// All that can be changed, as requests that would, each of which leaves the others something to change.
    fn changes(&self) -> Vec<(String, &'static str)> {
        let endpoint = |of: &Endpoint| format!("/v1/pools/app/endpoints/{}", of.address());
        let (first, second) = (endpoint(&self.first), endpoint(&self.second));
        vec![
            ("POST /v1/purge".to_owned(), "{\"all\":true}"),
            ("POST /v1/caches/main/purge".to_owned(), "{\"all\":true}"),
            ("PUT /v1/log".to_owned(), "{\"level\":\"error\"}"),
            ("POST /v1/splits/trial/canary".to_owned(), "{\"order\":\"promote\"}"),
            ("PUT /v1/splits/shop/pools/app/weight".to_owned(), "{\"weight\":0}"),
            (self.drained("undrain"), "{}"),
            (format!("POST {first}/drain"), "{}"),
            (format!("POST {second}/eject"), "{\"for\":\"1h\"}"),
            (format!("PUT {first}/weight"), "{\"weight\":7}"),
            ("POST /v1/reload".to_owned(), "{}"),
            ("POST /v1/rollback".to_owned(), "{\"to\":1}"),
        ]
    }

    /// How all that can be changed stands, part by part.
    async fn state(&self) -> Vec<String> {
        let mut state = vec![self.text("/v1/config").await];
        for path in ["pools", "splits", "log", "drift", "history", "transitions"] {
            let mut told = self.told(&format!("/v1/{path}")).await;
            calm(&mut told);
            state.push(format!("{path}: {told:#}"));
        }
        let mut client = Client::connect(self.running.address()).await;
        client.send("GET /kept HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "ok");
        let endpoints = [&self.first, &self.second];
        let asked: usize = endpoints.iter().map(|endpoint| endpoint.requests().len()).sum();
        state.push(format!("what is stored was asked for: {asked}"));
        state
    }
}

fn text(first: &Endpoint, second: &Endpoint, status: u16) -> String {
    let (first, second) = (first.address(), second.address());
    format!(
        "server: {{ caches: {{ main: {{}} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
admin:
  bind: 127.0.0.1:0
  tokens:
    deploy: {{ token: {OPERATE}, scope: operate }}
    grafana: {{ token: {READ}, scope: read }}
pools:
  app: {{ balance: first, endpoints: ['{first}', '{second}'] }}
  next: {{ balance: first, endpoints: ['{first}', '{second}'] }}
routes:
  - {{ name: kept, match: {{ path: /kept }}, filters: [cache: {{ in: main }}], pool: app }}
  - {{ name: word, match: {{ path: /word }}, respond: {{ status: {status} }} }}
  - name: shop
    match: {{ path: /shop }}
    split: {{ to: [{{ pool: app }}, {{ pool: next, weight: 3 }}] }}
  - name: trial
    match: {{ path: /trial }}
    split: {{ to: [{{ pool: app, weight: 9 }}, {{ pool: next }}], canary: {{ every: 24h }} }}
log: {{ access: {{ format: off }} }}
"
    )
}

/// Takes off what changes by itself.
fn calm(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(calm),
        Value::Object(values) => {
            values.retain(|key, _| !RESTLESS.contains(&key.as_str()));
            values.values_mut().for_each(calm);
        }
        _ => {}
    }
}

/// Those who may not change anything, with what each is told; none of them guesses a token.
fn known_strangers() -> Vec<(String, u16)> {
    let of_reader = fields(READ);
    vec![
        (PLAIN.to_owned(), 401),
        (of_reader, 403),
        (format!("{PLAIN}Cookie: token={OPERATE}\r\nX-Api-Key: {OPERATE}\r\n"), 401),
        (format!("{}Origin: http://evil.example\r\n", fields(OPERATE)), 403),
        (format!("{}Origin: null\r\n", fields(OPERATE)), 403),
        (format!("{}Sec-Fetch-Site: cross-site\r\n", fields(OPERATE)), 403),
        (fields(OPERATE).replace("localhost", "rebound.example"), 421),
    ]
}

/// Those who try a token, of whom only some are heard each minute.
fn guessing_strangers() -> Vec<String> {
    let shown = [
        "Bearer".to_owned(),
        "Basic ZGVwbG95Og==".to_owned(),
        OPERATE.to_owned(),
        format!("Bearer {OPERATE}x"),
        format!("Bearer {OPERATE}\r\nAuthorization: Bearer {OPERATE}"),
    ];
    shown.into_iter().map(|shown| format!("{PLAIN}Authorization: {shown}\r\n")).collect()
}

#[tokio::test]
async fn two_hundred_calls_of_those_who_may_not_change_nothing() {
    let scene = Scene::set().await;
    let before = scene.state().await;
    let no_changes = ["DELETE /v1/status", "PATCH /v1/config"].map(|line| (line.to_owned(), "{}"));
    let lines: Vec<_> = scene.changes().into_iter().chain(no_changes).collect();
    let mut calls = 0;
    for (line, body) in &lines {
        for (fields, expected) in known_strangers() {
            let told = scene.order(line, &fields, body).await;
            assert_eq!(told.status, expected, "{line} {fields}");
            calls += 1;
        }
        let by_path = format!("{line}?token={OPERATE}&access_token={OPERATE}");
        assert_eq!(scene.order(&by_path, PLAIN, body).await.status, 401);
        calls += 1;
        for (line, body) in [("POST /v1/nothing", "{}"), ("POST /metrics", ""), ("POST /", "{}")] {
            assert_eq!(scene.order(line, PLAIN, body).await.status, 401);
            calls += 1;
        }
        for fields in [
            "",
            "Transfer-Encoding: chunked\r\n",
            "Content-Type: multipart/form-data\r\n",
            "Expect: 100-continue\r\n",
        ] {
            let fields = format!("Host: localhost\r\n{fields}");
            let told = call(scene.running.admin_address(), line, &fields, "").await;
            assert_eq!(told.status, 401, "{line} {fields}");
            calls += 1;
        }
    }
    // Last, since whoever has tried too many tokens is heard no more, whatever it shows.
    for (line, body) in &lines {
        for fields in guessing_strangers() {
            let told = scene.order(line, &fields, body).await;
            assert!([401, 429].contains(&told.status), "{line} {fields}: {}", told.status);
            calls += 1;
        }
    }
    assert!(calls >= 200, "{calls}");
    assert_eq!(scene.state().await, before);
    let noted = scene.told("/v1/audit").await;
    // After the two changes of before.
    let noted = &noted.as_array().unwrap()[2..];
    assert!(noted.len() >= 10 && noted.iter().all(|entry| entry["result"] == "denied"), "{noted:#?}");
    let text = format!("{noted:?}");
    assert!(!text.contains(OPERATE) && !text.contains(READ) && !text.contains("evil"), "{text}");
}

/// Or else the test above would be worth less than it looks.
#[tokio::test]
async fn every_change_that_there_is_shows_in_what_they_are_held_against() {
    let scene = Scene::set().await;
    let mut before = scene.state().await;
    for (line, body) in scene.changes() {
        let told = scene.order(&line, &fields(OPERATE), body).await;
        assert_eq!(told.status, 200, "{line}: {}", told.text());
        let after = scene.state().await;
        assert_ne!(after, before, "{line}");
        before = after;
    }
    let document = scene.told("/v1/openapi.json").await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|method| *method != "get") {
            let template = format!("{} {path}", method.to_uppercase());
            let is_tried = scene.changes().iter().any(|(line, _)| is_of(line, &template));
            assert!(is_tried, "nobody tries {template}");
        }
    }
}

/// Whether a request is for a path whose variable parts are in braces.
fn is_of(line: &str, template: &str) -> bool {
    let fits = |(part, expected): (&str, &str)| expected.starts_with('{') || part == expected;
    line.split('/').count() == template.split('/').count()
        && line.split('/').zip(template.split('/')).all(fits)
}
