use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::support::{Ca, Client, Edge, PATIENCE};

use super::sni::hello;
use super::streams::next;
use super::{Ended, Keys, Server, edge, end_of, greeted};

const BALANCED: &str = "proxy_protocol: { from: 127.0.0.1 },";
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 for two addresses of IPv4, with these TLVs.
fn v2(client: SocketAddr, reached: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
    let octets = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => v4.ip().octets(),
        SocketAddr::V6(_) => panic!("not IPv4"),
    };
    let ports = [client.port().to_be_bytes(), reached.port().to_be_bytes()].concat();
    let rest = [&octets(client)[..], &octets(reached), &ports, tlvs].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, 0x11], &length, &rest].concat()
}

/// The same client and the same address as in [`V1`].
fn same_as_v1(tlvs: &[u8]) -> Vec<u8> {
    v2("192.0.2.1:12345".parse().unwrap(), "10.0.0.1:443".parse().unwrap(), tlvs)
}

async fn heard(endpoint: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, endpoint.read_exact(&mut bytes)).await.expect("comes in time").unwrap();
    bytes.escape_ascii().to_string()
}

/// A listener for the endpoint's connections, and the edge in front of it.
async fn before_a_listener(keys: Keys<'_>) -> (TcpListener, Edge) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = edge(keys, &[&listener.local_addr().unwrap()]).await;
    (listener, edge)
}

#[tokio::test]
async fn a_header_tells_the_client_and_is_taken_off() {
    let server = Server::echo().await;
    let edge = edge(Keys::of_listener(BALANCED), &[&server.address()]).await;
    for (number, header) in [V1.to_vec(), same_as_v1(&[]), same_as_v1(b"\x02\0\x01a")].into_iter().enumerate()
    {
        for size in [1, 10, 1000] {
            let mut client = edge.connect().await;
            for piece in [&header[..], b"hello"].concat().chunks(size) {
                client.send(piece).await;
                tokio::task::yield_now().await;
            }
            client.half_close().await;
            assert_eq!(end_of(client).await, (b"hello".to_vec(), Ended::Cleanly));
        }
        let lines = edge.log_of(3 * (number + 1)).await;
        let line = lines.last().unwrap();
        assert_eq!((&line["client"], &line["bytes_in"]), (&"192.0.2.1".into(), &5.into()));
    }
}

#[tokio::test]
async fn whoever_is_not_a_balancer_gets_no_connection() {
    let server = Server::named(b's').await;
    let edge = edge(Keys::of_listener("proxy_protocol: { from: 192.0.2.0/24 },"), &[&server.address()]).await;
    let mut client = edge.connect().await;
    let _ = client.try_send(V1).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_connection_without_a_header_reaches_no_endpoint() {
    let server = Server::named(b's').await;
    let listener = format!("{BALANCED} limits: {{ handshake: 300ms }},");
    let edge = edge(Keys::of_listener(&listener), &[&server.address()]).await;
    for first in [&b"SELECT 1;\n"[..], b"PROXY TCP4 192.0.2.1", b"", &SIGNATURE[..8]] {
        let mut client = edge.connect().await;
        client.send(first).await;
        assert_eq!(client.rest().await, b"", "{}", first.escape_ascii());
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_client_is_counted_by_the_address_that_is_told() {
    let server = Server::named(b's').await;
    let listener = format!("{BALANCED} limits: {{ per_client: 1 }},");
    let edge = edge(Keys::of_listener(&listener), &[&server.address()]).await;
    let with = async |header: &[u8]| {
        let mut client = edge.connect().await;
        client.send(header).await;
        greeted(client).await
    };
    let first = with(V1).await;
    assert!(first.is_some());
    let mut refused = edge.connect().await;
    refused.send(V1).await;
    assert_eq!(end_of(refused).await, (Vec::new(), Ended::Reset));
    assert!(with(b"PROXY TCP4 192.0.2.2 10.0.0.1 12345 443\r\n").await.is_some());
}

#[tokio::test]
async fn endpoints_are_told_before_the_client_has_said_anything() {
    for version in ["v1", "v2"] {
        let pool = format!("send_proxy_protocol: {version},");
        let (listener, edge) = before_a_listener(Keys::of_pool(&pool)).await;
        let (client, _) = edge.connect().await.into_parts();
        let (mut client, address) = {
            let address = client.local_addr().unwrap();
            (client, address)
        };
        let mut endpoint = next(&listener).await;
        let (port, reached) = (address.port(), edge.address());
        let expected = match version {
            "v1" => format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\n", reached.port()).into_bytes(),
            _ => v2(address, reached, &[]),
        };
        assert_eq!(heard(&mut endpoint, expected.len()).await, expected.escape_ascii().to_string());
        client.write_all(b"hello").await.unwrap();
        assert_eq!(heard(&mut endpoint, 5).await, "hello");
        drop((client, endpoint));
        assert_eq!(edge.log_of(1).await[0]["bytes_in"], 5, "the header is none of the client's bytes");
    }
}

#[tokio::test]
async fn a_header_that_came_in_goes_on_in_the_other_version() {
    for (version, came, expected) in [
        ("v1", same_as_v1(&[]), V1.to_vec()),
        ("v2", V1.to_vec(), same_as_v1(&[])),
        ("v1", b"PROXY UNKNOWN\r\n".to_vec(), b"PROXY UNKNOWN\r\n".to_vec()),
        (
            "v1",
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
        ),
    ] {
        let pool = format!("send_proxy_protocol: {version},");
        let keys = Keys { listener: BALANCED, pool: &pool, ..Keys::default() };
        let (listener, edge) = before_a_listener(keys).await;
        let mut client = edge.connect().await;
        client.send([&came[..], b"hello"].concat()).await;
        let mut endpoint = next(&listener).await;
        let expected = [&expected[..], b"hello"].concat();
        assert_eq!(heard(&mut endpoint, expected.len()).await, expected.escape_ascii().to_string());
    }
}

#[tokio::test]
async fn the_name_and_the_only_protocol_of_a_hello_are_told_in_version_2() {
    for (protocols, tlvs) in [
        (&["h2"][..], &b"\x01\0\x02h2\x02\0\x09a.example"[..]),
        (&["h2", "http/1.1"], b"\x02\0\x09a.example"),
        (&[], b"\x02\0\x09a.example"),
    ] {
        let keys =
            Keys { listener: BALANCED, tcp: "sni: { a.example: app },", pool: "send_proxy_protocol: v2," };
        let (listener, edge) = before_a_listener(keys).await;
        let (mut client, hello) = (edge.connect().await, hello("a.example", protocols));
        client.send([V1, &hello].concat()).await;
        let mut endpoint = next(&listener).await;
        let expected = [&same_as_v1(tlvs)[..], &hello].concat();
        assert_eq!(heard(&mut endpoint, expected.len()).await, expected.escape_ascii().to_string());
    }
}

#[tokio::test]
async fn tls_that_ends_here_may_follow_a_header() {
    let (ca, folder) = (Ca::new("site"), tempfile::tempdir().unwrap());
    ca.issue(&["a.example"]).write(folder.path(), "site");
    let path = folder.path().join("site");
    let tls =
        format!("tls: {{ certificates: [{{ cert: {0}.pem, key: {0}.key }}] }}, {BALANCED}", path.display());
    let keys = Keys { listener: &tls, pool: "send_proxy_protocol: v2,", ..Keys::default() };
    let (listener, edge) = before_a_listener(keys).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    stream.write_all(V1).await.unwrap();
    let connector = TlsConnector::from(Arc::new(ca.client(&[])));
    let stream = timeout(PATIENCE, connector.connect("a.example".try_into().unwrap(), stream)).await.unwrap();
    let mut client = Client::over(stream.unwrap());
    client.send("hello").await;
    let mut endpoint = next(&listener).await;
    let expected = [&same_as_v1(b"\x02\0\x09a.example")[..], b"hello"].concat();
    assert_eq!(heard(&mut endpoint, expected.len()).await, expected.escape_ascii().to_string());
}
