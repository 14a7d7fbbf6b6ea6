use std::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{UdpSocket, UnixListener, UnixStream};
use tokio::time::timeout;

use crate::support::{Client, Edge, Endpoint, PATIENCE};

use super::streams::{Ended, Pattern, exchange, rest_of};
use super::{Keys, Server, edge, end_of, site};

/// A Unix socket in a folder of a test's own.
fn bound(folder: &Path) -> (String, UnixListener) {
    let path = folder.join("app.sock");
    (format!("unix:{}", path.display()), UnixListener::bind(path).unwrap())
}

async fn next(listener: &UnixListener) -> UnixStream {
    timeout(PATIENCE, listener.accept()).await.expect("connects in time").unwrap().0
}

#[tokio::test]
async fn endpoints_may_be_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let (address, listener) = bound(folder.path());
    let edge = edge(Keys::default(), &[&address]).await;
    let client = edge.connect().await.into_parts().0;
    let endpoint = next(&listener).await;
    let (question, answer) = (Pattern::new(1), Pattern::new(2));
    tokio::join!(
        exchange(client, &question, &answer, 4_000_000),
        exchange(endpoint, &answer, &question, 4_000_000)
    );
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["endpoint"], &line["bytes_out"]), (&address.into(), &4_000_000.into()));
}

#[tokio::test]
async fn so_may_listeners() {
    let server = Server::echo().await;
    let config = site(Keys::default(), &[&server.address()]);
    let edge = Edge::start(&config.replace("127.0.0.1:0", "'unix:DIR/db.sock'")).await;
    let path = edge.folder().join("db.sock");
    let mut client = Client::over(UnixStream::connect(&path).await.unwrap());
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    client.half_close().await;
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["bytes_in"]), (&"finished".into(), &5.into()));
}

#[tokio::test]
async fn both_sides_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let (address, listener) = bound(folder.path());
    let config = site(Keys::default(), &[&address]);
    let edge = Edge::start(&config.replace("127.0.0.1:0", "'unix:DIR/db.sock'")).await;
    let mut client = UnixStream::connect(edge.folder().join("db.sock")).await.unwrap();
    let mut endpoint = next(&listener).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut endpoint).await, (b"question".to_vec(), Ended::Cleanly));
    endpoint.write_all(b"answer").await.unwrap();
    drop(endpoint);
    assert_eq!(rest_of(&mut client).await, (b"answer".to_vec(), Ended::Cleanly));
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_a_failure_like_any() {
    let server = Server::named(b's').await;
    let missing = "unix:/nonexistent/app.sock";
    let edge = edge(Keys::of_pool("balance: first,"), &[&missing, &server.address()]).await;
    assert_eq!(super::who_serves(&edge).await, Some(b's'));
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

#[tokio::test]
async fn http_and_tcp_are_served_side_by_side() {
    let (server, endpoint) = (Server::named(b's').await, Endpoint::answering("hi").await);
    let edge = Edge::start(&format!(
        "listeners:
  web: {{ bind: 127.0.0.1:0 }}
  db: {{ bind: 127.0.0.1:0, tcp: {{ pool: db }} }}
pools:
  app: {{ endpoints: ['{}'] }}
  db: {{ endpoints: ['{}'] }}
routes: [{{ pool: app }}]
log: {{ access: {{ to: LOG }} }}
",
        endpoint.address(),
        server.address()
    ))
    .await;
    let addresses = edge.addresses();
    let mut client = Client::connect(addresses[1]).await;
    assert_eq!(client.exactly(1).await, b"s");
    assert_eq!(edge.get("/").await.text(), "hi");
    client.half_close().await;
    let lines = edge.log_of(2).await;
    let protocols: Vec<_> = lines.iter().map(|line| line["protocol"].as_str().unwrap()).collect();
    assert_eq!(protocols, ["HTTP/1.1", "TCP"]);
    assert_eq!((&lines[0]["listener"], &lines[1]["listener"]), (&"web".into(), &"db".into()));
}

#[tokio::test]
async fn tcp_and_udp_may_have_the_same_port() {
    let server = Server::named(b's').await;
    let responder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (_socket, port) = reserved();
    let edge = Edge::start(&format!(
        "listeners:
  dns-tcp: {{ bind: 127.0.0.1:{port}, tcp: {{ pool: tcp }} }}
  dns: {{ bind: 127.0.0.1:{port}, udp: {{ pool: udp }} }}
pools:
  tcp: {{ endpoints: ['{}'] }}
  udp: {{ endpoints: ['{}'] }}
",
        server.address(),
        responder.local_addr().unwrap()
    ))
    .await;
    assert_eq!(super::who_serves(&edge).await, Some(b's'));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"question", edge.address()).await.unwrap();
    let mut datagram = [0; 64];
    let (length, flow) = timeout(PATIENCE, responder.recv_from(&mut datagram)).await.unwrap().unwrap();
    assert_eq!(&datagram[..length], b"question");
    responder.send_to(b"answer", flow).await.unwrap();
    let (length, from) = timeout(PATIENCE, client.recv_from(&mut datagram)).await.unwrap().unwrap();
    assert_eq!((&datagram[..length], from), (&b"answer"[..], edge.address()));
}

/// A port that nobody has for either, and the socket that keeps others from getting it: bound, but for whoever shares it.
fn reserved() -> (Socket, u16) {
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        if std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return (socket, port);
        }
    }
}
