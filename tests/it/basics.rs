use crate::support::{Edge, Endpoint};

#[tokio::test]
async fn the_smallest_configuration_balances_over_its_endpoints() {
    let (one, two) = (Endpoint::answering("one").await, Endpoint::answering("two").await);
    let edge = Edge::start(&format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: [{}, {}] }} }}\n\
         routes: [{{ pool: app }}]",
        one.address(),
        two.address()
    ))
    .await;
    for _ in 0..40 {
        let response = edge.get("/").await;
        assert_eq!(response.status, 200);
        assert!(matches!(response.text(), "one" | "two"));
    }
    assert_eq!(one.requests().len() + two.requests().len(), 40);
    assert!(one.requests().len() > 5 && two.requests().len() > 5);
}
