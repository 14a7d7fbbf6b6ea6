use crate::support::{Edge, Endpoint, Response};

use super::{GET, refused, site_with};

async fn edge() -> Edge {
    Edge::start(&site_with("127.0.0.1:1", "", "", "- { match: { path: /down }, pool: app }")).await
}

fn expect_discreet(response: &Response) {
    let all = format!("{}{}", response.head, response.text()).to_ascii_lowercase();
    for word in ["pingora", "127.0.0.1", "server:", "x-powered-by", env!("CARGO_PKG_VERSION"), "rust"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
    assert!(response.header("date").is_some(), "{}", response.head);
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_error_is_told_in_plain_text() {
    let edge = edge().await;
    for (path, status, word) in [("/down", 502, "connect_failed"), ("/nowhere", 404, "no_route")] {
        let response = edge.get(path).await;
        assert_eq!(response.status, status);
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(response.text().starts_with(&status.to_string()), "{}", response.text());
        assert!(response.header("proxy-status").unwrap().contains(word), "{}", response.head);
        expect_discreet(&response);
    }
    let id = edge.get("/nowhere").await;
    let lines = edge.log_of(3).await;
    assert!(id.text().contains(lines[2]["request_id"].as_str().unwrap()), "{}", id.text());
}

#[tokio::test]
async fn an_error_is_told_in_json_to_those_who_ask_for_it() {
    let edge = edge().await;
    for path in ["/down", "/nowhere", "/%00"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
        let response = edge.send(&request).await;
        assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["status"], response.status);
        assert_eq!(body["request_id"].as_str().map(str::len), Some(36));
        assert!(body["error"].is_string() && body["message"].is_string());
        expect_discreet(&response);
    }
}

#[tokio::test]
async fn an_error_to_a_head_request_has_no_body() {
    let edge = edge().await;
    let mut client = edge.connect().await;
    client.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 404);
    client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 404);
}

#[tokio::test]
async fn a_refusal_says_as_little() {
    let edge = edge().await;
    let response = refused(&edge, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n").await;
    assert_eq!(response.status, 400);
    expect_discreet(&response);
}

#[tokio::test]
async fn an_answer_of_an_endpoint_is_not_signed() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&super::site(endpoint.address(), "")).await;
    let response = edge.send(GET).await;
    assert_eq!(response.header("server"), None);
    assert!(!response.head.to_ascii_lowercase().contains("pingora"), "{}", response.head);
}
