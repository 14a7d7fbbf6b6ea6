//! Who may read, and how much of the process they may take.

use tokio::net::UnixStream;

use crate::support::{Client, Edge, eventually};

use super::{ask, config, read, with_admin};

#[tokio::test]
async fn a_page_that_leads_its_own_name_here_reads_nothing() {
    let edge =
        Edge::start(&with_admin("bind: 127.0.0.1:0, hosts: [edge.internal]", "", "{ respond: {} }")).await;
    for path in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
        let told = ask(&edge, &format!("GET {path}"), "Host: rebound.example\r\n").await;
        assert_eq!(told.status, 421, "{path}");
        assert!(told.text().contains("admin.hosts"), "{}", told.text());
    }
    let told = ask(&edge, "GET http://rebound.example/metrics", "Host: localhost\r\n").await;
    assert_eq!(told.status, 421);
    let port = edge.admin_address().port();
    for host in ["localhost".to_owned(), format!("127.0.0.1:{port}"), "edge.internal".to_owned()] {
        assert_eq!(ask(&edge, "GET /healthz", &format!("Host: {host}\r\n")).await.status, 200, "{host}");
    }
    // As balancers do that speak HTTP/1.0.
    let mut client = Client::connect(edge.admin_address()).await;
    client.send("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "ok\n");
}

#[tokio::test]
async fn clients_on_a_unix_socket_are_served_as_well() {
    let edge =
        Edge::start(&with_admin("bind: [127.0.0.1:0, 'unix:DIR/admin.sock']", "", "{ respond: {} }")).await;
    let stream = UnixStream::connect(edge.folder().join("admin.sock")).await.unwrap();
    let mut client = Client::over(stream);
    client.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "ready\n");
    let folder = edge.stop_and_keep().await;
    eventually("its file is gone", async || !folder.path().join("admin.sock").exists()).await;
}

#[tokio::test]
async fn a_hundred_idle_clients_harm_nobody() {
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(Client::connect(edge.admin_address()).await);
    }
    // Those that are too many are closed at once, and no others.
    for client in &mut idle[64..] {
        assert!(client.is_closed().await);
    }
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    for client in idle[..64].iter_mut().rev().take(5) {
        client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    }
    drop(idle);
    eventually("there is room again", async || {
        let mut client = Client::connect(edge.admin_address()).await;
        client.try_send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.ok();
        client.rest().await.starts_with(b"HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn routes_know_nothing_of_the_admin_listener() {
    let edge = Edge::start(&config("", "{ respond: { status: 299 } }")).await;
    assert_eq!(edge.get("/metrics").await.status, 299);
    assert_eq!(read(&edge, "/anything").await.status, 404);
}
