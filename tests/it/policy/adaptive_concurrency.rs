use crate::support::{Client, Edge, Endpoint, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn what_is_over_the_limit_is_refused_until_another_has_ended() {
    let (endpoint, gate) = Endpoint::held().await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ pool: app, filters: [{{ adaptive_concurrency: {{ min: 1, max: 1 }} }}] }}]
log: {{ access: {{ to: LOG }} }}
",
        endpoint.address()
    );
    let edge = Edge::start(&config).await;
    let mut client = Client::connect(edge.address()).await;
    client.send(GET).await;
    eventually("it is with the endpoint", async || endpoint.requests().len() == 1).await;
    let refused = edge.get("/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(edge.log_of(1).await[0]["cause"], "overloaded");
    gate.add_permits(100);
    assert_eq!(client.response().await.status, 200);
    eventually("its place is free", async || edge.get("/").await.status == 200).await;
}
