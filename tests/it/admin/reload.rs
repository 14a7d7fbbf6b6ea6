//! The admin listener changes while the process serves.

use tokio::net::TcpStream;

use crate::support::{Client, Edge, eventually};

use super::{config, read, with_admin};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ROUTES: &str = "{ respond: {} }";

#[tokio::test]
async fn connections_stay_while_their_address_does() {
    let edge = Edge::start(&config("", ROUTES)).await;
    let mut client = Client::connect(edge.admin_address()).await;
    for keys in ["bind: 127.0.0.1:0, limits: { connections: 2 }", "bind: 127.0.0.1:0, hosts: [a.example]"] {
        let before = edge.admin_address();
        edge.reload(&with_admin(keys, "", ROUTES)).await;
        assert_eq!(edge.admin_address(), before);
        client.send(GET).await;
        assert_eq!(client.response().await.text(), "ok\n");
    }
    client.send(GET.replace("localhost", "a.example")).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn it_moves_and_goes_and_comes_back() {
    let edge = Edge::start(&config("", ROUTES)).await;
    let (traffic, first) = (edge.address(), edge.admin_address());
    let mut old = Client::connect(first).await;
    old.send(GET).await;
    assert_eq!(old.response().await.status, 200);
    edge.reload(&with_admin("bind: 127.0.0.2:0", "", ROUTES)).await;
    assert_ne!(edge.admin_address(), first);
    assert_eq!(read(&edge, "/healthz").await.status, 200);
    // What rests at the old address is closed, and nobody is accepted there.
    assert!(old.is_closed().await);
    eventually("the old address is closed", async || TcpStream::connect(first).await.is_err()).await;

    let second = edge.admin_address();
    let off = config("", ROUTES).replace("admin: { bind: 127.0.0.1:0 }\n", "");
    assert_eq!(edge.reload(&off).await.lines().count(), 1);
    assert_eq!(edge.admin_addresses(), []);
    eventually("nobody is accepted", async || TcpStream::connect(second).await.is_err()).await;
    edge.reload(&config("", ROUTES)).await;
    assert_eq!(read(&edge, "/readyz").await.text(), "ready\n");
    assert_eq!((edge.address(), edge.get("/").await.status), (traffic, 200));
}

#[tokio::test]
async fn an_address_that_cannot_be_had_changes_nothing() {
    let edge = Edge::start(&config("", ROUTES)).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = with_admin(&format!("bind: '{address}'"), "", "{ respond: { status: 299 } }");
    let error = edge.try_reload(&text).await.unwrap_err();
    assert!(error.contains(&format!("listener `admin` cannot listen on {address}")), "{error}");
    assert_eq!((read(&edge, "/healthz").await.status, edge.get("/").await.status), (200, 200));
}

#[tokio::test]
async fn a_listener_may_have_its_name() {
    let text =
        |status| config("", &format!("{{ respond: {{ status: {status} }} }}")).replace("web:", "admin:");
    let edge = Edge::start(&text(201)).await;
    let places = (edge.address(), edge.admin_address());
    edge.reload(&text(202)).await;
    assert_eq!((edge.address(), edge.admin_address()), places);
    assert_eq!((edge.get("/healthz").await.status, read(&edge, "/healthz").await.status), (202, 200));
}
