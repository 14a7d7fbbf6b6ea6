//! PROXY headers that balancers in front send.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::support::{Client, Edge, Endpoint, PATIENCE, Response, eventually};

use super::{GET, site, site_with};

const BALANCED: &str = "proxy_protocol: { from: 127.0.0.1 }";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 with this command, family and rest.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn ipv4(client: [u8; 4]) -> Vec<u8> {
    let addresses = [client, [10, 0, 0, 1]].concat();
    binary(0x21, 0x11, &[&addresses[..], &[0x30, 0x39, 0x01, 0xbb]].concat())
}

fn ipv6(client: &str) -> Vec<u8> {
    let addresses = [client.parse::<Ipv6Addr>().unwrap().octets(), Ipv6Addr::LOCALHOST.octets()].concat();
    binary(0x21, 0x21, &[&addresses[..], &[0x30, 0x39, 0x01, 0xbb]].concat())
}

/// Addresses of IPv4, a TLV that says nothing, and the checksum, as HAProxy sends it.
fn with_checksum() -> Vec<u8> {
    let rest = b"\xc0\x00\x02\x07\x0a\x00\x00\x01\x30\x39\x01\xbb\x04\0\x01\0\x03\0\x04\0\0\0\0";
    let mut header = binary(0x21, 0x11, rest);
    let mut sum = u32::MAX;
    for byte in &header {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
        }
    }
    let place = header.len() - 4;
    header[place..].copy_from_slice(&(!sum).to_be_bytes());
    header
}

/// An edge behind a balancer on this machine, with further keys of the listener.
async fn behind_a_balancer(listener: &str) -> (Endpoint, Edge) {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site(endpoint.address(), &format!("{BALANCED}, {listener}"))).await;
    (endpoint, edge)
}

/// A connection that begins with these bytes and one request.
async fn introduced(edge: &Edge, header: impl AsRef<[u8]>) -> Client {
    let mut client = edge.connect().await;
    client.send([header.as_ref(), GET.as_bytes()].concat()).await;
    client
}

fn line(client: Ipv4Addr) -> String {
    format!("PROXY TCP4 {client} 10.0.0.1 12345 443\r\n")
}

/// Whether the edge closes the connection without a word.
async fn is_cut(edge: &Edge, header: impl AsRef<[u8]>) -> bool {
    let mut client = edge.connect().await;
    // It may be closed already.
    let _ = client.try_send([header.as_ref(), GET.as_bytes()].concat()).await;
    client.is_closed().await
}

#[tokio::test]
async fn the_client_is_whom_the_header_tells() {
    let (endpoint, edge) = behind_a_balancer("").await;
    let tlvs =
        b"\xc0\x00\x02\x06\x0a\x00\x00\x01\x30\x39\x01\xbb\x01\0\x02h2\x02\0\x05a.com\x05\0\x03abc\xe0\0\0";
    let headers: [(&str, Vec<u8>, &str); 15] = [
        ("v1 TCP4", line([192, 0, 2, 1].into()).into(), "192.0.2.1"),
        ("v1 TCP6", b"PROXY TCP6 2001:db8::1 ::1 12345 443\r\n".to_vec(), "2001:db8::1"),
        ("v1 mapped", b"PROXY TCP6 ::ffff:192.0.2.2 ::1 12345 443\r\n".to_vec(), "192.0.2.2"),
        ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        ("v1 UNKNOWN with more", b"PROXY UNKNOWN 192.0.2.3 10.0.0.1 1 2\r\n".to_vec(), "127.0.0.1"),
        ("v2 IPv4", ipv4([192, 0, 2, 4]), "192.0.2.4"),
        ("v2 IPv6", ipv6("2001:db8::5"), "2001:db8::5"),
        ("v2 mapped", ipv6("::ffff:192.0.2.5"), "192.0.2.5"),
        ("v2 Unix", binary(0x21, 0x31, &[b'/'; 216]), "unknown"),
        ("v2 unspecified", binary(0x21, 0x00, b"whatever"), "127.0.0.1"),
        ("v2 of a datagram", binary(0x21, 0x12, &ipv4([192, 0, 2, 6])[16..]), "127.0.0.1"),
        ("v2 LOCAL", binary(0x20, 0x00, &[]), "127.0.0.1"),
        ("v2 LOCAL with addresses", binary(0x20, 0x11, &ipv4([192, 0, 2, 6])[16..]), "127.0.0.1"),
        ("v2 TLVs", binary(0x21, 0x11, tlvs), "192.0.2.6"),
        ("v2 checksum", with_checksum(), "192.0.2.7"),
    ];
    for (number, (what, header, expected)) in headers.into_iter().enumerate() {
        let response = introduced(&edge, header).await.response().await;
        assert_eq!(response.status, 200, "{what}");
        assert_eq!(endpoint.last().headers("x-forwarded-for"), [expected], "{what}");
        assert_eq!(endpoint.last().headers("x-real-ip"), [expected], "{what}");
        let logged = if expected == "unknown" { "0.0.0.0" } else { expected };
        assert_eq!(edge.log_of(number + 1).await[number]["client"], logged, "{what}");
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (endpoint, edge) = behind_a_balancer("").await;
    let long = [&ipv4([192, 0, 2, 2])[16..], b"\x04\x03\x20", &[7; 800]].concat();
    for (header, expected) in [
        (line([192, 0, 2, 1].into()).into_bytes(), "192.0.2.1"),
        (binary(0x21, 0x11, &long), "192.0.2.2"),
        (with_checksum(), "192.0.2.7"),
    ] {
        let mut client = edge.connect().await;
        for byte in [&header, GET.as_bytes()].concat() {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.response().await.status, 200);
        assert_eq!(endpoint.last().header("x-forwarded-for"), Some(expected));
    }
}

#[tokio::test]
async fn what_follows_in_the_same_packet_is_served() {
    let (endpoint, edge) = behind_a_balancer("").await;
    for header in [line([192, 0, 2, 1].into()).into_bytes(), ipv4([192, 0, 2, 1]), with_checksum()] {
        let mut client = introduced(&edge, [header, GET.repeat(2).into_bytes()].concat()).await;
        for _ in 0..3 {
            assert_eq!(client.response().await.status, 200);
        }
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(endpoint.requests().len(), 12);
}

#[tokio::test]
async fn a_header_of_every_length_ends_where_it_says() {
    let (endpoint, edge) = behind_a_balancer("").await;
    // Around the sizes of the buffers that it is read into.
    for padding in [0, 1, 223, 224, 225, 226, 4080, 4081] {
        let tlv = [&[0x04][..], &u16::to_be_bytes(padding), &vec![b'G'; padding.into()]].concat();
        let header = binary(0x21, 0x11, &[&ipv4([192, 0, 2, 1])[16..], &tlv].concat());
        assert_eq!(introduced(&edge, header).await.response().await.status, 200, "{padding}");
    }
    assert_eq!(endpoint.requests().len(), 8);
}

#[tokio::test]
async fn http2_may_follow() {
    let (endpoint, edge) = behind_a_balancer("").await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &ipv4([192, 0, 2, 1])).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://example.com/").body(()).unwrap();
    let (response, _) = requests.send_request(request, true).unwrap();
    assert_eq!(timeout(PATIENCE, response).await.unwrap().unwrap().status(), 200);
    assert_eq!(endpoint.last().header("x-forwarded-for"), Some("192.0.2.1"));

    // In one packet with the preface and empty settings.
    let mut client = edge.connect().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.send([&with_checksum(), &preface[..]].concat()).await;
    assert_eq!(client.exactly(9).await[3], 4, "the edge begins with its settings");
}

#[tokio::test]
async fn whoever_sends_no_header_or_a_bad_one_is_cut() {
    let (endpoint, edge) = behind_a_balancer("").await;
    let mut flipped = with_checksum();
    flipped[17] ^= 1;
    let bad: [(&str, Vec<u8>); 14] = [
        ("none", Vec::new()),
        ("h2c", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\0".to_vec()),
        ("a line without an address", b"PROXY TCP4\r\n".to_vec()),
        ("a wrong family", b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec()),
        ("a lone line feed", b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n".to_vec()),
        ("a port with zeros", b"PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n".to_vec()),
        ("an endless line", format!("PROXY UNKNOWN {}", "x".repeat(200)).into_bytes()),
        ("version 3", binary(0x31, 0x11, &[0; 12])),
        ("an unknown command", binary(0x22, 0x11, &[0; 12])),
        ("an unknown family", binary(0x21, 0x51, &[0; 12])),
        ("no room for the addresses", binary(0x21, 0x21, &[0; 12])),
        ("more TLVs than there is", binary(0x21, 0x11, &[0; 13])),
        ("a wrong checksum", flipped),
    ];
    for (what, header) in bad {
        assert!(is_cut(&edge, header).await, "{what}");
    }
    let too_long = [SIGNATURE, &[0x21, 0x11, 0x10, 0x01]].concat();
    let mut client = edge.connect().await;
    client.send(too_long).await;
    assert!(client.is_closed().await, "4097 bytes are waited for");
    assert!(endpoint.requests().is_empty());
    assert!(edge.log().is_empty());
}

#[tokio::test]
async fn a_header_that_breaks_off_is_the_end() {
    let (_endpoint, edge) = behind_a_balancer("limits: { handshake: 1h }").await;
    for start in [&b""[..], b"PROXY TCP4 192.0.2.1", &with_checksum()[..20]] {
        let mut client = edge.connect().await;
        client.send(start).await;
        client.half_close().await;
        assert!(client.is_closed().await, "{}", start.escape_ascii());
    }
}

#[tokio::test]
async fn a_header_has_the_time_of_a_handshake() {
    let (endpoint, edge) = behind_a_balancer("limits: { handshake: 200ms }").await;
    assert!(edge.connect().await.is_closed().await, "silence is waited for");
    let mut client = edge.connect().await;
    client.send("PROXY TCP4 ").await;
    let begun = Instant::now();
    while client.is_silent_for(Duration::from_millis(10)).await {
        assert!(begun.elapsed() < PATIENCE, "never cut off");
        client.try_send("1").await.ok();
    }
    assert!(client.is_closed().await);
    assert!(endpoint.requests().is_empty());
    // With the header the time is over, but not that of the request.
    let mut client = edge.connect().await;
    client.send(ipv4([192, 0, 2, 1])).await;
    assert!(client.is_silent_for(Duration::from_millis(400)).await);
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn whoever_is_no_balancer_is_cut() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site(endpoint.address(), "proxy_protocol: { from: [192.0.2.0/24, unix] }")).await;
    for header in [ipv4([192, 0, 2, 1]), Vec::new()] {
        assert!(is_cut(&edge, header).await);
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn without_the_key_a_header_is_a_bad_request() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    assert_eq!(introduced(&edge, line([192, 0, 2, 1].into())).await.response().await.status, 400);
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_connection_has_one_header() {
    let (endpoint, edge) = behind_a_balancer("").await;
    let mut client = introduced(&edge, line([192, 0, 2, 1].into())).await;
    assert_eq!(client.response().await.status, 200);
    client.send(line([192, 0, 2, 2].into())).await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 400);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn connections_are_counted_by_the_real_client() {
    let (_endpoint, edge) = behind_a_balancer("limits: { per_client: 1 }").await;
    let mut kept = Vec::new();
    for last in 1..=5 {
        let mut client = introduced(&edge, ipv4([192, 0, 2, last])).await;
        assert_eq!(client.response().await.status, 200);
        kept.push(client);
    }
    assert!(is_cut(&edge, ipv4([192, 0, 2, 1])).await, "one too many is served");
    // Whoever has no address is not counted, and takes nothing from others.
    let hidden = [binary(0x21, 0x00, &[]), b"PROXY UNKNOWN\r\n".to_vec(), binary(0x21, 0x31, &[0; 216])];
    for header in hidden.iter().chain(&hidden) {
        let mut client = introduced(&edge, header).await;
        assert_eq!(client.response().await.status, 200);
        kept.push(client);
    }
    kept.remove(0);
    eventually("the place is free again", async || !is_cut(&edge, ipv4([192, 0, 2, 1])).await).await;
}

#[tokio::test]
async fn other_limits_hold_before_the_header_has_come() {
    let (_endpoint, edge) = behind_a_balancer("limits: { connections: 2, handshake: 1h }").await;
    let held = [edge.connect().await, edge.connect().await];
    let mut third = edge.connect().await;
    assert!(third.is_closed().await);
    drop(held);
    eventually("the places are free again", async || !is_cut(&edge, ipv4([192, 0, 2, 1])).await).await;
}

/// What the endpoint gets as `X-Forwarded-For` when the client claims to speak for 203.0.113.9.
async fn claimed(trusted: &str, header: &[u8]) -> String {
    let endpoint = Endpoint::answering("hi").await;
    let site = site(endpoint.address(), BALANCED);
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [{trusted}] }}\n{site}")).await;
    let mut client = edge.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    client.send([header, request.as_bytes()].concat()).await;
    assert_eq!(client.response().await.status, 200);
    let logged = edge.log_of(1).await.remove(0);
    let told = endpoint.last().header("x-forwarded-for").unwrap().to_owned();
    let is_believed = logged["client"] == "203.0.113.9";
    assert_eq!(is_believed, told.starts_with("203.0.113.9"), "{logged} {told}");
    told
}

#[tokio::test]
async fn the_clients_own_address_decides_what_is_believed() {
    let known = line([192, 0, 2, 1].into());
    let unknown = b"PROXY UNKNOWN\r\n".as_slice();
    let unix = binary(0x21, 0x31, &[0; 216]);
    let local = binary(0x20, 0x00, &[]);
    for (what, trusted, header, expected) in [
        ("a client", "", known.as_bytes(), "192.0.2.1"),
        ("the balancer is trusted, its client is not", "127.0.0.1", known.as_bytes(), "192.0.2.1"),
        ("a trusted client", "192.0.2.1", known.as_bytes(), "203.0.113.9, 192.0.2.1"),
        ("whoever hides behind a trusted balancer", "127.0.0.1", unknown, "127.0.0.1"),
        ("a Unix socket is trusted, but not one elsewhere", "unix", &unix, "unknown"),
        ("a trusted balancer itself", "127.0.0.1", &local, "203.0.113.9, 127.0.0.1"),
    ] {
        assert_eq!(claimed(trusted, header).await, expected, "{what}");
    }
}

#[tokio::test]
async fn routes_ask_for_the_real_client() {
    let endpoint = Endpoint::answering("hi").await;
    let routes = "- { match: { clients: [192.0.2.0/24] }, respond: { body: office } }\n- { pool: app }";
    let edge = Edge::start(&site_with(endpoint.address(), BALANCED, "", routes)).await;
    let office: Response = introduced(&edge, ipv4([192, 0, 2, 1])).await.response().await;
    let elsewhere = introduced(&edge, ipv4([198, 51, 100, 1])).await.response().await;
    assert_eq!((office.text(), elsewhere.text()), ("office", "hi"));
}

#[tokio::test]
async fn a_balancer_may_come_over_a_unix_socket() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = |from: &str| {
        let listener = format!("{{ bind: 'unix:DIR/edge.sock', proxy_protocol: {{ from: {from} }} }}");
        let pools = format!("{{ app: {{ endpoints: ['{}'] }} }}", endpoint.address());
        format!("listeners: {{ web: {listener} }}\npools: {pools}\nroutes: [{{ pool: app }}]\n")
    };
    let open = Edge::start(&edge("unix")).await;
    let connect =
        async |edge: &Edge| Client::over(UnixStream::connect(edge.folder().join("edge.sock")).await.unwrap());
    for header in [line([192, 0, 2, 1].into()).into_bytes(), ipv4([192, 0, 2, 1])] {
        let mut client = connect(&open).await;
        client.send([&header, GET.as_bytes()].concat()).await;
        assert_eq!(client.response().await.status, 200);
        let mut client = connect(&open).await;
        for byte in [&header, GET.as_bytes()].concat() {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.response().await.status, 200);
        assert_eq!(endpoint.last().header("x-forwarded-for"), Some("192.0.2.1"));
    }
    let closed = Edge::start(&edge("127.0.0.1")).await;
    assert!(connect(&closed).await.is_closed().await);
}

#[tokio::test]
async fn a_connection_without_its_header_does_not_hold_a_drain_up() {
    let (_endpoint, edge) = behind_a_balancer("limits: { handshake: 1h }").await;
    let mut silent = edge.connect().await;
    let mut half = edge.connect().await;
    half.send("PROXY TCP4 ").await;
    let mut served = introduced(&edge, ipv4([192, 0, 2, 1])).await;
    assert_eq!(served.response().await.status, 200);
    timeout(PATIENCE, edge.stop()).await.expect("stops without waiting for the header");
    assert!(silent.is_closed().await && half.is_closed().await);
}
