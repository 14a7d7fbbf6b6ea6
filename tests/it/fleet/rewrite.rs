use crate::support::{Edge, Endpoint};

use super::routes;

async fn rewriting(settings: &str) -> (Endpoint, Edge) {
    let endpoint = Endpoint::answering("ok").await;
    let route = format!("  - {{ pool: app, filters: [{{ rewrite: {settings} }}] }}");
    let edge = Edge::start(&routes(endpoint.address(), &route)).await;
    (endpoint, edge)
}

async fn expect(settings: &str, cases: &[(&str, &str)]) {
    let (endpoint, edge) = rewriting(settings).await;
    for (asked, forwarded) in cases {
        assert_eq!(edge.get(asked).await.status, 200, "{asked}");
        assert_eq!(endpoint.last().path(), *forwarded, "{asked}");
    }
}

#[tokio::test]
async fn a_prefix_is_taken_off_by_whole_segments() {
    let cases =
        [("/api/x?y=z", "/x?y=z"), ("/api", "/"), ("/api/", "/"), ("/apix", "/apix"), ("/a/../api/x", "/x")];
    expect("{ strip_prefix: /api }", &cases).await;
}

#[tokio::test]
async fn an_expression_replaces_what_it_finds() {
    let settings = "{ path: { regex: '^/v(?P<n>[0-9]+)/(.*)$', to: '/$2/of/${n}' } }";
    expect(settings, &[("/v2/users?x", "/users/of/2?x"), ("/other", "/other")]).await;
}

#[tokio::test]
async fn a_path_that_climbs_out_is_refused() {
    let (endpoint, edge) = rewriting("{ path: { regex: '^/up', to: '/../..' } }").await;
    assert_eq!(edge.get("/up/x").await.status, 400);
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn the_host_can_be_another() {
    let (endpoint, edge) = rewriting("{ host: 'app.internal:8080' }").await;
    assert_eq!(edge.get("/").await.status, 200);
    let seen = endpoint.last();
    assert_eq!(seen.headers("host"), ["app.internal:8080"]);
    assert_eq!(seen.headers("x-forwarded-host"), ["example.com"]);
}
