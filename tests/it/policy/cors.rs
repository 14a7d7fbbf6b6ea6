use crate::support::{Edge, Endpoint, Response};

use super::filtered;

const APP: &str = "https://app.example.com";

async fn edge(endpoint: &Endpoint) -> Edge {
    let cors = "{ cors: { origins: ['https://app.example.com', 'https://*.partner.example'], methods: [PUT], \
                headers: [Content-Type, X-CSRF], credentials: true } }";
    Edge::start(&filtered(endpoint.address(), cors)).await
}

async fn ask(edge: &Edge, method: &str, fields: &str) -> Response {
    edge.send(&format!("{method} /x HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n")).await
}

fn allowed(response: &Response) -> Vec<&str> {
    response.headers("access-control-allow-origin")
}

#[tokio::test]
async fn a_preflight_request_never_reaches_an_endpoint() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = edge(&endpoint).await;
    let fields = format!(
        "Origin: {APP}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-csrf\r\n"
    );
    let response = ask(&edge, "OPTIONS", &fields).await;
    assert_eq!((response.status, allowed(&response)), (204, vec![APP]));
    assert_eq!(response.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(response.header("access-control-allow-headers"), Some("Content-Type, X-CSRF"));
    assert_eq!(response.headers("vary"), ["Origin"]);
    let stranger = fields.replace(APP, "https://evil.example");
    let response = ask(&edge, "OPTIONS", &stranger).await;
    assert_eq!((response.status, allowed(&response).len()), (204, 0));
    assert!(response.header("access-control-allow-methods").is_none());
    assert!(endpoint.requests().is_empty());
    // One that asks for no method is a request like any other.
    assert_eq!(ask(&edge, "OPTIONS", &format!("Origin: {APP}\r\n")).await.status, 200);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn an_endpoint_cannot_let_others_in() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-ORIGIN: https://evil.example\r\n\
         Access-Control-Allow-Credentials: true\r\nVary: Cookie\r\n\r\nok"
            .to_owned()
    })
    .await;
    let edge = edge(&endpoint).await;
    let response = ask(&edge, "GET", &format!("Origin: {APP}\r\n")).await;
    assert_eq!(allowed(&response), [APP]);
    assert_eq!(response.headers("vary"), ["Cookie", "Origin"]);
    let tricks = [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://evil.example/.partner.example",
        "https://evil.example#.partner.example",
        "https://.partner.example",
        "https://partner.example",
        "https://app.example.com, https://evil.example",
        "null",
        "*",
        "",
    ];
    for origin in tricks {
        let response = ask(&edge, "GET", &format!("Origin: {origin}\r\n")).await;
        assert_eq!((response.status, allowed(&response).len()), (200, 0), "{origin}");
        assert!(response.header("access-control-allow-credentials").is_none(), "{origin}");
    }
    let twice = format!("Origin: {APP}\r\nOrigin: https://evil.example\r\n");
    assert!(allowed(&ask(&edge, "GET", &twice).await).is_empty());
}

#[tokio::test]
async fn errors_of_the_edge_can_be_read_too() {
    let endpoint = Endpoint::answering("ok").await;
    let filters = "{ cors: { origins: '*' } }, { rate_limit: { rate: 1/h } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    for status in [200, 429] {
        let response = ask(&edge, "GET", &format!("Origin: {APP}\r\n")).await;
        assert_eq!((response.status, allowed(&response)), (status, vec!["*"]));
        assert!(response.header("vary").is_none());
    }
}

#[tokio::test]
async fn a_later_filter_cannot_be_used_to_change_the_origin() {
    let endpoint = Endpoint::answering("ok").await;
    let filters = "{ cors: { origins: 'https://app.example.com' } }, \
                   { request_headers: { set: { Origin: 'https://internal.example' } } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    let response = ask(&edge, "GET", &format!("Origin: {APP}\r\n")).await;
    assert_eq!(allowed(&response), [APP]);
    assert_eq!(endpoint.last().header("origin"), Some("https://internal.example"));
    assert!(allowed(&ask(&edge, "GET", "Origin: https://evil.example\r\n").await).is_empty());
}
