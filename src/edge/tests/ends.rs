//! How what a listener has accepted ends once the listener is gone.

use crate::config::spec::DrainSpec;
use crate::runtime::Stage;
use crate::types::Span;

use super::support::{
    Client, LONG, Rig, datagram_client, datagram_is_echoed, eventually, is_refused, within,
};

const ALL: &str = "web: { bind: 127.0.0.1:0 }, db: { bind: 127.0.0.1:0, tcp: { pool: echo } }, \
                   dns: { bind: '127.83.1.1:0', udp: { pool: dns } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_of_a_listener_that_goes_ends_in_its_own_way() {
    let mut rig = Rig::new(&format!("{ALL}, stays: {{ bind: 127.0.0.1:0 }}")).await;
    let (mut idle, mut running, mut tunnel) =
        (rig.client("web").await, rig.client("web").await, rig.client("web").await);
    let (mut other, mut passed_on) = (rig.client("stays").await, rig.client("db").await);
    let flow = datagram_client(rig.at("dns")).await;
    idle.is_served().await;
    other.is_served().await;
    running.ask("/app/slow").await;
    tunnel.opens_tunnel().await;
    passed_on.is_echoed().await;
    datagram_is_echoed(&flow).await;
    assert_eq!(rig.edge.open().to_string(), "http=4 tunnels=1 tcp=1 udp=1");

    let (web, db) = (rig.at("web"), rig.at("db"));
    rig.change("stays: { bind: 127.0.0.1:0 }", LONG);
    is_refused(web).await;
    is_refused(db).await;
    idle.is_closed().await;
    rig.release.notify_one();
    let (head, body) = running.answer().await;
    assert!(head.contains("connection: close") && body == "slow", "{head}");
    running.is_closed().await;
    tunnel.is_echoed().await;
    passed_on.is_echoed().await;
    datagram_is_echoed(&flow).await;
    other.is_served().await;
    eventually("the rest goes on", || rig.edge.open().to_string() == "http=2 tunnels=1 tcp=1 udp=1").await;

    // The end of the process is theirs, too.
    rig.ending.advance(Stage::AllCut);
    tunnel.is_closed().await;
    passed_on.is_closed().await;
    other.is_closed().await;
    rig.is_idle().await;
    within(rig.run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_the_drain_is_cut() {
    let mut rig = Rig::new(ALL).await;
    let (mut running, mut tunnel, mut passed_on) =
        (rig.client("web").await, rig.client("web").await, rig.client("db").await);
    let flow = datagram_client(rig.at("dns")).await;
    running.ask("/app/slow").await;
    tunnel.opens_tunnel().await;
    passed_on.is_echoed().await;
    datagram_is_echoed(&flow).await;
    let times = DrainSpec { requests: Span::from_millis(20), ..LONG };
    rig.change("", times);
    let (head, _) = running.answer().await;
    assert!(head.starts_with("http/1.1 5"), "{head}");
    running.is_closed().await;
    tunnel.is_echoed().await;
    passed_on.is_echoed().await;
    datagram_is_echoed(&flow).await;
    drop((tunnel, passed_on));

    // A listener that comes again and goes for good.
    rig.change(ALL, LONG);
    let (mut tunnel, mut passed_on) = (rig.client("web").await, rig.client("db").await);
    tunnel.opens_tunnel().await;
    passed_on.is_echoed().await;
    let times = DrainSpec { requests: Span::from_millis(10), tunnels: Span::from_millis(20), ..LONG };
    rig.change("", times);
    tunnel.is_closed().await;
    passed_on.is_closed().await;
    eventually("connections end", || rig.edge.open().to_string().starts_with("http=0 tunnels=0 tcp=0")).await;
}

/// Whoever has connected by the time that a listener goes is served yet.
#[tokio::test]
async fn nobody_who_has_come_is_turned_away() {
    let mut rig = Rig::new("web: { bind: 127.0.0.1:0 }").await;
    let at = rig.at("web");
    rig.client("web").await.is_served().await;
    // One thread runs all this, so that nobody is accepted before the change.
    let mut clients = Vec::new();
    for _ in 0..20 {
        let stream = std::net::TcpStream::connect(at).unwrap();
        stream.set_nonblocking(true).unwrap();
        clients.push(Client { stream: tokio::net::TcpStream::from_std(stream).unwrap() });
    }
    rig.change("", LONG);
    for client in &mut clients {
        client.ask("/").await;
    }
    for client in &mut clients {
        let (head, body) = client.answer().await;
        assert!(head.contains("connection: close") && body == "served", "{head}");
        client.is_closed().await;
    }
    is_refused(at).await;
    rig.is_idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_a_unix_socket_goes_with_its_listener_unless_it_is_somebody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let (own, taken) = (folder.path().join("own.sock"), folder.path().join("taken.sock"));
    let text =
        format!("own: {{ bind: 'unix:{}' }}, taken: {{ bind: 'unix:{}' }}", own.display(), taken.display());
    let mut rig = Rig::new(&text).await;
    std::fs::remove_file(&taken).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&taken).unwrap();
    rig.change("web: { bind: 127.0.0.1:0 }", LONG);
    assert!(!own.exists() && taken.exists());
    // What was bound for nothing leaves no file either.
    let listeners = rig.listeners(&format!("own: {{ bind: 'unix:{}' }}", own.display()));
    let prepared = rig.edge.prepare(&listeners, &mut super::super::Inherited::default()).unwrap();
    assert!(own.exists());
    drop(prepared);
    assert!(!own.exists());
}
