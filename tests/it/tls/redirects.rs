use crate::support::{Client, Edge, Endpoint};

use super::Site;

async fn redirecting(settings: &str) -> Edge {
    Edge::start(&format!(
        "server: {{ trusted_proxies: [127.0.0.1/32] }}\n\
         listeners: {{ plain: {{ bind: 127.0.0.1:0, redirect_https: {settings} }} }}\n\
         routes: [{{ respond: {{ status: 200, body: served }} }}]\n"
    ))
    .await
}

#[tokio::test]
async fn every_request_is_sent_to_https() {
    let edge = redirecting("true").await;
    let mut client = edge.connect().await;
    for (request, expected) in [
        ("GET /a%20b/../c?d=e&f HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n", "https://example.com/c?d=e&f"),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi", "https://a.example/"),
        ("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "https://[::1]/"),
    ] {
        client.send(request).await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("location")), (308, Some(expected)), "{request}");
    }
}

#[tokio::test]
async fn the_port_can_be_another() {
    let edge = redirecting("{ port: 8443 }").await;
    assert_eq!(edge.get("/x").await.header("location"), Some("https://example.com:8443/x"));
}

#[tokio::test]
async fn what_a_trusted_proxy_took_over_tls_is_served() {
    let edge = redirecting("true").await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(edge.send(request).await.text(), "served");
    assert_eq!(edge.send("GET / HTTP/1.0\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn browsers_are_told_to_stay_only_over_tls() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let certificates = format!("certificates: [{}]", site.certificates(&["a.example"]));
    let edge = site.edge_with(&endpoint, &certificates, "[{ hsts: { include_subdomains: true } }]").await;
    let mut client = Client::secure(edge.address(), "a.example", &site.client()).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
    assert_eq!(endpoint.last().header("x-forwarded-proto"), Some("https"));
}
