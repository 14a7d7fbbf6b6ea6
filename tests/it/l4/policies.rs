use std::collections::BTreeSet;
use std::fmt::Display;

use crate::support::{Client, Edge, dead};

use super::sni::hello;
use super::{Keys, Server, edge, greeted, in_front_of, who_serves};

async fn three() -> [Server; 3] {
    [Server::named(b'a').await, Server::named(b'b').await, Server::named(b'c').await]
}

#[tokio::test]
async fn a_client_comes_back_to_its_endpoint_by_its_address() {
    let servers = three().await;
    let keys = Keys {
        listener: "proxy_protocol: { from: 127.0.0.1 },",
        pool: "balance: { ip_hash: { bounded: off } },",
        ..Keys::default()
    };
    let edge = in_front_of(keys, &servers.each_ref()).await;
    let serves = async |client: &str| {
        let mut connection = edge.connect().await;
        connection.send(format!("PROXY TCP4 {client} 10.0.0.1 12345 443\r\n")).await;
        greeted(connection).await.unwrap().0
    };
    let mut used = BTreeSet::new();
    for number in 0..30 {
        let client = format!("192.0.{number}.1");
        let first = serves(&client).await;
        assert_eq!(serves(&client).await, first, "{client}");
        used.insert(first);
    }
    assert_eq!(used.len(), 3);
}

async fn serves_name(edge: &Edge, name: &str) -> u8 {
    let mut client: Client = edge.connect().await;
    client.send(hello(name, &[])).await;
    greeted(client).await.unwrap().0
}

#[tokio::test]
async fn the_server_name_may_be_the_key() {
    let servers = three().await;
    for balance in ["ring: { key: host, bounded: off }", "maglev: { key: host, bounded: off }"] {
        let pool = format!("balance: {{ {balance} }},");
        let tcp = "sni: { '*.example': app },";
        let edge = in_front_of(Keys { tcp, pool: &pool, ..Keys::default() }, &servers.each_ref()).await;
        let mut used = BTreeSet::new();
        for number in 0..30 {
            let name = format!("n{number}.example");
            let first = serves_name(&edge, &name).await;
            assert_eq!(serves_name(&edge, &name.to_uppercase()).await, first, "{name}");
            used.insert(first);
        }
        assert_eq!(used.len(), 3, "{balance}");
    }
}

#[tokio::test]
async fn weights_are_kept() {
    let (light, heavy) = (Server::named(b'l').await, Server::named(b'h').await);
    let config = super::site(Keys::of_pool("balance: round_robin,"), &[&light.address(), &"HEAVY"]);
    let weighted = format!("{{ address: '{}', weight: 3 }}", heavy.address());
    let edge = Edge::start(&config.replace("'HEAVY'", &weighted)).await;
    for _ in 0..40 {
        who_serves(&edge).await;
    }
    assert_eq!((light.accepted(), heavy.accepted()), (10, 30));
}

#[tokio::test]
async fn a_backup_serves_where_nobody_else_can() {
    let (nobody, backup) = (dead().await, Server::named(b'b').await);
    let config = super::site(
        Keys::of_pool("health: { tcp: {}, interval: 100ms, timeout: 100ms, fall: 1 },"),
        &[&nobody, &"BACKUP"],
    );
    let listed = format!("{{ address: '{}', backup: true }}", backup.address());
    let edge = Edge::start(&config.replace("'BACKUP'", &listed)).await;
    crate::support::eventually("the backup serves", async || who_serves(&edge).await == Some(b'b')).await;
}

#[tokio::test]
async fn the_first_is_filled_before_the_next() {
    let servers = three().await;
    let edge = in_front_of(Keys::of_pool("balance: first, max_requests: 2,"), &servers.each_ref()).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(greeted(edge.connect().await).await.unwrap());
    }
    let served: Vec<_> = open.iter().map(|(name, _)| char::from(*name)).collect();
    assert_eq!(served, ['a', 'a', 'b', 'b', 'c']);
}

#[tokio::test]
async fn keys_of_requests_fall_back() {
    let servers = three().await;
    let pool = "balance: { ring: { key: path } },";
    let edge = in_front_of(Keys::of_pool(pool), &servers.each_ref()).await;
    for _ in 0..60 {
        assert!(who_serves(&edge).await.is_some());
    }
    assert!(servers.iter().all(|server| server.accepted() > 0), "all go to one");
    drop(edge);
    // One that no connection has at all.
    let pool = "balance: { ring: { key: { header: X-User } } },";
    let edge = edge_of(pool, &servers).await;
    assert!(who_serves(&edge).await.is_some());
}

async fn edge_of(pool: &str, servers: &[Server; 3]) -> Edge {
    let addresses = servers.each_ref().map(Server::address);
    edge(Keys::of_pool(pool), &addresses.each_ref().map(|address| address as &dyn Display)).await
}
