//! Who may read, and how much of the process they may take.

use std::time::Duration;

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
    // Those that have said nothing for longest make room for others.
    for client in &mut idle[..36] {
        assert!(client.is_closed().await);
    }
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    for client in idle[36..].iter_mut().rev().take(5) {
        client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(read(&edge, "/healthz").await.status, 200);
    assert!(idle[36].is_closed().await);
    drop(idle);
    eventually("there is room again", async || {
        let mut client = Client::connect(edge.admin_address()).await;
        client.try_send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.ok();
        client.rest().await.starts_with(b"HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn those_who_are_served_and_others_networks_make_no_room() {
    let limit = "bind: 127.0.0.1:0, limits: { connections: 2 }";
    let edge = Edge::start(&with_admin(limit, "", "{ respond: {} }")).await;
    let mut listening = Client::connect(edge.admin_address()).await;
    listening.send("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    listening.until(b"event: status").await;
    // One that has asked for half of a header.
    let mut slow = Client::connect(edge.admin_address()).await;
    slow.send("GET /healthz HTTP/1.1\r\nHost: loc").await;
    assert_eq!(read(&edge, "/healthz").await.text(), "ok\n");
    assert!(slow.is_closed().await);
    listening.until(b"event: sample").await;
    // Fewer places than before: whoever comes gets one as soon as so many are gone.
    let mut idle = Client::connect(edge.admin_address()).await;
    eventually("it has its place", async || idle.is_silent_for(Duration::from_millis(1)).await).await;
    edge.reload(&with_admin(&limit.replace("connections: 2", "connections: 1"), "", "{ respond: {} }")).await;
    let mut refused = Client::connect(edge.admin_address()).await;
    assert!(refused.is_closed().await && idle.is_closed().await);
    listening.until(b"event: sample").await;
    drop(listening);
    eventually("there is room again", async || {
        let mut client = Client::connect(edge.admin_address()).await;
        client.try_send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok();
        client.rest().await.starts_with(b"HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_origin_reads_nothing() {
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    for path in ["/metrics", "/healthz", "/readyz", "/v1/status", "/", "/dashboard/app.js"] {
        for fields in ["Sec-Fetch-Site: cross-site\r\n", "Origin: http://localhost:3000\r\n"] {
            let told = ask(&edge, &format!("GET {path}"), &format!("Host: localhost\r\n{fields}")).await;
            assert_eq!(told.status, 403, "{path} {fields}");
            assert_eq!(told.header("access-control-allow-origin"), None);
        }
        let told = read(&edge, path).await;
        assert_eq!(told.status, 200, "{path}");
        assert_eq!(told.header("cross-origin-resource-policy"), Some("same-origin"));
    }
    let link = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    assert_eq!(ask(&edge, "GET /", link).await.status, 200);
    assert_eq!(ask(&edge, "GET /v1/config", link).await.status, 403);
}

#[tokio::test]
async fn routes_know_nothing_of_the_admin_listener() {
    let edge = Edge::start(&config("", "{ respond: { status: 299 } }")).await;
    assert_eq!(edge.get("/metrics").await.status, 299);
    assert_eq!(read(&edge, "/anything").await.status, 404);
}
