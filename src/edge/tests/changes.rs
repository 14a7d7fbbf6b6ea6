//! Which sockets stay, and what is served on them.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};

use tokio::runtime::Handle;

use crate::edge::EdgeLimits;
use crate::edge::inherited::Inherited;
use crate::runtime::ListenerCounts;

use super::support::{
    Client, LONG, Rig, datagram_client, datagram_is_echoed, eventually, is_refused, sockets_at,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_cannot_be_bound_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.sock");
    let mut rig = Rig::new("web: { bind: 127.0.0.1:0 }").await;
    let mut client = rig.client("web").await;
    client.is_served().await;
    let before = rig.edge.addresses();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "new: {{ bind: ['{free}', 'unix:{}'] }}, late: {{ bind: '{}' }}",
        file.display(),
        taken.local_addr().unwrap()
    );
    let error = rig.try_change(&text, &mut Inherited::default(), LONG).unwrap_err().to_string();
    assert!(error.starts_with("listener `late` cannot listen on ") && error.contains("in use"), "{error}");
    assert_eq!(rig.edge.addresses(), before);
    assert!(!file.exists());
    client.is_served().await;
    rig.client("web").await.is_served().await;
    assert!(std::net::TcpStream::connect(free).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_listeners_keep_their_sockets() {
    let listeners = |skipped: usize| {
        let all = (0..40).filter(|number| *number != skipped);
        all.map(|number| format!("l{number}: {{ bind: 127.0.0.1:0 }}")).collect::<Vec<_>>().join(", ")
    };
    let mut rig = Rig::new(&listeners(40)).await;
    let before: Vec<_> = (0..40).map(|number| rig.at(&format!("l{number}"))).collect();
    assert_eq!(before.iter().collect::<HashSet<_>>().len(), 40);
    rig.change(&listeners(7), LONG);
    for (number, address) in before.iter().enumerate().filter(|(number, _)| *number != 7) {
        assert_eq!(rig.at(&format!("l{number}")), *address);
        Client::connect(*address).await.is_served().await;
    }
    is_refused(before[7]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_may_move_to_another_listener_and_a_listener_elsewhere() {
    let rig = Rig::new("a: { bind: 127.0.0.1:0 }, b: { bind: 127.0.0.1:0 }").await;
    let (one, other) = (rig.at("a"), rig.at("b"));
    // From here on both are known by their ports.
    let text = |a, b| format!("a: {{ bind: '{a}' }}, b: {{ bind: '{b}' }}");
    rig.stop().await;
    let mut rig = Rig::new(&text(one, other)).await;
    let mut idle = Client::connect(one).await;
    idle.is_served().await;
    let listeners = rig.change(&text(other, one), LONG);
    assert_eq!((rig.at("a"), rig.at("b")), (other, one));
    idle.is_closed().await;
    let mut client = Client::connect(one).await;
    client.is_served().await;
    let of_b = listeners.iter().find(|listener| listener.name.as_str() == "b").unwrap();
    assert_eq!(of_b.counts().open, 1);

    let listeners = rig.change("a: { bind: 127.0.0.1:0 }", LONG);
    client.is_closed().await;
    is_refused(one).await;
    is_refused(other).await;
    rig.client("a").await.is_served().await;
    assert_eq!(listeners[1].name.as_str(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_becomes_another_kind_keeps_its_socket() {
    let mut rig = Rig::new("web: { bind: 127.0.0.1:0 }").await;
    let at = rig.at("web");
    let mut idle = Client::connect(at).await;
    idle.is_served().await;
    rig.change("web: { bind: 127.0.0.1:0, tcp: { pool: echo } }", LONG);
    assert_eq!(rig.at("web"), at);
    idle.is_closed().await;
    let mut passed_on = Client::connect(at).await;
    passed_on.is_echoed().await;
    rig.change("web: { bind: 127.0.0.1:0 }", LONG);
    passed_on.is_echoed().await;
    Client::connect(at).await.is_served().await;
}

/// Nothing of a connection ends, and a new listener of the name tells what goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_change_in_place_and_counts_go_on() {
    let text = |limit| format!("web: {{ bind: 127.0.0.1:0, limits: {{ connections: {limit} }} }}");
    let mut rig = Rig::new(&text(2)).await;
    let mut clients = [rig.client("web").await, rig.client("web").await];
    for client in &mut clients {
        client.is_served().await;
    }
    rig.client("web").await.is_closed().await;
    let listeners = rig.change(&text(3), LONG);
    let counts = || listeners[1].counts();
    assert_eq!(counts(), ListenerCounts { open: 2, refused: 1, dropped: 0 });
    let mut third = rig.client("web").await;
    third.is_served().await;
    rig.client("web").await.is_closed().await;
    assert_eq!(counts(), ListenerCounts { open: 3, refused: 2, dropped: 0 });
    rig.change(&text(1), LONG);
    rig.client("web").await.is_closed().await;
    rig.edge.change_limits(EdgeLimits { connections: 3, ipv6_prefix: 64 });
    rig.client("always").await.is_closed().await;
    drop(third);
    eventually("its place is free", || counts().open == 2).await;
    rig.client("always").await.is_served().await;
    for client in &mut clients {
        client.is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_flow_on_through_a_change_and_a_short_absence() {
    let text =
        |bind: &str, flows: u32| format!("dns: {{ bind: '{bind}', udp: {{ pool: dns, flows: {flows} }} }}");
    let mut rig = Rig::new(&text("127.83.1.1:0", 10)).await;
    let at = rig.at("dns");
    let flow = datagram_client(at).await;
    datagram_is_echoed(&flow).await;
    let listeners = rig.change(&text("127.83.1.1:0", 20), LONG);
    assert_eq!(rig.at("dns"), at);
    datagram_is_echoed(&flow).await;
    assert_eq!(listeners[1].counts().open, 1);

    // Known by its port, it comes back while the flow that there is still keeps its sockets open.
    rig.stop().await;
    let mut rig = Rig::new(&text(&at.to_string(), 10)).await;
    datagram_is_echoed(&flow).await;
    rig.change("", LONG);
    datagram_is_echoed(&flow).await;
    rig.change(&text(&at.to_string(), 10), LONG);
    let (one, other) = (datagram_client(at).await, datagram_client(at).await);
    for client in [&flow, &one, &other] {
        datagram_is_echoed(client).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_changes_leave_nothing_behind() {
    const OWN: &str = "127.91.7.1";
    let odd = format!(
        "web: {{ bind: ['{OWN}:0', '{OWN}:0'] }}, db: {{ bind: '{OWN}:0', tcp: {{ pool: echo }} }}, \
         dns: {{ bind: '{OWN}:0', udp: {{ pool: dns }} }}"
    );
    let even = format!("web: {{ bind: '{OWN}:0', tcp: {{ pool: echo }} }}, other: {{ bind: '{OWN}:0' }}");
    let mut rig = Rig::new(&even).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    eventually("two listeners are open", || sockets_at(OWN) == 4).await;
    let before = tasks();
    let variants = [rig.listeners(&odd), rig.listeners(&even)];
    for number in 0..1000 {
        let prepared = rig.edge.prepare(&variants[number % 2], &mut Inherited::default()).unwrap();
        rig.edge.adopt(prepared, LONG);
    }
    rig.client("other").await.is_served().await;
    eventually("sockets are closed", || sockets_at(OWN) == 4).await;
    eventually("tasks end", || tasks() <= before).await;
}

/// Listeners of one name and address are told apart by their order.
#[tokio::test]
async fn two_addresses_with_port_zero_stay_apart() {
    let text = "web: { bind: [127.0.0.1:0, 127.0.0.1:0] }, other: { bind: 127.0.0.1:0 }";
    let mut rig = Rig::new(text).await;
    let before = rig.edge.addresses();
    rig.change(text, LONG);
    assert_eq!(rig.edge.addresses(), before);
    let distinct: HashSet<SocketAddr> = [rig.at("web"), rig.at("other"), rig.at("always")].into();
    assert_eq!((before.len(), distinct.len()), (4, 3));
}
