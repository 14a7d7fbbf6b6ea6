//! Listeners that stay, while what they lead to moves in the file.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{Client, Edge};

/// Says its name to whoever connects.
async fn speaking(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(name.as_bytes()).await.ok();
        }
    });
    address
}

#[tokio::test]
async fn connections_go_to_the_pool_of_the_name_whatever_its_place() {
    let [a, b, c] = ["a", "b", "c"].map(speaking);
    let (a, b, c) = (a.await, b.await, c.await);
    let config = |pool: &str, pools: &[(&str, SocketAddr)]| {
        let pools: Vec<_> =
            pools.iter().map(|(name, address)| format!("{name}: {{ endpoints: ['{address}'] }}")).collect();
        format!(
            "listeners: {{ db: {{ bind: 127.0.0.1:0, tcp: {{ pool: {pool} }} }} }}
pools: {{ {} }}
",
            pools.join(", ")
        )
    };
    let edge = Edge::start(&config("b", &[("a", a), ("b", b)])).await;
    let reached = async || {
        let mut client = Client::connect(edge.address()).await;
        client.rest().await
    };
    assert_eq!(reached().await, b"b");
    for (pool, pools, expected) in [
        ("b", &[("b", b)][..], "b"),
        ("b", &[("c", c), ("a", a), ("b", b)], "b"),
        ("c", &[("c", c)], "c"),
        ("a", &[("b", b), ("c", c), ("a", a)], "a"),
    ] {
        edge.reload(&config(pool, pools)).await;
        assert_eq!(reached().await, expected.as_bytes(), "{pools:?}");
    }
}

#[tokio::test]
async fn routes_of_a_listener_stay_its_own_when_listeners_are_reordered() {
    let config = |first: &str, second: &str| {
        format!(
            "listeners: {{ {first}: {{ bind: 127.0.0.1:0 }}, {second}: {{ bind: 127.0.0.2:0 }} }}
routes:
  - {{ match: {{ listeners: [inner] }}, respond: {{ status: 201 }} }}
  - {{ respond: {{ status: 202 }} }}
"
        )
    };
    let edge = Edge::start(&config("inner", "outer")).await;
    let addresses = edge.addresses();
    let mut open = [Client::connect(addresses[0]).await, Client::connect(addresses[1]).await];
    let ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let reordered = config("inner", "outer").replace(
        "inner: { bind: 127.0.0.1:0 }, outer: { bind: 127.0.0.2:0 }",
        "outer: { bind: 127.0.0.2:0 }, inner: { bind: 127.0.0.1:0 }",
    );
    for text in [None, Some(reordered)] {
        if let Some(text) = text {
            edge.reload(&text).await;
        }
        for (index, expected) in [201, 202].into_iter().enumerate() {
            open[index].send(ask).await;
            assert_eq!(open[index].response().await.status, expected);
            let mut fresh = Client::connect(addresses[index]).await;
            fresh.send(ask).await;
            assert_eq!(fresh.response().await.status, expected);
        }
    }
}
