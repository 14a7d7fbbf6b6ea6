use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::config::spec::AuditRule;
use crate::config::{Loaded, Origin, SecretKeys, text_with};
use crate::filters::{ApiKeySettings, BasicAuthSettings, CacheSettings, JwtSettings};

use super::reference::reference;
use super::*;

/// Nothing deviates here.
const SECURE: &str = "listeners:
  web: { bind: 127.0.0.1:8080 }
pools:
  app: { endpoints: [127.0.0.1:9001, 127.0.0.1:9002], health: { http: {} } }
routes:
  - { name: api, pool: app, filters: [rate_limit: { rate: 10/s }] }
admin: { bind: 127.0.0.1:9901 }
";

fn look(config: &Config, source: &Source) -> Audit {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    audit((config, source), Path::new(""), &secrets_of_filter, now)
}

/// As the registry knows them.
fn secrets_of_filter(name: &str) -> Option<SecretKeys> {
    Some(SecretKeys::of(&match name {
        "api_key" => schemars::schema_for!(ApiKeySettings),
        "basic_auth" => schemars::schema_for!(BasicAuthSettings),
        "cache" => schemars::schema_for!(CacheSettings),
        "jwt" => schemars::schema_for!(JwtSettings),
        _ => return None,
    }))
}

fn audited(text: &str) -> Audit {
    let Loaded { config, source, .. } = Origin::test(text).read().unwrap().sound().unwrap();
    look(&config, &source)
}

#[test]
fn secure_defaults_deviate_in_nothing() {
    let audit = audited(SECURE);
    assert_eq!(audit.to_string(), "no deviation\n");
    assert!(!audit.has(Severity::Low));
}

#[test]
fn each_rule_has_one_row_of_its_own() {
    let mut rows: Vec<_> = rules::all().map(|rule| rule.id).collect();
    rows.sort_unstable();
    let mut known = AuditRule::ALL.to_vec();
    known.sort_unstable();
    assert_eq!(rows, known);
    for rule in rules::all() {
        assert!(rule.profile.len() > 2 && rule.risk.len() > 20, "{}", rule.id);
        assert!(!rule.risk.ends_with('.') && !rule.risk.contains('|'), "{}", rule.id);
    }
}

/// What is written in the place of a part of [`SECURE`], and the one rule that finds it.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    ("plain-http", "127.0.0.1:8080", "0.0.0.0:8080"),
    ("upstream-unverified", "health: { http: {} }", "health: { http: {} }, tls: { verify: false }"),
    ("upstream-plain", "127.0.0.1:9002", "198.51.100.7:80"),
    ("store-plain", SERVER, "server: { stores: { s: { redis: 'redis://redis.example' } } }\nlisteners:"),
    (
        "jwks-cleartext",
        FILTERS,
        "jwt: { algorithms: ES256, keys: { jwks: { url: 'http://idp.example/', cleartext: true } }, issuer: a, audience: b }, rate_limit",
    ),
    ("trusted-anyone", SERVER, "server: { trusted_proxies: [0.0.0.0/0] }\nlisteners:"),
    ("trusted-public", SERVER, "server: { trusted_proxies: [203.0.113.0/24, 198.51.100.7] }\nlisteners:"),
    ("proxy-header-anyone", LISTENER, "127.0.0.1:8080, proxy_protocol: { from: ['::/0'] }"),
    ("proxy-header-public", LISTENER, "127.0.0.1:8080, proxy_protocol: { from: [203.0.113.0/24] }"),
    ("allow-anyone", FILTERS, "allow: [0.0.0.0/0], rate_limit"),
    ("purge-anyone", FILTERS, "cache: { in: c, purge: { clients: ['::/0'], token: '${T}' } }, rate_limit"),
    ("traces-plain", SERVER, "tracing: { to: 'http://collector.example:4318' }\nlisteners:"),
    ("redact-except", SERVER, "log: { access: { redact: { except: [code] } } }\nlisteners:"),
    (
        "syslog-plain",
        SERVER,
        "log: { access: { to: syslog, syslog: { address: 'udp://198.51.100.7' } } }\nlisteners:",
    ),
    ("inline-secret", POOL, "sticky: { cookie: c, secret: c2f1a8e4b7d3906512ab4c8e }, health"),
    ("connections", SERVER, "server: { connections: 50001 }\nlisteners:"),
    ("per-client", LISTENER, "127.0.0.1:8080, limits: { per_client: 513 }"),
    ("ipv6-prefix", SERVER, "server: { http_client_id: { ipv6_prefix: 128 } }\nlisteners:"),
    ("header-size", LISTENER, "127.0.0.1:8080, limits: { header: { size: 33KiB } }"),
    ("header-count", LISTENER, "127.0.0.1:8080, limits: { header: { count: 101 } }"),
    ("body-size", LISTENER, "127.0.0.1:8080, limits: { body: { size: 11MiB } }"),
    ("body-rate", LISTENER, "127.0.0.1:8080, limits: { body: { min_rate: 0 } }"),
    ("h2-streams", LISTENER, "127.0.0.1:8080, http: { h2_streams: 101 }"),
    ("keepalive-requests", LISTENER, "127.0.0.1:8080, limits: { keepalive: { requests: 10001 } }"),
    ("keepalive-age", LISTENER, "127.0.0.1:8080, limits: { keepalive: { age: 61m } }"),
    ("endpoint-requests", POOL, "max_requests: 1025, health"),
    ("queue-size", POOL, "queue: { size: 257 }, health"),
    ("udp-flows", SERVER, "listeners:\n  dns: { bind: 127.0.0.1:53, udp: { pool: app, flows: 65537 } }"),
    ("header-timeout", LISTENER, "127.0.0.1:8080, limits: { header: { timeout: 11s } }"),
    ("body-idle", LISTENER, "127.0.0.1:8080, limits: { body: { idle: 31s } }"),
    ("send-idle", LISTENER, "127.0.0.1:8080, limits: { send_idle: 31s }"),
    ("handshake-timeout", LISTENER, "127.0.0.1:8080, limits: { handshake: 6s }"),
    ("keepalive-idle", LISTENER, "127.0.0.1:8080, limits: { keepalive: { idle: 76s } }"),
    ("tcp-idle", SERVER, "listeners:\n  tcp: { bind: 127.0.0.1:53, tcp: { pool: app, idle: 61m } }"),
    ("tcp-connect", SERVER, "listeners:\n  tcp: { bind: 127.0.0.1:53, tcp: { pool: app, connect: 6s } }"),
    ("udp-idle", SERVER, "listeners:\n  dns: { bind: 127.0.0.1:53, udp: { pool: app, idle: 31s } }"),
    ("connect-timeout", POOL, "timeouts: { connect: 3s }, health"),
    ("upstream-handshake", POOL, "timeouts: { handshake: 5s }, health"),
    ("first-byte", POOL, "timeouts: { first_byte: 31s }, health"),
    ("upstream-idle", POOL, "timeouts: { idle: 31s }, health"),
    ("total-timeout", POOL, "timeouts: { total: 0s }, health"),
    ("total-timeout", POOL, "timeouts: { total: 61s }, health"),
    ("tunnel-idle", POOL, "timeouts: { tunnel: 61m }, health"),
    ("upstream-keepalive", POOL, "keepalive: { idle: 51s }, health"),
    ("queue-timeout", POOL, "queue: { timeout: 2s }, health"),
    ("no-health-check", ", health: { http: {} }", ""),
    ("slow-health-check", "health: { http: {} }", "health: { http: {}, fall: 4 }"),
    ("probe-unverified", "health: { http: {} }", "health: { tls: { verify: false } }"),
    ("outlier-off", POOL, "outlier: off, health"),
    ("outlier-off", POOL, "outlier: { max_ejected: 0% }, health"),
    ("outlier-lax", POOL, "outlier: { consecutive: 6 }, health"),
    ("panic-off", POOL, "panic: 0%, health"),
    ("slow-start-off", POOL, "slow_start: 0s, health"),
    ("retry-attempts", POOL, "retry: { attempts: 2 }, health"),
    ("retry-budget", POOL, "retry: { budget: 21% }, health"),
    ("admin-open", ADMIN, "0.0.0.0:9901, open_to: [203.0.113.0/24], anonymous: health"),
    ("admin-unencrypted", ADMIN, "0.0.0.0:9901, open_to: [10.0.0.0/8], anonymous: health"),
    ("no-audit-log", ADMIN, "127.0.0.1:9901, tokens: { a: { token: '${PATH}', scope: operate } }"),
    ("no-metrics", "admin: { bind: 127.0.0.1:9901 }\n", ""),
    ("access-log-off", SERVER, "log: { access: { format: off } }\nlisteners:"),
    ("debug-log", SERVER, "log: { level: debug }\nlisteners:"),
    ("no-rate-limit", ", filters: [rate_limit: { rate: 10/s }]", ""),
    ("rate-limit-forgeable", RATE, "{ rate: 10/s, key: { header: X-User } }"),
    (
        "rate-limit-fails-open",
        RATE,
        "{ rate: 10/s, scope: cluster, store: s, name: n, on_store_failure: allow }",
    ),
    ("cors-any-origin", FILTERS, "cors: { origins: '*' }, rate_limit"),
    (
        "cors-broad-credentials",
        FILTERS,
        "cors: { origins: 'https://*.example.com', credentials: true }, rate_limit",
    ),
    ("waf-detect", FILTERS, "waf: { mode: detect }, rate_limit"),
    ("waf-pass", FILTERS, "waf: { on_overload: pass }, rate_limit"),
    ("jwt-audience", FILTERS, "jwt: { algorithms: HS256, keys: { secret: '${T}' }, issuer: a }, rate_limit"),
    ("jwt-issuer", FILTERS, "jwt: { algorithms: HS256, keys: { secret: '${T}' }, audience: a }, rate_limit"),
    (
        "jwt-expiry",
        FILTERS,
        "jwt: { algorithms: HS256, keys: { secret: '${T}' }, issuer: a, audience: a, require: [sub] }, rate_limit",
    ),
    (
        "jwt-leeway",
        FILTERS,
        "jwt: { algorithms: HS256, keys: { secret: '${T}' }, issuer: a, audience: a, leeway: 2m }, rate_limit",
    ),
    ("credential-in-query", FILTERS, "api_key: { keys: { a: '${T}' }, from: { query: key } }, rate_limit"),
    ("credential-forwarded", FILTERS, "api_key: { keys: { a: '${T}' }, forward: true }, rate_limit"),
    ("inline-secret", FILTERS, "api_key: { keys: { a: c2f1a8e4b7d3906512ab4c8e } }, rate_limit"),
    (
        "inline-secret",
        FILTERS,
        "cache: { in: c, purge: { clients: [10.0.0.0/8], token: c2f1a8e4b7d3906512ab4c8e } }, rate_limit",
    ),
    ("cache-shared", FILTERS, "cache: { in: c, store_authorized: true }, rate_limit"),
    ("cache-forced", FILTERS, "cache: { in: c, force_ttl: true }, rate_limit"),
    ("cache-client-directives", FILTERS, "cache: { in: c, client_directives: honour }, rate_limit"),
    ("fault-for-all", FILTERS, "fault: { delay: { for: 1s } }, rate_limit"),
    ("mirror-writes", FILTERS, "mirror: { pool: app, methods: [POST] }, rate_limit"),
    ("geo-unknown", FILTERS, "geo: { file: x.mmdb, allow: DE, on_unknown: allow }, rate_limit"),
    ("security-header-off", FILTERS, "security_headers: { frame: off }, rate_limit"),
    (
        "files-hidden",
        "{ name: api",
        "{ match: { path: /f/ }, files: { root: x, hidden: true } }\n  - { name: api",
    ),
];

const SERVER: &str = "listeners:";
const LISTENER: &str = "127.0.0.1:8080";
const POOL: &str = "health";
const FILTERS: &str = "rate_limit";
const RATE: &str = "{ rate: 10/s }";
const ADMIN: &str = "127.0.0.1:9901";

/// [`SECURE`] with something else in the place of a part.
fn with(part: &str, other: &str) -> String {
    SECURE.replacen(part, other, 1)
}

#[test]
fn each_deviation_is_found_by_its_rule_alone() {
    for (rule, part, other) in DEVIATIONS {
        let text = with(part, other);
        assert_ne!(text, SECURE, "{rule}");
        assert_eq!(audited(&text).rules(), [*rule], "{text}");
    }
}

#[test]
fn every_rule_is_tried() {
    // The others look at files; tests/it has them.
    let elsewhere = [
        "no-https-redirect",
        "no-hsts",
        "hsts-short",
        "client-cert-optional",
        "ticket-rotation",
        "certificate-expires",
        "certificate-renewal",
        "certificate-weak-key",
        "certificate-weak-signature",
        // Seen with others that are found beside it.
        "admin-anonymous",
        "traces-anybody",
        "weak-secret",
        "secret-readable",
        "config-writable",
        "control-socket-folder",
        "rate-limit-dry-run",
    ];
    let tried: BTreeSet<_> = DEVIATIONS.iter().map(|(rule, ..)| *rule).chain(elsewhere).collect();
    let known: BTreeSet<_> = AuditRule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(tried, known);
}

#[test]
fn what_comes_with_others_is_found_too() {
    let open = with(ADMIN, "0.0.0.0:9901, open_to: [10.0.0.0/8]");
    assert_eq!(audited(&open).rules(), ["admin-anonymous", "admin-unencrypted"]);
    for (bind, expected) in [("0.0.0.0:8080", &["plain-http", "traces-anybody"][..]), ("127.0.0.1:8080", &[])]
    {
        let text = with(LISTENER, bind) + "tracing: { to: 'http://10.0.0.1:4318', trust: anybody }\n";
        assert_eq!(audited(&text).rules(), expected, "{bind}");
    }
    let weak = with(POOL, "sticky: { cookie: c, secret: 0123456789abcdef }, health");
    assert_eq!(audited(&weak).rules(), ["inline-secret", "weak-secret"]);
}

#[test]
fn every_secret_that_the_schema_knows_is_looked_at() {
    let all = SecretKeys::of_file().all();
    assert!(all.len() >= 5, "{all:?}");
    for at in all {
        let text = text_with(&at, "0123456789abcdef".into());
        let Loaded { config, source, .. } = Origin::test(text).read().unwrap();
        let told = look(&config, &source);
        let told = serde_json::to_value(told).unwrap();
        let there =
            told["deviations"].as_array().unwrap().iter().filter(|found| found["key"] == at.to_string());
        let rules: Vec<_> = there.map(|found| found["rule"].as_str().unwrap()).collect();
        assert_eq!(rules, ["inline-secret", "weak-secret"], "{at}");
    }
}

#[test]
fn what_is_accepted_is_told_and_counts_no_more() {
    let open = with("127.0.0.1:8080", "0.0.0.0:8080");
    let told = audited(&format!("{open}audit: {{ accept: [plain-http: a balancer ends TLS] }}\n"));
    assert!(!told.has(Severity::Low));
    assert_eq!(
        told.to_string(),
        "test.yaml:2:8: accepted: listeners.web.tls: none on 0.0.0.0:8080 (plain-http)\n  \
         reason: a balancer ends TLS\nno deviation; 1 accepted\n"
    );
    let there = |at: &str| {
        let accept = format!("[plain-http: {{ at: {at}, reason: r }}]");
        audited(&format!("{open}audit: {{ accept: {accept} }}\n"))
    };
    assert!(!there("listeners.web").has(Severity::Low));
    assert!(there("listeners.we").has(Severity::High));
    let told = audited(&format!("{open}audit: {{ accept: [plain-http: \"one\\n  two\\tthree\"] }}\n"));
    assert!(told.to_string().contains("\n  reason: one two three\n"), "a line: {told}");
    let told = there("listeners.other").to_string();
    assert!(told.contains("audit.accept: plain-http at listeners.other: nothing deviates there"), "{told}");
}

#[test]
fn a_route_is_accepted_by_its_name_or_its_number() {
    let open = with(", filters: [rate_limit: { rate: 10/s }]", "");
    for at in ["routes.api", "'routes[0]'"] {
        let accept = format!("[no-rate-limit: {{ at: {at}, reason: r }}]");
        let told = audited(&format!("{open}audit: {{ accept: {accept} }}\n"));
        assert!(!told.has(Severity::Low), "{at}: {told}");
    }
}

#[test]
fn programs_are_told_the_same() {
    let told = serde_json::to_value(audited(&with("127.0.0.1:8080", "0.0.0.0:8080"))).unwrap();
    let deviation: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(told["deviations"][0].clone()).unwrap();
    assert_eq!(deviation["rule"], "plain-http");
    assert_eq!(deviation["severity"], "high");
    assert_eq!(deviation["line"], 2);
    assert_eq!(deviation["key"], "listeners.web.tls");
    assert!(!deviation.contains_key("accepted"));
}

/// `BLESS=1 cargo test --lib audit` writes the tables anew.
#[test]
fn the_documentation_has_every_rule() {
    const BEGIN: &str = "<!-- generated from here on -->\n";
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md");
    let written = std::fs::read_to_string(&file).unwrap();
    let (by_hand, tables) = written.split_once(BEGIN).unwrap();
    let expected = reference();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{by_hand}{BEGIN}{expected}")).unwrap();
    } else {
        assert!(
            tables == expected,
            "the tables of docs/audit.md are not what the code says; run with BLESS=1"
        );
    }
}
