use std::path::Path;

use super::{Outline, diff};
use crate::config::load_text;

mod keys;

fn outline(text: &str) -> Outline {
    let loaded = load_text("x.yaml", Path::new("/etc/evener"), text).unwrap();
    let loaded = loaded.sound().unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    Outline::of(&loaded.config, &loaded.source).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn told(old: &str, new: &str) -> String {
    diff(&outline(old), &outline(new)).to_string()
}

/// A whole file with these pools and routes.
fn file(pools: &str, routes: &str) -> String {
    format!("listeners: {{ web: {{ bind: 0.0.0.0:80 }} }}\npools: {pools}\nroutes: {routes}\n")
}

fn pool(settings: &str) -> String {
    file(&format!("{{ app: {{ endpoints: [10.0.0.1:80, 10.0.0.2:80]{settings} }} }}"), "[{ pool: app }]")
}

fn routes(routes: &str) -> String {
    file("{ app: { endpoints: [10.0.0.1:80] } }", routes)
}

const NONE: &str = "no difference\n";

#[test]
fn items_come_go_and_change() {
    let old = "listeners: { web: { bind: 0.0.0.0:80 }, old: { bind: 0.0.0.0:81 } }
pools: { app: { endpoints: [10.0.0.1:8080, 10.0.0.2:8080], timeouts: { connect: 2s } } }
routes: [{ name: app, pool: app }]
";
    let new = "listeners: { web: { bind: 0.0.0.0:80 } }
server: { threads: 2 }
pools: { app: { endpoints: [10.0.0.2:8080, { address: 10.0.0.3:8080, weight: 2 }], timeouts: { connect: 1s }, health: { tcp: {} } } }
routes: [{ name: app, pool: app }, { name: canary, match: { path: /canary }, pool: app }]
log: { level: debug }
";
    assert_eq!(
        told(old, new),
        "~ server: threads: none -> 2
- listeners.old
~ pools.app: + health; endpoints: + 10.0.0.3:8080, - 10.0.0.1:8080; timeouts.connect: 2s -> 1s
+ routes.canary
~ log: level: info -> debug
"
    );
    let back = told(new, old);
    assert!(back.contains("+ listeners.old\n") && back.contains("~ pools.app: - health; "), "{back}");
    assert_eq!(told(old, old), NONE);
}

#[test]
fn spellings_that_mean_the_same_do_not_differ() {
    let one = "listeners:
  # The front door.
  web: { bind: 0.0.0.0:80, limits: { header: { timeout: 10s } }, redirect_https: true }
pools:
  app: { balance: p2c, endpoints: [10.0.0.1:80, 10.0.0.2:80], timeouts: { connect: 5s, total: 1m } }
routes:
  - match: { host: a.example, path: /api/, methods: [GET, POST], headers: { X-A: '1', X-B: '2' } }
    filters: [{ rate_limit: { rate: 10/s, burst: 5 } }]
    pool: app
";
    let other = "routes:
- pool: 'app'
  name: route-1
  filters:
    - rate_limit:
        burst: 5
        rate: \"10/s\"
  match:
    headers: { x-b: \"2\", x-a: 1 }
    methods: [POST, GET, GET]
    path: /api
    host: [A.example]
pools:
  app:
    balance: { p2c: {} }
    max_requests: 1024
    retry: { on: [refused_stream, connect] }
    endpoints:
      - { address: 10.0.0.2:80, weight: 1, backup: false }
      - { address: 10.0.0.1:80, max_requests: 1024 }
    timeouts: { total: 60s, connect: 5000ms, idle: 30s }
server: { control_socket: run/evener.sock }
listeners:
  web: { bind: [0.0.0.0:80], redirect_https: { port: 443 } }
";
    assert_eq!(told(one, other), NONE);
    assert_eq!(told(other, one), NONE);
}

#[test]
fn settings_of_filters_and_policies_are_compared_as_they_stand() {
    let old = routes("[{ filters: [{ rate_limit: { rate: 10/s } }, { hsts: {} }], pool: app }]");
    let new = routes(
        "[{ filters: [{ hsts: }, { rate_limit: { rate: 20/s } }, { rewrite: { strip_prefix: /a } }], pool: app }]",
    );
    assert_eq!(
        told(&old, &new),
        "~ routes.route-1: filters: + rewrite; filters: order: rate_limit, hsts -> hsts, rate_limit; filters.rate_limit.rate: 10/s -> 20/s\n"
    );
    let ring = pool(", balance: { ring: { key: host, replicas: 10 } }");
    let other = pool(", balance: { ring: { replicas: 20, key: host } }");
    assert_eq!(told(&ring, &other), "~ pools.app: balance.ring.replicas: 10 -> 20\n");
    assert_eq!(told(&pool(""), &ring), "~ pools.app: balance: + ring; balance: peak_ewma -> ring\n");
}

#[test]
fn the_order_of_endpoints_counts_for_policies_that_go_by_it() {
    let swapped = |balance: &str| {
        let of = |list: &str| {
            file(&format!("{{ app: {{ balance: {balance}, endpoints: {list} }} }}"), "[{ pool: app }]")
        };
        told(&of("[10.0.0.1:80, 10.0.0.2:80]"), &of("[10.0.0.2:80, 10.0.0.1:80]"))
    };
    assert_eq!(swapped("peak_ewma"), NONE);
    let first = "~ pools.app: endpoints: order: 10.0.0.1:80, 10.0.0.2:80 -> 10.0.0.2:80, 10.0.0.1:80\n";
    assert_eq!(swapped("first"), first);
    assert_eq!(swapped("one_of_a_program"), first);
}

#[test]
fn the_order_of_routes_counts_where_nothing_else_decides() {
    let [a, b] = [
        "{ name: a, match: { path: /x, methods: [GET] }, pool: app }",
        "{ name: b, match: { path: /x/, headers: { X-A: '1' } }, pool: app }",
    ];
    let swapped = |one: &str, other: &str| {
        told(&routes(&format!("[{one}, {other}]")), &routes(&format!("[{other}, {one}]")))
    };
    assert_eq!(swapped(a, b), "~ routes: order: a, b -> b, a\n");
    let more = "{ name: c, match: { path: /x, methods: [GET], cookies: { y: z } }, pool: app }";
    assert_eq!(swapped(a, more), NONE);
    let longer = "{ name: d, match: { path: /x/y, methods: [GET] }, pool: app }";
    assert_eq!(swapped(a, longer), NONE);
    let elsewhere = "{ name: e, match: { host: e.example, path: /x, methods: [GET] }, pool: app }";
    assert_eq!(swapped(a, elsewhere), NONE);
    let [one, other] = [
        "{ name: f, match: { path: { regex: ^/a } }, pool: app }",
        "{ name: g, match: { path: { regex: ^/b }, methods: [GET] }, pool: app }",
    ];
    assert_eq!(
        swapped(one, other),
        "~ routes: order: \"~ ^/a\", \"~ ^/b\" -> \"~ ^/b\", \"~ ^/a\"\n".replace('"', "")
    );
    let many =
        |name: &str| format!("{{ name: {name}, match: {{ host: [a.example, b.example] }}, pool: app }}");
    assert_eq!(swapped(&many("h"), &many("i")), "~ routes: order: h, i -> i, h\n");
}

#[test]
fn secrets_are_never_shown() {
    let [old, new] = ["0123456789abcdef-old", "0123456789abcdef-new"];
    let sticky = |secret: &str| pool(&format!(", sticky: {{ cookie: id, secret: {secret} }}"));
    let filter = |secret: &str| {
        routes(&format!(
            "[{{ filters: [{{ own: {{ api_token: {secret}, list: {{ passwords: [{secret}] }} }} }}, {{ request_headers: {{ set: {{ Authorization: Bearer {secret} }} }} }}], pool: app }}]"
        ))
    };
    for (of, expected) in [
        (&sticky as &dyn Fn(&str) -> String, "~ pools.app: sticky.secret: changed\n"),
        (
            &filter,
            "~ routes.route-1: filters.own.api_token: changed; filters.own.list.passwords: changed; filters.request_headers.set.Authorization: changed\n",
        ),
    ] {
        let diff = diff(&outline(&of(old)), &outline(&of(new)));
        assert_eq!(diff.to_string(), expected);
        let json = serde_json::to_string(&diff).unwrap();
        assert!(!json.contains("0123456789abcdef"), "{json}");
    }
    let shown = format!("{:?}", outline(&sticky(old)));
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
}

#[test]
fn values_stay_on_one_line() {
    let body = |body: &str| routes(&format!("[{{ respond: {{ body: {body:?} }} }}]"));
    assert_eq!(told(&body("a\nb"), &body("")), "~ routes.route-1: respond.body: \"a\\nb\" -> \"\"\n");
    let long = "x".repeat(100);
    assert_eq!(told(&body(&long), &body(&format!("{long}y"))), "~ routes.route-1: respond.body: changed\n");
    assert!(told(&body(&long), &body("y")).contains("respond.body: xxx"), "the beginning of a long one");
}

#[test]
fn json_holds_the_whole() {
    let diff = diff(&outline(&pool("")), &outline(&pool(", timeouts: { connect: 1s }")));
    let json = serde_json::to_value(&diff).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "changes": [{
            "kind": "changed", "section": "pools", "name": "app",
            "details": [{ "what": "value", "key": "timeouts.connect", "old": "2s", "new": "1s" }],
        }] })
    );
    assert_eq!(serde_json::from_value::<super::Diff>(json).unwrap(), diff);
}
