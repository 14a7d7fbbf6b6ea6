use evener::app::{App, AppBuilder};
use evener::hooks::{BuildError, Flow, testing};
use tokio::time::Instant;

use crate::support::{Edge, Endpoint};

use super::custom_filter::{TenantEntry, TenantSettings, Tenants};
use super::refusal;

fn builder() -> AppBuilder {
    App::builder().filter("tenant", Tenants::build)
}

/// A configuration whose route has the filter with these settings.
fn config(settings: &str, small: &str, large: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ small: {{ endpoints: [{small}] }}, large: {{ endpoints: [{large}] }} }}\n\
         routes:\n  \
           - filters:\n      \
             - tenant: {settings}\n    \
             pool: small\n  \
           - {{ match: {{ path: /large }}, pool: large }}\n"
    )
}

const TENANTS: &str = "{ tenants: { acme: { key: a-key, pool: large }, globex: { key: g-key } } }";

#[tokio::test]
async fn a_tenant_is_known_by_its_key_and_served_by_its_pool() {
    let (small, large) = (Endpoint::answering("small").await, Endpoint::answering("large").await);
    let config = config(TENANTS, &small.address().to_string(), &large.address().to_string());
    let edge = Edge::start_with(builder(), &config).await;
    let get =
        |key: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Tenant: forged\r\nX-API-Key: {key}\r\n\r\n");

    let response = edge.send(&get("a-key")).await;
    assert_eq!((response.status, response.text()), (200, "large"));
    assert_eq!(response.headers("x-tenant"), ["acme"]);
    assert_eq!(large.last().headers("x-tenant"), ["acme"]);
    assert_eq!(large.last().headers("x-api-key"), [""; 0]);

    let response = edge.send(&get("g-key")).await;
    assert_eq!((response.status, response.text()), (200, "small"));
    assert_eq!(small.last().headers("x-tenant"), ["globex"]);
}

#[tokio::test]
async fn a_stranger_gets_403_with_the_cause_and_no_endpoint_sees_it() {
    let (small, large) = (Endpoint::answering("small").await, Endpoint::answering("large").await);
    let config = config(TENANTS, &small.address().to_string(), &large.address().to_string());
    let config = config + "log: { access: { to: LOG } }\n";
    let edge = Edge::start_with(builder(), &config).await;
    for key in ["", "X-API-Key: wrong\r\n"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n{key}\r\n");
        let response = edge.send(&request).await;
        assert_eq!(response.status, 403);
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["error"], "unknown_tenant");
        assert_eq!(
            response.header("proxy-status"),
            Some("evener; error=http_request_denied; details=\"unknown_tenant\"")
        );
        assert_eq!(response.header("x-tenant"), None);
    }
    assert_eq!(small.requests().len() + large.requests().len(), 0);
    let log = edge.log_of(2).await;
    assert_eq!((&log[0]["status"], &log[0]["cause"]), (&403.into(), &"unknown_tenant".into()));
}

#[test]
fn bad_settings_are_told_with_their_place() {
    let two = "127.0.0.1:1, 127.0.0.1:2";
    let refusal = |settings: &str| refusal(&builder(), &config(settings, two, two));
    let cases = [
        (
            "{ tenant: {} }",
            "edge.yaml:5:19: routes[0].filters[0].tenant.tenant: unknown key `tenant`\n  \
               help: did you mean `tenants`?\n",
        ),
        (
            "{ tenants: { acme: { key: k, pool: lage } } }",
            "edge.yaml:5:52: routes[0].filters[0].tenant.tenants.acme.pool: no pool named `lage`\n  \
               help: did you mean `large`?\n",
        ),
        (
            "{ header: 'a b', tenants: { acme: { key: k } } }",
            "edge.yaml:5:27: routes[0].filters[0].tenant.header: `a b` is not a header's name\n",
        ),
        (
            "{ tenants: { acme: { key: k }, globex: { key: k } } }",
            "edge.yaml:5:63: routes[0].filters[0].tenant.tenants.globex.key: another tenant has this key\n  \
               help: give every tenant a key of its own\n",
        ),
        (
            "{ tenants: {} }",
            "edge.yaml:5:28: routes[0].filters[0].tenant.tenants: without a tenant every request would be refused\n",
        ),
    ];
    for (settings, expected) in cases {
        assert_eq!(refusal(settings), expected, "{settings}");
    }
}

fn settings(pool: Option<&str>) -> TenantSettings {
    let entry = TenantEntry { key: "k".to_owned(), pool: pool.map(str::to_owned) };
    TenantSettings { header: "X-Key".to_owned(), tenants: [("acme".to_owned(), entry)].into() }
}

#[tokio::test]
async fn can_be_tested_without_a_network() {
    let pools = ["app", "large"];
    let filter = testing::build_among(&pools, settings(Some("large")), Tenants::build).unwrap();

    let mut known = testing::Exchange::get("/", Instant::now()).with_pools(&pools).with_header("x-key", "k");
    let flow = known.on_request(&filter).await.unwrap();
    assert!(matches!(flow, Flow::Continue));
    assert_eq!(known.pool(), Some("large"));
    assert_eq!(known.request_headers()["x-tenant"], "acme");
    known.on_response(&filter).unwrap();
    assert_eq!(known.response_headers()["x-tenant"], "acme");

    let mut stranger = testing::Exchange::get("/", Instant::now());
    let Flow::Reject(rejection) = stranger.on_request(&filter).await.unwrap() else { panic!("it passed") };
    assert_eq!((rejection.status.as_u16(), &*rejection.cause), (403, "unknown_tenant"));
}

#[test]
fn its_errors_can_be_tested_without_a_file() {
    let error: BuildError = testing::build(settings(Some("large")), Tenants::build).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "no pool named `large`");
}
