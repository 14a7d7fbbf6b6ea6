use crate::support::{Edge, Endpoint};

use super::filtered;

#[tokio::test]
async fn answers_of_endpoints_and_of_the_edge_have_them() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nserver: app/1.2\r\nX-POWERED-BY: PHP\r\nX-Frame-Options: SAMEORIGIN\r\n\r\nok"
            .to_owned()
    })
    .await;
    let filters = "{ security_headers: { content_security_policy: \"default-src 'self'\" } }, { rate_limit: { rate: 1/h } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    for (status, frame) in [(200, "SAMEORIGIN"), (429, "DENY")] {
        let response = edge.get("/").await;
        assert_eq!(response.status, status);
        assert_eq!(response.headers("x-frame-options"), [frame]);
        assert_eq!(response.headers("x-content-type-options"), ["nosniff"]);
        assert_eq!(response.headers("content-security-policy"), ["default-src 'self'"]);
        assert_eq!(response.headers("referrer-policy"), ["strict-origin-when-cross-origin"]);
        for name in ["server", "x-powered-by"] {
            assert!(response.headers(name).is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn what_an_endpoint_says_can_be_overridden_and_no_body_is_touched() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Frame-Options: ALLOWALL\r\nx-frame-options: SAMEORIGIN\r\n\r\nok".to_owned()
    })
    .await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ security_headers: { override: true } }")).await;
    let response = edge.get("/").await;
    assert_eq!(response.headers("x-frame-options"), ["DENY"]);
    assert_eq!(response.text(), "ok");
}
