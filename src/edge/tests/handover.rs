//! Sockets that another process accepts on, too, or instead.

use std::net::SocketAddr;

use crate::edge::inherited::Inherited;
use crate::runtime::Stage;

use super::support::{Client, LONG, Rig, datagram_client, datagram_is_echoed, eventually, within};

const TEXT: &str = "web: { bind: 127.0.0.1:0 }, db: { bind: 127.0.0.1:0, tcp: { pool: echo } }, \
                    dns: { bind: '127.83.1.1:0', udp: { pool: dns } }";

/// A client that the kernel has let connect; whether anybody accepts it is another thing.
async fn queued(at: SocketAddr) -> Client {
    let mut client = Client::connect(at).await;
    client.ask("/").await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_stops_can_go_on() {
    let mut rig = Rig::new(TEXT).await;
    let (mut idle, mut passed_on) = (rig.client("web").await, rig.client("db").await);
    let flow = datagram_client(rig.at("dns")).await;
    idle.is_served().await;
    passed_on.is_echoed().await;
    datagram_is_echoed(&flow).await;
    let (addresses, at) = (rig.edge.addresses(), rig.at("web"));

    within(rig.edge.give_way()).await;
    rig.ending.advance(Stage::Draining);
    idle.is_closed().await;
    let mut waiting = queued(at).await;
    drop(passed_on);
    within(rig.edge.drained()).await;
    assert_eq!(rig.edge.addresses(), addresses);

    within(rig.edge.resume()).await;
    let (head, _) = waiting.answer().await;
    assert!(!head.contains("connection: close"), "{head}");
    waiting.is_served().await;
    rig.client("db").await.is_echoed().await;
    datagram_is_echoed(&flow).await;
    rig.change("web: { bind: 127.0.0.1:0 }", LONG);
    assert_eq!(rig.at("web"), at);
    waiting.is_served().await;

    // And it still ends as a whole.
    rig.ending.advance(Stage::Draining);
    waiting.is_closed().await;
    eventually("nobody is accepted", || rig.edge.addresses().is_empty()).await;
    rig.ending.advance(Stage::AllCut);
    within(rig.edge.drained()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_edge_takes_over_and_loses_nobody() {
    let text = "web: { bind: 127.0.0.1:0 }, more: { bind: 127.0.0.1:0 }, \
                dns: { bind: '127.83.1.1:0', udp: { pool: dns } }";
    let former = Rig::new(text).await;
    let (mut old, flow) = (former.client("web").await, datagram_client(former.at("dns")).await);
    old.ask("/app/slow").await;
    datagram_is_echoed(&flow).await;
    // Whom nobody has accepted yet, the next edge serves.
    eventually("it is accepted", || former.edge.open().http == 1).await;
    let addresses = former.edge.addresses();
    let sockets = former.sockets();
    let of_dns = sockets.iter().find(|one| one.listener.as_str() == "dns").unwrap();
    assert_eq!(of_dns.sockets.len(), 2);
    let mut inherited = Inherited::from_predecessor(sockets);

    within(former.edge.give_way()).await;
    // The order is another one, and a listener has come.
    let mut next = Rig::empty().await;
    let mut waiting = queued(former.at("more")).await;
    let text = format!("first: {{ bind: 127.0.0.1:0 }}, {text}");
    next.try_change(&text, &mut inherited, LONG).unwrap();
    assert_eq!(inherited.unclaimed(), []);
    former.ending.advance(Stage::Draining);
    for (name, address) in &addresses {
        assert!(next.edge.addresses().contains(&(name.clone(), address.clone())), "{name}");
    }
    assert_eq!(waiting.answer().await.1, "served");
    next.client("web").await.is_served().await;
    datagram_is_echoed(&flow).await;
    assert_eq!((former.edge.open().udp, next.edge.open().udp), (1, 0), "the flow stays");
    former.release.notify_one();
    assert!(old.answer().await.0.contains("connection: close"));
    former.ending.advance(Stage::AllCut);
    within(former.run).await.unwrap();
    drop(former.edge);
    next.client("more").await.is_served().await;
}

/// What a process takes over may have another name there, and what it has no use for is told.
#[tokio::test]
async fn a_listener_may_be_renamed_on_the_way() {
    let mut former = Rig::empty().await;
    former.change("a: { bind: 127.0.0.1:0 }, b: { bind: 127.0.0.1:0 }", LONG);
    let (a, sockets) = (former.at("a"), former.sockets());
    let mut inherited = Inherited::from_predecessor(sockets);
    let mut next = Rig::empty().await;
    next.try_change("c: { bind: 127.0.0.1:0 }", &mut inherited, LONG).unwrap();
    assert_eq!((next.at("always"), next.at("c")), (former.at("always"), a));
    let unclaimed: Vec<_> = inherited.unclaimed().into_iter().map(|one| one.listener.to_string()).collect();
    assert_eq!(unclaimed, ["b"]);
}
