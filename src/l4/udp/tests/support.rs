//! Proxies, endpoints and clients on real sockets, or pools alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::config::load_text;
use crate::hooks::{Member, Policy};
use crate::l4::udp::{EndReason, FlowEnd, Turn, UdpProxy, UdpSettings};
use crate::pools::{Pool, PoolParts, policy};
use crate::types::Random;

/// How long anything may take before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const SETTINGS: UdpSettings =
    UdpSettings { idle: Duration::from_secs(60), flows: 1000, responses: None };

/// The flows that ended so far.
pub(super) type Ends = Arc<Mutex<Vec<FlowEnd>>>;

/// A pool of these endpoints that takes turns, with further keys.
pub(super) fn pool(endpoints: &[SocketAddr], keys: &str, now: Instant) -> Arc<Pool> {
    named_pool("app", endpoints, keys, now)
}

pub(super) fn named_pool(name: &str, endpoints: &[SocketAddr], keys: &str, now: Instant) -> Arc<Pool> {
    let endpoints: Vec<_> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ {name}: {{ endpoints: [{}]{keys} }} }}\n\
         routes: [{{ pool: {name} }}]\n",
        endpoints.join(", ")
    );
    let loaded = load_text("test.yaml", "".as_ref(), &text).unwrap().sound().unwrap();
    let new_policy = |members: &[Member], random: &mut Random| {
        Box::new(policy::RoundRobin::new(members, random)) as Box<dyn Policy>
    };
    let config = &loaded.config.pools[0];
    Pool::new(PoolParts {
        config,
        tls: None,
        own_zone: None,
        secret: b"secret",
        new_policy: Box::new(new_policy),
        random: Random::with_seed(1),
        predecessor: None,
        journal: Arc::default(),
        now,
    })
}

/// A proxy of a pool that keeps what ended.
pub(super) fn proxy(pool: Arc<Pool>, settings: UdpSettings) -> (Arc<UdpProxy>, Ends) {
    let ends = Ends::default();
    let kept = ends.clone();
    let on_end = Box::new(move |end: &FlowEnd| kept.lock().push(end.clone()));
    (UdpProxy::new("udp".parse().unwrap(), pool, settings, on_end), ends)
}

/// A proxy that runs on a socket of its own.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) proxy: Arc<UdpProxy>,
    pub(super) pool: Arc<Pool>,
    pub(super) ends: Ends,
    pub(super) drain: watch::Sender<bool>,
    pub(super) task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(super) fn new(bind: &str, endpoints: &[SocketAddr], settings: UdpSettings) -> Self {
        Self::on(std::net::UdpSocket::bind(bind).unwrap(), endpoints, settings)
    }

    /// The same on a socket that the test has bound.
    pub(super) fn on(socket: std::net::UdpSocket, endpoints: &[SocketAddr], settings: UdpSettings) -> Self {
        let pool = pool(endpoints, "", Instant::now());
        let (proxy, ends) = proxy(pool.clone(), settings);
        let address = socket.local_addr().unwrap();
        let (drain, drained) = watch::channel(false);
        let task = tokio::spawn(proxy.clone().run(socket, Turn::default(), drained));
        Self { address, proxy, pool, ends, drain, task }
    }

    pub(super) fn reasons(&self) -> Vec<EndReason> {
        self.ends.lock().iter().map(|end| end.reason).collect()
    }
}

/// An endpoint that sends everything back with its port in front.
pub(super) async fn echo() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while let Ok((len, client)) = socket.recv_from(&mut buffer).await {
            let answer = [&address.port().to_be_bytes()[..], &buffer[..len]].concat();
            let _ = socket.send_to(&answer, client).await;
        }
    });
    address
}

/// An address where nobody listens, now or later: its socket is for one peer that never sends, so that the port is given
/// to no other test.
pub(super) fn nobody() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect("127.0.0.1:9").unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

pub(super) async fn client(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// The next datagram.
pub(super) async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let len = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("a datagram in time").unwrap();
    buffer.truncate(len);
    buffer
}

/// Sends and waits for the answer of [`echo`]; the port that it came from.
pub(super) async fn exchange(socket: &UdpSocket, text: &[u8]) -> u16 {
    socket.send(text).await.unwrap();
    let answer = receive(socket).await;
    assert_eq!(&answer[2..], text);
    u16::from_be_bytes([answer[0], answer[1]])
}

/// Waits until a condition holds.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}
