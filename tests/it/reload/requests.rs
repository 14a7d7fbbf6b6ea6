use crate::support::{Edge, Endpoint, eventually};

fn config(route: &str, endpoint: &Endpoint) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ name: app, {route} }}]
",
        endpoint.address()
    )
}

#[tokio::test]
async fn a_request_keeps_the_configuration_that_it_began_with() {
    let (endpoint, gate) = Endpoint::held().await;
    let marked = |mark: &str| {
        config(&format!("filters: [{{ response_headers: {{ set: {{ X-Mark: {mark} }} }} }}], pool: app"), &endpoint)
    };
    let edge = Edge::start(&marked("old")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    edge.reload(&marked("new")).await;
    gate.add_permits(2);
    assert_eq!(client.response().await.header("x-mark"), Some("old"));
    // The same connection goes on by the new one.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.header("x-mark"), Some("new"));
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&config("pool: app", &endpoint)).await;
    let refused = edge.try_reload(&config("pool: other", &endpoint)).await.unwrap_err();
    assert!(refused.contains("routes[0].pool: no pool named `other`"), "{refused}");
    assert_eq!(edge.get("/").await.status, 200);
    let told = edge.reload(&config("respond: { status: 204 }", &endpoint)).await;
    assert_eq!(told, "~ routes.app: pool: app -> none; respond: none -> set\n");
    assert_eq!(edge.get("/").await.status, 204);
}
