use crate::support::{Edge, Endpoint};

use super::routes;

#[tokio::test]
async fn variables_stand_for_the_request() {
    let endpoint = Endpoint::answering("ok").await;
    let route = "  - name: shop
    match: { path: /shop }
    filters:
      - request_headers:
          set:
            X-All: '{client_ip} {host} {path} {query} {method} {scheme} {listener} {route} {pool}'
            X-To: '{endpoint}'
            X-Id: '{request_id}'
            X-Braces: '{{}}'
          remove: [X-Secret]
      - response_headers:
          set: { X-From: '{endpoint} for {path}{query}', X-Id: '{request_id}' }
          remove: [Server]
    pool: app";
    let edge = Edge::start(&routes(endpoint.address(), route)).await;
    let request = "GET /shop/a?b=c HTTP/1.1\r\nHost: WWW.Example.com:80\r\nX-Secret: 1\r\nX-All: 2\r\n\r\n";
    let response = edge.send(request).await;
    assert_eq!(response.status, 200);

    let seen = endpoint.last();
    assert_eq!(seen.headers("x-all"), ["127.0.0.1 www.example.com /shop/a ?b=c GET http web shop app"]);
    assert_eq!(seen.headers("x-to"), [endpoint.address().to_string()]);
    assert_eq!(seen.headers("x-braces"), ["{}"]);
    assert_eq!(seen.header("x-secret"), None);
    let id = seen.header("x-request-id").unwrap();
    assert_eq!(seen.header("x-id"), Some(id));
    assert_eq!(response.header("x-id"), Some(id));
    assert_eq!(response.header("x-from"), Some(&*format!("{} for /shop/a?b=c", endpoint.address())));
    assert_eq!(edge.log_of(1).await[0]["request_id"], id);
}

#[tokio::test]
async fn filters_run_in_order_on_the_request_and_in_reverse_on_the_response() {
    let endpoint = Endpoint::answering("ok").await;
    let route = "  - filters:
      - request_headers: { add: { X-Order: first }, set: { X-Last: first } }
      - response_headers: { add: { X-Order: first }, set: { X-Last: first } }
      - rewrite: { strip_prefix: /api }
      - request_headers: { add: { X-Order: second, X-Path: '{path}' }, set: { X-Last: second } }
      - response_headers: { add: { X-Order: second }, set: { X-Last: second } }
    pool: app";
    let edge = Edge::start(&routes(endpoint.address(), route)).await;
    let response = edge.get("/api/x").await;
    let seen = endpoint.last();
    assert_eq!(seen.headers("x-order"), ["first", "second"]);
    assert_eq!((seen.header("x-last"), seen.header("x-path")), (Some("second"), Some("/x")));
    assert_eq!(response.headers("x-order"), ["second", "first"]);
    assert_eq!(response.header("x-last"), Some("first"));
}

#[tokio::test]
async fn each_attempt_tells_its_own_endpoint() {
    let (dead, good) = (super::dead().await, Endpoint::answering("ok").await);
    let config = routes(
        "ENDPOINTS",
        "  - { pool: app, filters: [{ request_headers: { set: { X-To: '{endpoint}' } } }] }",
    );
    let config = config.replace("'ENDPOINTS'", &format!("{dead}, {}", good.address()));
    let edge = Edge::start(&config).await;
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.status, 200);
        assert_eq!(good.last().headers("x-to"), [good.address().to_string()]);
    }
    assert!(edge.log_of(10).await.iter().any(|line| line["attempts"] == 2));
}
