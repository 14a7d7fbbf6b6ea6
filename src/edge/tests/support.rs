use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::configuration::ServerConf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::config::Origin;
use crate::config::spec::DrainSpec;
use crate::edge::inherited::{HandedOver, Inherited};
use crate::edge::{BindError, Edge, EdgeLimits, Lent};
use crate::gateway::HttpApp;
use crate::l4::Layer4;
use crate::runtime::{Assembled, Ending, Listener, Live, Registry, Stage, assemble};
use crate::telemetry::AccessLog;
use crate::types::{BindAddr, Span};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Times that no test lives to see.
pub(super) const LONG: DrainSpec = DrainSpec {
    accept_grace: Span::from_secs(0),
    requests: Span::from_secs(600),
    tunnels: Span::from_secs(600),
};

/// An edge that serves, and what it needs.
pub(super) struct Rig {
    pub(super) edge: Arc<Edge>,
    pub(super) ending: Ending,
    /// Lets requests for `/slow` be answered.
    pub(super) release: Arc<Notify>,
    pub(super) run: JoinHandle<()>,
    previous: Option<Assembled>,
    pools: String,
}

impl Rig {
    /// One that accepts for these listeners, written as in a file.
    pub(super) async fn new(listeners: &str) -> Self {
        let mut rig = Self::empty().await;
        rig.change(listeners, LONG);
        rig
    }

    pub(super) async fn empty() -> Self {
        let release = Arc::new(Notify::new());
        let (http, echo, datagrams) = (http_endpoint(release.clone()).await, echo().await, udp_echo().await);
        let pools = format!(
            "app: {{ endpoints: [\"{http}\"] }}, echo: {{ endpoints: [\"{echo}\"] }}, dns: {{ endpoints: [\"{datagrams}\"] }}"
        );
        let first = assembled("first: { bind: 127.0.0.1:0 }", &pools, None).snapshot;
        let live = Arc::new(Live::new(first));
        let log = Arc::new(AccessLog::off());
        let app = HttpApp::new(&Arc::new(ServerConf::default()), live.clone(), log.clone());
        let ending = live.ending().clone();
        let limits = EdgeLimits { connections: 1000, ipv6_prefix: 64 };
        let layer4 = Layer4::new(log.clone(), 1000);
        let edge = Edge::new(app, layer4, log, ending.clone(), limits, 2);
        let run = tokio::spawn({
            let edge = edge.clone();
            async move { edge.run().await }
        });
        Self { edge, ending, release, run, previous: None, pools }
    }

    /// One that has taken these listeners over, but accepts nobody yet.
    pub(super) async fn held(listeners: &str, sockets: Vec<HandedOver>) -> Self {
        let mut rig = Self::empty().await;
        rig.edge.hold();
        let mut inherited = Inherited::from_predecessor(sockets);
        rig.try_change(listeners, &mut inherited, LONG).unwrap();
        assert_eq!(inherited.unclaimed(), []);
        rig
    }

    /// The sockets of this one, as another process gets them.
    pub(super) fn sockets(&self) -> Vec<HandedOver> {
        let received = |one: HandedOver<Lent>| {
            let again = |socket: &Lent| socket.as_fd().try_clone_to_owned().unwrap();
            let HandedOver { kind, address, listener, is_own, sockets, channels } = one;
            HandedOver {
                kind,
                address,
                listener,
                is_own,
                sockets: sockets.iter().map(again).collect(),
                channels,
            }
        };
        self.edge.sockets().unwrap().into_iter().map(received).collect()
    }

    /// Listeners by the text of a file; those of a name that was there before are the same.
    pub(super) fn listeners(&mut self, text: &str) -> Vec<Arc<Listener>> {
        let next = assembled(text, &self.pools, self.previous.as_ref());
        self.previous.insert(next).snapshot.listeners.to_vec()
    }

    pub(super) fn try_change(
        &mut self,
        text: &str,
        inherited: &mut Inherited,
        times: DrainSpec,
    ) -> Result<Vec<Arc<Listener>>, BindError> {
        let listeners = self.listeners(text);
        let prepared = self.edge.prepare(&listeners, inherited)?;
        assert_eq!(prepared.addresses().len(), prepared.places.len());
        self.edge.adopt(prepared, times);
        Ok(listeners)
    }

    pub(super) fn change(&mut self, text: &str, times: DrainSpec) -> Vec<Arc<Listener>> {
        self.try_change(text, &mut Inherited::default(), times).unwrap()
    }

    /// Where the first address of a listener is.
    pub(super) fn at(&self, name: &str) -> SocketAddr {
        let found = self.edge.addresses().into_iter().find(|(listener, _)| listener.as_str() == name);
        match found {
            Some((_, BindAddr::Inet(address))) => address,
            other => panic!("{name} is at {other:?}"),
        }
    }

    pub(super) async fn client(&self, name: &str) -> Client {
        Client::connect(self.at(name)).await
    }

    /// Ends all of it, so that its addresses are free.
    pub(super) async fn stop(self) {
        self.ending.advance(Stage::AllCut);
        within(self.run).await.unwrap();
    }

    /// Waits until nothing goes on any more.
    pub(super) async fn is_idle(&self) {
        eventually("everything ends", || self.edge.open().to_string() == "http=0 tunnels=0 tcp=0 udp=0")
            .await;
    }
}

fn assembled(listeners: &str, pools: &str, previous: Option<&Assembled>) -> Assembled {
    let text = format!(
        "listeners: {{ always: {{ bind: 127.0.0.1:0 }}, {listeners} }}\npools: {{ {pools} }}\n\
         routes: [{{ match: {{ path: /app }}, pool: app }}, {{ respond: {{ body: served }} }}]\n"
    );
    let origin = Origin::test(text);
    assemble(&origin, &Registry::with_built_ins(), previous).unwrap_or_else(|error| panic!("{error}"))
}

/// A client of either protocol.
pub(super) struct Client {
    pub(super) stream: TcpStream,
}

impl Client {
    pub(super) async fn connect(to: SocketAddr) -> Self {
        Self { stream: within(TcpStream::connect(to)).await.unwrap() }
    }

    pub(super) async fn send(&mut self, text: &str) {
        within(self.stream.write_all(text.as_bytes())).await.unwrap();
    }

    pub(super) async fn ask(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
    }

    /// The head of the answer in lower case, and its body.
    pub(super) async fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let body = self.read(length.parse().unwrap()).await;
        (head, body)
    }

    pub(super) async fn read(&mut self, length: usize) -> String {
        let mut read = vec![0; length];
        within(self.stream.read_exact(&mut read)).await.unwrap();
        String::from_utf8(read).unwrap()
    }

    /// Has a request served by the edge itself, on a connection that stays open.
    pub(super) async fn is_served(&mut self) {
        self.ask("/").await;
        let (head, body) = self.answer().await;
        assert!(head.starts_with("http/1.1 200 ") && !head.contains("connection: close"), "{head}");
        assert_eq!(body, "served");
    }

    /// Has bytes come back.
    pub(super) async fn is_echoed(&mut self) {
        self.send("ping").await;
        assert_eq!(self.read(4).await, "ping");
    }

    /// Waits until the connection has ended.
    pub(super) async fn is_closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        if within(self.stream.read_to_end(&mut rest)).await.is_ok() {
            assert_eq!(String::from_utf8_lossy(&rest), "");
        }
    }

    /// Has a request upgraded.
    pub(super) async fn opens_tunnel(&mut self) {
        let fields = "host: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
        self.send(&format!("GET /app/tunnel HTTP/1.1\r\n{fields}\r\n")).await;
        let (head, _) = self.answer().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        self.is_echoed().await;
    }
}

/// Sends a datagram and waits for it to come back.
pub(super) async fn datagram_is_echoed(client: &UdpSocket) {
    let mut buffer = [0; 16];
    let exchange = async {
        client.send(b"ping").await?;
        client.recv(&mut buffer).await
    };
    let length = within(exchange).await.unwrap();
    assert_eq!(&buffer[..length], b"ping");
}

pub(super) async fn datagram_client(to: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(to).await.unwrap();
    client
}

pub(super) async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until nobody listens there any more.
pub(super) async fn is_refused(at: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(at).await.is_ok() {
        assert!(Instant::now() < deadline, "{at} is still listened on");
        sleep(Duration::from_millis(2)).await;
    }
}

/// How many descriptors of this process listen at this IP address, duplicates included. Other tests run beside this one.
pub(super) fn sockets_at(ip: &str) -> usize {
    // The kernel's tables are read piece by piece: a line is missed where another goes meanwhile.
    (0..5).map(|_| sockets_seen_at(ip)).max().unwrap()
}

fn sockets_seen_at(ip: &str) -> usize {
    let ip: std::net::Ipv4Addr = ip.parse().unwrap();
    let hex = format!("{:08X}:", u32::from_le_bytes(ip.octets()));
    let mut inodes = HashSet::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/udp"] {
        for line in std::fs::read_to_string(table).unwrap().lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_connected = fields[2] != "00000000:0000";
            if fields[1].starts_with(&hex) && !is_connected {
                inodes.insert(format!("socket:[{}]", fields[9]));
            }
        }
    }
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    links.filter(|link| link.to_str().is_some_and(|link| inodes.contains(link))).count()
}

/// Answers every request, those for `slow` once they are released, and opens a tunnel to itself for `tunnel`.
async fn http_endpoint(release: Arc<Notify>) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(serve_http(stream, release.clone()));
        }
    });
    address
}

async fn serve_http(mut stream: TcpStream, release: Arc<Notify>) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        if head.contains("/tunnel") {
            let upgraded =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            stream.write_all(upgraded.as_bytes()).await?;
            let (mut reader, mut writer) = stream.split();
            return tokio::io::copy(&mut reader, &mut writer).await.map(drop);
        }
        if head.contains("/slow") {
            release.notified().await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow").await?;
    }
}

async fn echo() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    address
}

async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], client).await;
        }
    });
    address
}
