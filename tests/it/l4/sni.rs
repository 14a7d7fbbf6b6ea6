use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::support::{Ca, Client, Edge, Issued, eventually};

use super::{Ended, Server, end_of, greeted};

/// A configuration whose listener has these keys, with a pool of one server for each letter.
pub(super) fn by_name(listener: &str, tcp: &str, servers: &[(char, &Server)]) -> String {
    let mut pools = String::new();
    for (name, server) in servers {
        writeln!(pools, "  {name}: {{ endpoints: ['{}'] }}", server.address()).unwrap();
    }
    format!(
        "listeners: {{ sni: {{ bind: 127.0.0.1:0, {listener} tcp: {{ {tcp} }} }} }}\n\
         pools:\n{pools}log: {{ access: {{ to: LOG }} }}\n"
    )
}

/// What a client says first that asks for `name` (an address asks for none) and offers these protocols.
pub(super) fn hello(name: &str, protocols: &[&str]) -> Vec<u8> {
    let config: Arc<ClientConfig> = Arc::new(Ca::new("nobody").client(protocols));
    let mut client = ClientConnection::new(config, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Whom a client is passed on to that says this first; `None` if its connection is closed.
async fn serves(edge: &Edge, first: &[u8]) -> Option<char> {
    let mut client = edge.connect().await;
    client.send(first).await;
    greeted(client).await.map(|(name, _)| char::from(name))
}

async fn named<const N: usize>(names: [char; N]) -> [Server; N] {
    let servers = names.map(|name| async move { Server::named(u8::try_from(name).unwrap()).await });
    futures::future::join_all(servers).await.try_into().ok().unwrap()
}

#[tokio::test]
async fn the_name_decides() {
    let [a, w, d] = named(['a', 'w', 'd']).await;
    let sni = "sni: { a.example.com: a, '*.example.com': w }, pool: d";
    let edge = Edge::start(&by_name("", sni, &[('a', &a), ('w', &w), ('d', &d)])).await;
    for (name, expected) in [
        ("a.example.com", 'a'),
        ("A.Example.COM", 'a'),
        ("b.example.com", 'w'),
        ("a.b.example.com", 'w'),
        ("example.com", 'd'),
        ("a.example.org", 'd'),
        ("127.0.0.1", 'd'),
    ] {
        assert_eq!(serves(&edge, &hello(name, &[])).await, Some(expected), "{name}");
    }
    let names: Vec<_> = edge.log_of(7).await.into_iter().map(|line| line["sni"].clone()).collect();
    assert_eq!(names[1], "a.example.com");
    assert!(names[6].is_null());
}

#[tokio::test]
async fn a_closing_dot_makes_no_difference() {
    let [a, d] = named(['a', 'd']).await;
    let edge = Edge::start(&by_name("", "sni: { a.example.com: a }, pool: d", &[('a', &a), ('d', &d)])).await;
    // No client of ours would write one.
    let mut hello = hello("xa.example.com", &[]);
    let place = hello.windows(14).position(|window| window == b"xa.example.com").unwrap();
    hello[place..place + 14].copy_from_slice(b"a.example.com.");
    assert_eq!(serves(&edge, &hello).await, Some('a'));
}

#[tokio::test]
async fn without_a_pool_whoever_asks_for_nothing_known_is_reset() {
    let [a] = named(['a']).await;
    let edge = Edge::start(&by_name("", "sni: { a.example.com: a }", &[('a', &a)])).await;
    for first in [&hello("b.example.com", &[])[..], &hello("127.0.0.1", &[]), b"SSH-2.0-x\r\n"] {
        let mut client = edge.connect().await;
        client.send(first).await;
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
    }
    let lines = edge.log_of(3).await;
    assert!(lines.iter().all(|line| line["ended"] == "no_route" && line["closed_by"] == "edge"), "{lines:?}");
    assert!(lines.iter().all(|line| line["pool"].is_null() && line["endpoint"].is_null()));
    assert_eq!(lines[0]["sni"], "b.example.com");
    assert_eq!(a.accepted(), 0);
}

#[tokio::test]
async fn the_protocol_that_is_offered_decides() {
    let [h, c, p, d] = named(['h', 'c', 'p', 'd']).await;
    let sni = "sni: { a.example: { alpn: { acme-tls/1: c, h2: h }, pool: p }, b.example: { alpn: { h2: h } } }, \
               pool: d";
    let edge = Edge::start(&by_name("", sni, &[('h', &h), ('c', &c), ('p', &p), ('d', &d)])).await;
    for (name, protocols, expected) in [
        ("a.example", &["h2"][..], Some('h')),
        ("a.example", &["acme-tls/1"], Some('c')),
        // Of several that are offered, that which stands first in the file.
        ("a.example", &["h2", "acme-tls/1"], Some('c')),
        ("a.example", &["http/1.1", "h2"], Some('h')),
        ("a.example", &["http/1.1"], Some('p')),
        ("a.example", &[], Some('p')),
        ("b.example", &["h2"], Some('h')),
        ("b.example", &["http/1.1"], None),
        ("b.example", &[], None),
        ("c.example", &["h2"], Some('d')),
    ] {
        assert_eq!(serves(&edge, &hello(name, protocols)).await, expected, "{name} {protocols:?}");
    }
}

#[tokio::test]
async fn what_is_no_tls_goes_to_the_pool_whole() {
    let [a, d] = named(['a', 'd']).await;
    let edge = Edge::start(&by_name("", "sni: { a.example: a }, pool: d", &[('a', &a), ('d', &d)])).await;
    for first in
        [&b"S"[..], b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", &[0x80, 0x2e]]
    {
        let mut client = edge.connect().await;
        client.send(first).await;
        client.half_close().await;
        assert_eq!(end_of(client).await, ([b"d", first].concat(), Ended::Cleanly));
    }
}

#[tokio::test]
async fn a_hello_may_come_in_any_pieces_and_is_passed_on_whole() {
    let [a, d] = named(['a', 'd']).await;
    let edge = Edge::start(&by_name("", "sni: { a.example: a }, pool: d", &[('a', &a), ('d', &d)])).await;
    let hello = hello("a.example", &["h2"]);
    // A post-quantum key share has more than a packet takes.
    assert!(hello.len() > 1400, "{}", hello.len());
    for (count, size) in [1, 700, 1400, hello.len()].into_iter().enumerate() {
        let (mut stream, _) = edge.connect().await.into_parts();
        for piece in hello.chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        if size > 1 {
            // What comes later is no part of what was read to find the endpoint.
            eventually("an endpoint is reached", async || a.accepted() > count).await;
        }
        stream.write_all(b"early").await.unwrap();
        stream.shutdown().await.unwrap();
        let expected = [b"a", &hello[..], b"early"].concat();
        assert!(end_of(Client::over(stream)).await == (expected, Ended::Cleanly), "pieces of {size}");
    }
}

/// An endpoint with a certificate of its own, which greets over TLS.
async fn secure(issued: &Issued, name: u8) -> Server {
    let acceptor = TlsAcceptor::from(Arc::new(issued.server(&[])));
    Server::with(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let (mut read, mut write) = tokio::io::split(stream);
            if write.write_all(&[name]).await.is_ok() && tokio::io::copy(&mut read, &mut write).await.is_ok()
            {
                let _ = write.shutdown().await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn tls_ends_at_the_endpoint() {
    let ca = Ca::new("endpoints");
    let (of_a, of_b) = (ca.issue(&["a.example"]), ca.issue(&["b.example"]));
    let (a, b) = (secure(&of_a, b'a').await, secure(&of_b, b'b').await);
    let edge =
        Edge::start(&by_name("", "sni: { a.example: a, b.example: b }", &[('a', &a), ('b', &b)])).await;
    let config = Arc::new(ca.client(&[]));
    for (name, issued) in [("a.example", &of_a), ("b.example", &of_b), ("a.example", &of_a)] {
        let client = Client::secure(edge.address(), name, &config).await.unwrap();
        let (mut stream, _) = client.into_parts();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown[0], *issued.der());
        assert_eq!(stream.read_u8().await.unwrap(), name.as_bytes()[0]);
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(end_of(Client::over(stream)).await, (b"hello".to_vec(), Ended::Cleanly));
    }
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_wants_is_cut_off() {
    let [a] = named(['a']).await;
    let limits = "limits: { handshake: 500ms },";
    let edge = Edge::start(&by_name(limits, "sni: { a.example: a }, pool: a", &[('a', &a)])).await;
    // One is silent, another drips.
    let silent = edge.connect().await;
    let mut dripping = edge.connect().await;
    for byte in hello("a.example", &[]) {
        if !edge.log().is_empty() || dripping.try_send([byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    for client in [silent, dripping] {
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
    }
    let lines = edge.log_of(2).await;
    assert!(
        lines.iter().all(|line| line["ended"] == "header_timeout" && line["closed_by"] == "edge"),
        "{lines:?}"
    );
    assert_eq!(a.accepted(), 0);
}

/// The time that a client takes is none of that which there is to reach an endpoint.
#[tokio::test]
async fn a_client_that_takes_its_time_is_served() {
    let [a] = named(['a']).await;
    let edge = Edge::start(&by_name("", "sni: { a.example: a }, connect: 200ms", &[('a', &a)])).await;
    let mut client = edge.connect().await;
    sleep(Duration::from_millis(400)).await;
    client.send(hello("a.example", &[])).await;
    assert!(greeted(client).await.is_some(), "{:?}", edge.log());
}

#[tokio::test]
async fn a_client_that_leaves_before_it_has_said_anything_reaches_nobody() {
    let [a] = named(['a']).await;
    let edge = Edge::start(&by_name("", "sni: { a.example: a }, pool: a", &[('a', &a)])).await;
    drop(edge.connect().await);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"client_gone".into(), &"client".into()));
    assert_eq!(a.accepted(), 0);
}
