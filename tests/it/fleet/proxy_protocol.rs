//! PROXY headers that endpoints are sent.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Barrier;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Ca, Client, Edge, PATIENCE, dead, eventually};

use super::health::PACE;
use super::{GET, OK, fleet};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What came on one connection: the header before everything else, if there was one, and the heads of requests.
#[derive(Clone, Debug, Default)]
struct Seen {
    header: Vec<u8>,
    heads: Vec<String>,
}

/// All connections in the order in which they were made.
type Log = Arc<Mutex<Vec<Seen>>>;

/// An endpoint that keeps every connection for as long as it can, whatever a request says.
async fn endpoint() -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, log) = (listener.local_addr().unwrap(), Log::default());
    let seen = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, seen.clone()));
        }
    });
    (address, log)
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: Log) -> Option<()> {
    let header = read_header(&mut stream).await?;
    let number = log.lock().len();
    log.lock().push(Seen { header, heads: Vec::new() });
    loop {
        let head = until(&mut stream, b"\r\n\r\n").await?;
        log.lock()[number].heads.push(String::from_utf8(head).unwrap());
        stream.write_all(OK.as_bytes()).await.ok()?;
    }
}

/// Reads a PROXY header and not a byte more; empty where a request begins at once.
async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut header = vec![0];
    stream.read_exact(&mut header).await.ok()?;
    match header[0] {
        b'P' => header.extend(until(stream, b"\r\n").await?),
        b'\r' => {
            header.resize(16, 0);
            stream.read_exact(&mut header[1..]).await.ok()?;
            header.resize(16 + usize::from(u16::from_be_bytes([header[14], header[15]])), 0);
            stream.read_exact(&mut header[16..]).await.ok()?;
        }
        b'G' => header.clear(),
        other => panic!("neither a header nor a request: {other}"),
    }
    Some(header)
}

async fn until(stream: &mut (impl AsyncRead + Unpin), end: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(bytes)
}

/// A header of version 2 with this command, family and rest.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// A header of version 2 for two addresses of IPv4.
fn ipv4(client: SocketAddr, reached: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => v4.ip().octets(),
        SocketAddr::V6(_) => panic!("not IPv4"),
    };
    let ports = [client.port().to_be_bytes(), reached.port().to_be_bytes()].concat();
    binary(0x21, 0x11, &[&octets(client)[..], &octets(reached), &ports].concat())
}

/// A connection to the edge, and its own address.
async fn connect(edge: &Edge) -> (Client, SocketAddr) {
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let address = stream.local_addr().unwrap();
    (Client::over(stream), address)
}

async fn get<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_connection_begins_with_the_clients_address() {
    for version in ["v1", "v2"] {
        let (endpoint, log) = endpoint().await;
        let edge = Edge::start(&fleet(&format!("send_proxy_protocol: {version},"), &[&endpoint])).await;
        let (mut client, address) = connect(&edge).await;
        get(&mut client).await;
        let (port, reached) = (address.port(), edge.address());
        let expected = match version {
            "v1" => format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\n", reached.port()).into_bytes(),
            _ => ipv4(address, reached),
        };
        let seen = log.lock().clone();
        assert_eq!(seen[0].header.escape_ascii().to_string(), expected.escape_ascii().to_string());
        // Whoever reads the header on HTTP/1 can know that nothing will follow.
        assert!(seen[0].heads[0].to_ascii_lowercase().contains("connection: close\r\n"), "{seen:?}");
    }
}

#[tokio::test]
async fn ipv6_is_told_as_such() {
    for (version, bind) in [("v1", "[::1]:0"), ("v2", "[::1]:0")] {
        let (endpoint, log) = endpoint().await;
        let config = fleet(&format!("send_proxy_protocol: {version},"), &[&endpoint]);
        let edge = Edge::start(&config.replace("127.0.0.1:0", &format!("'{bind}'"))).await;
        let (mut client, address) = connect(&edge).await;
        get(&mut client).await;
        let (port, reached) = (address.port(), edge.address().port());
        let one = std::net::Ipv6Addr::LOCALHOST.octets();
        let expected = match version {
            "v1" => format!("PROXY TCP6 ::1 ::1 {port} {reached}\r\n").into_bytes(),
            _ => binary(0x21, 0x21, &[&one[..], &one, &port.to_be_bytes(), &reached.to_be_bytes()].concat()),
        };
        assert_eq!(log.lock()[0].header, expected);
    }
}

/// All requests came on connections of their own, the headers of which tell these ports of clients.
fn assert_unshared(log: &Log, ports: &[u16]) {
    let seen = log.lock().clone();
    let mut told = Vec::new();
    for connection in &seen {
        assert_eq!(connection.heads.len(), 1, "{connection:?}");
        let header = std::str::from_utf8(&connection.header).unwrap();
        told.push(header.split(' ').nth(4).unwrap().parse::<u16>().unwrap());
    }
    assert_eq!(told, ports);
}

#[tokio::test]
async fn no_connection_is_used_twice() {
    let (endpoint, log) = endpoint().await;
    let edge = Edge::start(&fleet("send_proxy_protocol: v1,", &[&endpoint])).await;
    let (mut first, first_address) = connect(&edge).await;
    let (mut second, second_address) = connect(&edge).await;
    let mut ports = Vec::new();
    for _ in 0..10 {
        get(&mut first).await;
        get(&mut second).await;
        ports.extend([first_address.port(), second_address.port()]);
    }
    assert_unshared(&log, &ports);
}

/// The answer to an upgrade that is refused leaves the connection open, and no `Connection: close` was sent on it.
#[tokio::test]
async fn not_even_after_a_refused_upgrade() {
    let (endpoint, log) = endpoint().await;
    let edge = Edge::start(&fleet("send_proxy_protocol: v1,", &[&endpoint])).await;
    let mut ports = Vec::new();
    for _ in 0..10 {
        let (mut client, address) = connect(&edge).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        let (mut other, other_address) = connect(&edge).await;
        get(&mut other).await;
        ports.extend([address.port(), other_address.port()]);
    }
    assert_unshared(&log, &ports);
}

#[tokio::test]
async fn pools_with_and_without_headers_share_no_connections() {
    let (endpoint, log) = endpoint().await;
    let pool = |extra: &str| format!("{{ endpoints: ['{endpoint}'], {extra} }}");
    let edge = Edge::start(&format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ plain: {}, told: {} }}\n\
         routes: [{{ match: {{ path: /told }}, pool: told }}, {{ pool: plain }}]\n",
        pool(""),
        pool("send_proxy_protocol: v1")
    ))
    .await;
    let mut client = edge.connect().await;
    for path in ["/plain", "/told", "/plain", "/told", "/told", "/plain"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 200);
    }
    let seen = log.lock().clone();
    let requests: Vec<_> = seen.iter().map(|one| (one.header.is_empty(), one.heads.len())).collect();
    assert_eq!(requests, [(true, 3), (false, 1), (false, 1), (false, 1)], "{seen:?}");
    assert!(seen.iter().all(|one| one.heads[0].contains("/told") != one.header.is_empty()));
}

#[tokio::test]
async fn http2_connections_serve_one_request_each() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let together = Arc::new(Barrier::new(3));
    let log = Log::default();
    let (seen, barrier) = (log.clone(), together.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, barrier) = (seen.clone(), barrier.clone());
            tokio::spawn(async move {
                let header = read_header(&mut stream).await.unwrap();
                let number = seen.lock().len();
                seen.lock().push(Seen { header, heads: Vec::new() });
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    seen.lock()[number].heads.push(request.uri().to_string());
                    let barrier = barrier.clone();
                    tokio::spawn(async move {
                        // All are under way before one ends.
                        barrier.wait().await;
                        let mut body = answer.send_response(http::Response::new(()), false).unwrap();
                        body.send_data(Bytes::from_static(b"ok"), true).unwrap();
                    });
                }
            });
        }
    });
    let pool = "send_proxy_protocol: v1, protocol: h2c, h2_streams: 100,";
    let edge = Edge::start(&fleet(pool, &[&address])).await;
    let mut ports = Vec::new();
    for _ in 0..2 {
        let mut clients = Vec::new();
        for number in 1..=3 {
            let (mut client, address) = connect(&edge).await;
            client.send(GET).await;
            let before = ports.len();
            eventually("the request is with the endpoint", async || {
                let seen = log.lock();
                seen.len() == before + 1 && seen.iter().all(|one| one.heads.len() == 1)
            })
            .await;
            ports.push(address.port());
            clients.push((number, client));
        }
        for (_, mut client) in clients {
            assert_eq!(client.response().await.status, 200);
        }
    }
    assert_unshared(&log, &ports);
}

#[tokio::test]
async fn the_client_is_the_one_that_is_believed() {
    let (endpoint, log) = endpoint().await;
    let config = fleet("send_proxy_protocol: v1,", &[&endpoint]);
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [127.0.0.1] }}\n{config}")).await;
    let reached = edge.address().port();
    for (forwarded, expected) in [
        ("203.0.113.9", format!("PROXY TCP4 203.0.113.9 127.0.0.1 0 {reached}\r\n")),
        ("2001:db8::9", format!("PROXY TCP6 2001:db8::9 ::ffff:127.0.0.1 0 {reached}\r\n")),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
        assert_eq!(edge.send(&request).await.status, 200);
        let header = log.lock().last().unwrap().header.clone();
        assert_eq!(String::from_utf8(header).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_header_that_came_in_goes_on() {
    let (endpoint, log) = endpoint().await;
    let config = fleet("send_proxy_protocol: v1,", &[&endpoint]);
    let config = config.replace("127.0.0.1:0", "127.0.0.1:0, proxy_protocol: { from: 127.0.0.1 }");
    let edge = Edge::start(&config).await;
    for (came, expected) in [
        ("PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n", "PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n"),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
        ("PROXY UNKNOWN\r\n", "PROXY UNKNOWN\r\n"),
    ] {
        assert_eq!(edge.send(&format!("{came}{GET}")).await.status, 200);
        let header = log.lock().last().unwrap().header.clone();
        assert_eq!(String::from_utf8(header).unwrap(), expected);
    }
}

#[tokio::test]
async fn unix_sockets_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let log = Log::default();
    let seen = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, seen.clone()));
        }
    });
    for (version, expected) in [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", binary(0x21, 0x00, &[]))] {
        let pool = format!("send_proxy_protocol: {version},");
        let config = fleet(&pool, &[&format!("unix:{}", path.display())]);
        let edge = Edge::start(&config.replace("127.0.0.1:0", "'unix:DIR/edge.sock'")).await;
        let mut client = Client::over(UnixStream::connect(edge.folder().join("edge.sock")).await.unwrap());
        get(&mut client).await;
        assert_eq!(log.lock().last().unwrap().header, expected);
    }
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Ca::new("app").issue(&["app.internal"]).server(&["http/1.1"]);
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (headers, mut came) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, headers) = (acceptor.clone(), headers.clone());
            tokio::spawn(async move {
                headers.send(read_header(&mut stream).await?).await.unwrap();
                let mut stream = acceptor.accept(stream).await.ok()?;
                until(&mut stream, b"\r\n\r\n").await?;
                stream.write_all(OK.as_bytes()).await.ok()
            });
        }
    });
    let health = format!("health: {{ http: {{}}, {PACE} }},");
    let pool = format!("send_proxy_protocol: v2, tls: {{ verify: false, sni: app.internal }}, {health}");
    let edge = Edge::start(&fleet(&pool, &[&address])).await;
    let (mut client, address) = connect(&edge).await;
    get(&mut client).await;
    let expected = [ipv4(address, edge.address()), binary(0x20, 0x00, &[])];
    let mut seen = [false, false];
    while seen != [true, true] {
        let header = timeout(PATIENCE, came.recv()).await.unwrap().unwrap();
        let which = expected.iter().position(|one| *one == header);
        seen[which.unwrap_or_else(|| panic!("{}", header.escape_ascii()))] = true;
    }
}

/// A client that asks for example.com over TLS, offering `protocol`; what comes first, and what the endpoint is told.
async fn told_of_tls(protocol: &str, first: &[u8], listener: &str) -> (Vec<u8>, SocketAddr, SocketAddr) {
    let (endpoint, log) = endpoint().await;
    let (ca, folder) = (Ca::new("site"), tempfile::tempdir().unwrap());
    ca.issue(&["example.com"]).write(folder.path(), "site");
    let path = folder.path().join("site");
    let certificate = format!("{{ cert: {0}.pem, key: {0}.key }}", path.display());
    let config = fleet("send_proxy_protocol: v2,", &[&endpoint]);
    let tls = format!("127.0.0.1:0, tls: {{ certificates: [{certificate}] }}, {listener}");
    let edge = Edge::start(&config.replace("127.0.0.1:0", &tls)).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let address = stream.local_addr().unwrap();
    stream.write_all(first).await.unwrap();
    let connector = TlsConnector::from(Arc::new(ca.client(&[protocol])));
    let handshake = connector.connect(ServerName::try_from("example.com").unwrap(), stream);
    let stream = timeout(PATIENCE, handshake).await.unwrap().unwrap();
    if protocol == "h2" {
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://example.com/").body(()).unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        assert_eq!(timeout(PATIENCE, response).await.unwrap().unwrap().status(), 200);
    } else {
        get(&mut Client::over(stream)).await;
    }
    let header = log.lock()[0].header.clone();
    (header, address, edge.address())
}

#[tokio::test]
async fn the_name_and_the_protocol_of_a_client_over_tls_are_told() {
    for (protocol, alpn) in [("http/1.1", &b"\x01\0\x08http/1.1"[..]), ("h2", b"\x01\0\x02h2")] {
        let (header, client, reached) = told_of_tls(protocol, &[], "").await;
        let addresses = &ipv4(client, reached)[16..];
        let expected = binary(0x21, 0x11, &[addresses, alpn, b"\x02\0\x0bexample.com"].concat());
        assert_eq!(header.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

#[tokio::test]
async fn tls_may_follow_the_header_of_a_balancer() {
    let (client, reached) = ("192.0.2.1:12345".parse().unwrap(), "10.0.0.1:443".parse().unwrap());
    let balanced = "proxy_protocol: { from: 127.0.0.1 }";
    for first in [ipv4(client, reached), b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n".to_vec()] {
        let (header, ..) = told_of_tls("http/1.1", &first, balanced).await;
        assert!(header[16..].starts_with(&ipv4(client, reached)[16..]), "{}", header.escape_ascii());
    }
}

#[tokio::test]
async fn failures_are_the_same_as_without_a_header() {
    let (endpoint, log) = endpoint().await;
    let nobody = dead().await;
    let missing = "unix:/nonexistent/app.sock";
    for address in [&nobody as &dyn std::fmt::Display, &missing] {
        let mut causes = Vec::new();
        for version in ["off", "v1", "v2"] {
            let edge = Edge::start(&fleet(&format!("send_proxy_protocol: {version},"), &[address])).await;
            let status = edge.get("/").await.status;
            let line = edge.log_of(1).await.remove(0);
            causes.push((status, line["cause"].clone(), line["attempts"].clone()));
        }
        assert!(causes.iter().all(|cause| *cause == causes[0]), "{causes:?}");
        assert_eq!((causes[0].0, &causes[0].1), (502, &"connect_failed".into()));
    }
    // And another endpoint takes over, with a header of its own.
    let pool = "send_proxy_protocol: v1, balance: first,";
    let edge = Edge::start(&fleet(pool, &[&nobody, &endpoint])).await;
    assert_eq!(edge.get("/").await.status, 200);
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
    assert!(log.lock()[0].header.starts_with(b"PROXY TCP4 127.0.0.1 "));
}

#[tokio::test]
async fn probes_begin_with_a_header_of_their_own() {
    for (version, expected) in [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", binary(0x20, 0x00, &[]))] {
        for check in ["http: {}", "tcp: {}"] {
            let (endpoint, log) = endpoint().await;
            let pool = format!("send_proxy_protocol: {version}, health: {{ {check}, {PACE} }},");
            let edge = Edge::start(&fleet(&pool, &[&endpoint])).await;
            eventually("two probes came", async || log.lock().len() >= 2).await;
            assert!(log.lock().iter().all(|seen| seen.header == expected), "{version} {check}");
            drop(edge);
        }
    }
}

#[tokio::test]
async fn probes_of_another_port_have_none() {
    let (endpoint, _) = endpoint().await;
    let (probed, log) = self::endpoint().await;
    let health = format!("health: {{ http: {{}}, port: {}, {PACE} }},", probed.port());
    let _edge = Edge::start(&fleet(&format!("send_proxy_protocol: v1, {health}"), &[&endpoint])).await;
    eventually("two probes came", async || log.lock().len() >= 2).await;
    assert!(log.lock().iter().all(|seen| seen.header.is_empty()));
}
