use std::sync::Arc;

use crate::support::{Ca, Client, Edge, Endpoint};

use super::{Site, get};

/// Tells endpoints of the client's certificate, under names that clients could use themselves.
const TELLING: &str = "[{ request_headers: { set: { X-Subject: '{client_cert_subject}', X-Print: '{client_cert_fingerprint}', \
     X-Tls: '{tls_version} {sni}' }, add: { X-Sans: '{client_cert_sans}' } } }]";

struct Clients {
    ca: Ca,
    file: String,
}

fn clients(site: &Site) -> Clients {
    let ca = Ca::new("clients");
    let file = ca.write(site.folder.path(), "clients.pem").to_str().unwrap().to_owned();
    Clients { ca, file }
}

#[tokio::test]
async fn a_required_certificate_is_verified_and_told() {
    let site = Site::with(&["a.example"]);
    let clients = clients(&site);
    let endpoint = Endpoint::answering("hello").await;
    let tls = format!(
        "certificates: [{}], client_auth: {{ mode: require, ca: {} }}",
        site.certificates(&["a.example"]),
        clients.file
    );
    let edge = site.edge_with(&endpoint, &tls, TELLING).await;
    let worker = clients.ca.issue(&["worker.example"]);
    let known = Arc::new(site.ca.client_with(&[], Some(&worker)));
    let mut client = Client::secure(edge.address(), "a.example", &known).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nX-Subject: CN=root\r\nX-Sans: DNS:root\r\nSSL-Client-Verify: x\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    let seen = endpoint.last();
    assert_eq!(seen.header("x-subject"), Some("CN=worker.example"));
    assert_eq!(seen.header("x-sans"), Some("DNS:worker.example"));
    assert_eq!(seen.header("x-print").unwrap().len(), 64);
    assert_eq!(seen.header("x-tls"), Some("1.3 a.example"));
    assert_eq!(seen.header("ssl-client-verify"), None);

    let strangers = Ca::new("strangers").issue(&["worker.example"]);
    for identity in [None, Some(&strangers)] {
        let config = Arc::new(site.ca.client_with(&[], identity));
        assert!(cannot_ask(&edge, "a.example", &config).await);
    }
}

/// Whether the connection ends without an answer. In TLS 1.3 clients learn of their refusal only when they read.
async fn cannot_ask(edge: &Edge, host: &str, config: &Arc<rustls::ClientConfig>) -> bool {
    let Ok(mut client) = Client::secure(edge.address(), host, config).await else { return true };
    let _ = client.try_send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    client.rest().await.is_empty()
}

#[tokio::test]
async fn without_a_certificate_nothing_is_told_whatever_the_client_says() {
    let site = Site::with(&["a.example"]);
    let clients = clients(&site);
    let endpoint = Endpoint::answering("hello").await;
    let tls = format!(
        "certificates: [{}], client_auth: {{ mode: optional, ca: {} }}",
        site.certificates(&["a.example"]),
        clients.file
    );
    let edge = site.edge_with(&endpoint, &tls, TELLING).await;
    let mut client = Client::secure(edge.address(), "a.example", &site.client()).await.unwrap();
    client
        .send("GET / HTTP/1.1\r\nHost: a.example\r\nX-Subject: CN=root\r\nX-Print: 00\r\nX-Sans: DNS:root\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status, 200);
    let seen = endpoint.last();
    for name in ["x-subject", "x-print", "x-sans"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_host_with_other_rules_is_not_reached_over_a_neighbours_connection() {
    let site = Site::with(&["open.example", "admin.example"]);
    let clients = clients(&site);
    let endpoint = Endpoint::answering("hello").await;
    let tls = format!(
        "certificates: [{}], hosts: {{ admin.example: {{ client_auth: {{ mode: require, ca: {} }} }} }}",
        site.certificates(&["open.example", "admin.example"]),
        clients.file
    );
    let edge = site.edge(&endpoint, &tls).await;
    let (mut client, status) = get(&edge, "open.example", &site.client()).await.unwrap();
    assert_eq!(status, 200);
    for host in ["admin.example", "ADMIN.example:443", "admin.example."] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 421, "{host}");
    }
    // What is as open as the one that was asked for may be served: the connection proves the same of its client.
    client.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert!(cannot_ask(&edge, "admin.example", &site.client()).await);
    let worker = clients.ca.issue(&["worker.example"]);
    let known = Arc::new(site.ca.client_with(&[], Some(&worker)));
    let (mut client, status) = get(&edge, "admin.example", &known).await.unwrap();
    assert_eq!(status, 200);
    client.send("GET / HTTP/1.1\r\nHost: open.example\r\n\r\n").await;
    assert_eq!(client.response().await.status, 421);
}

#[tokio::test]
async fn a_session_is_never_resumed_where_other_clients_are_let_in() {
    let site = Site::with(&["open.example", "admin.example"]);
    let clients = clients(&site);
    let endpoint = Endpoint::answering("hello").await;
    // Both names are asked for with one and the same name by the client's cache, so that it would offer the ticket.
    let tls = format!(
        "certificates: [{}], hosts: {{ admin.example: {{ client_auth: {{ mode: optional, ca: {} }} }} }}",
        site.certificates(&["open.example", "admin.example"]),
        clients.file
    );
    let edge = site.edge_with(&endpoint, &tls, TELLING).await;
    let worker = clients.ca.issue(&["worker.example"]);
    let config = Arc::new(site.ca.client_with(&[], Some(&worker)));
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let (client, status) = get(&edge, "admin.example", &config).await.unwrap();
        assert_eq!(status, 200);
        let (stream, _) = client.into_parts();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
        assert_eq!(endpoint.last().header("x-subject"), Some("CN=worker.example"));
    }
}
