use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use http::uri::Scheme;
use parking_lot::Mutex;
use pingora_core::connectors::TransportConnector;
use pingora_core::listeners::ALPN;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::tls::{RootCertStore, TlsConnector};
use pingora_core::upstreams::peer::{HttpPeer, Scheme as PeerScheme};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;

use crate::config::spec::{TlsCheckSpec, UpstreamProtocol};
use crate::config::{self, Check};
use crate::pools::endpoint::pingora_addr;
use crate::pools::proxy_header::local_header;
use crate::pools::{Endpoint, Pool, begin_with_header, peer};
use crate::types::{EndpointAddr, HostPattern};

use super::grpc::GrpcCheck;
use super::http::HttpCheck;
use super::tls::{self, TlsCheck};
use super::udp::UdpCheck;

/// What names the prober to endpoints.
pub(super) const USER_AGENT: &str = "evener-health-check";

/// What all checks share, made when the first one needs it: each connector reads the certificates of the system.
pub(super) struct Connectors {
    transport: LazyLock<TransportConnector>,
    verified: LazyLock<TlsConnector>,
    unverified: LazyLock<TlsConnector>,
}

impl Connectors {
    pub(super) fn new() -> Self {
        Self {
            transport: LazyLock::new(|| TransportConnector::new(None)),
            verified: LazyLock::new(|| tls::anonymous(tls::roots_of_the_system(), true)),
            unverified: LazyLock::new(|| tls::anonymous(RootCertStore::empty(), false)),
        }
    }
}

/// The check of one endpoint: makes a connection, or none for UDP, and looks at what comes back.
pub(super) struct EndpointCheck {
    connectors: Arc<Connectors>,
    peer: HttpPeer,
    question: Question,
    rise: usize,
    fall: usize,
    /// What the last good probe was told.
    answer: Mutex<String>,
}

enum Question {
    /// The connection itself is the answer.
    Tcp,
    Tls(TlsCheck),
    Http(HttpCheck),
    Grpc(GrpcCheck),
    Udp(UdpCheck),
}

impl EndpointCheck {
    /// The check of `endpoint` as `health` of its `pool` asks for it.
    pub(super) fn new(
        health: &config::Health,
        pool: &Pool,
        endpoint: &Endpoint,
        connectors: Arc<Connectors>,
    ) -> Self {
        let address: &EndpointAddr = endpoint.address();
        let scheme = if pool.tls().is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let mut peer = endpoint.peer().clone();
        let question = match &health.check {
            Check::Tcp => Question::Tcp,
            Check::Tls(spec) => Question::Tls(tls_check(spec, pool, address, &connectors)),
            Check::Http(spec) => {
                let host = authority(spec.host.as_ref(), address);
                let is_http2 = matches!(pool.config().protocol, UpstreamProtocol::H2 | UpstreamProtocol::H2c);
                peer.options.alpn = if is_http2 { ALPN::H2 } else { ALPN::H1 };
                Question::Http(HttpCheck::new(spec.clone(), scheme, host, is_http2))
            }
            Check::Grpc(spec) => {
                peer.options.alpn = ALPN::H2;
                let authority = authority(spec.authority.as_ref(), address);
                Question::Grpc(GrpcCheck::new(&spec.service, scheme, authority))
            }
            Check::Udp(spec) => Question::Udp(UdpCheck::new(spec.clone(), health.timeout.get())),
        };
        if matches!(question, Question::Tcp | Question::Tls(_)) {
            peer.scheme = PeerScheme::HTTP;
        }
        // A probe has one limit for everything.
        peer.options.connection_timeout = None;
        peer.options.total_connection_timeout = None;
        if let Some(header) = proxy_header(health, pool) {
            begin_with_header(&mut peer, header);
        }
        let (rise, fall) = (usize::from(health.rise), usize::from(health.fall));
        Self { connectors, peer, question, rise, fall, answer: Mutex::default() }
    }

    async fn connect(&self, target: &Backend) -> pingora_core::Result<Stream> {
        let mut peer = self.peer.clone();
        peer._address = target.addr.clone();
        self.connectors.transport.new_stream(&peer).await
    }
}

/// What a probe begins with where requests do. Another port may be for probes alone, and is asked without.
fn proxy_header(health: &config::Health, pool: &Pool) -> Option<Vec<u8>> {
    if health.port.is_some() { None } else { local_header(pool.config()) }
}

/// A handshake like those for requests, if the pool speaks TLS; what the check says itself comes first.
fn tls_check(spec: &TlsCheckSpec, pool: &Pool, address: &EndpointAddr, connectors: &Connectors) -> TlsCheck {
    let connector = match pool.tls() {
        Some((_, tls)) if spec.verify => tls.client().clone().into(),
        _ if spec.verify => (*connectors.verified).clone(),
        _ => (*connectors.unverified).clone(),
    };
    let name = match (pool.tls(), &spec.sni) {
        (Some((config, _)), None) => peer::server_name(config, address),
        (_, sni) => server_name(sni.as_ref(), address),
    };
    TlsCheck::new(connector, name)
}

#[async_trait]
impl HealthCheck for EndpointCheck {
    async fn check(&self, target: &Backend) -> pingora_core::Result<()> {
        let answer = match &self.question {
            Question::Tcp => self.connect(target).await.map(|_| "connected".to_owned())?,
            Question::Tls(check) => check.ask(self.connect(target).await?).await?,
            Question::Http(check) => check.ask(self.connect(target).await?).await?,
            Question::Grpc(check) => check.ask(self.connect(target).await?).await?,
            Question::Udp(check) => check.ask(&target.addr).await?,
        };
        *self.answer.lock() = answer;
        Ok(())
    }

    fn health_threshold(&self, success: bool) -> usize {
        if success { self.rise } else { self.fall }
    }

    fn backend_summary(&self, _: &Backend) -> String {
        self.answer.lock().clone()
    }
}

/// What is probed, in Pingora's form.
pub(super) fn target(health: &config::Health, address: &EndpointAddr) -> Backend {
    let mut addr = pingora_addr(address);
    if let (Some(port), PingoraAddr::Inet(_)) = (health.port, &addr) {
        addr.set_port(port);
    }
    Backend { addr, weight: 1, ext: ::http::Extensions::new() }
}

/// A Unix socket has no name of its own, and servers want one.
const NAME_OF_A_SOCKET: &str = "localhost";

fn authority(host: Option<&HostPattern>, address: &EndpointAddr) -> String {
    match (host, address) {
        (Some(host), _) => host.to_string(),
        (None, EndpointAddr::Inet(inet)) => inet.to_string(),
        (None, EndpointAddr::Unix(_)) => NAME_OF_A_SOCKET.to_owned(),
    }
}

fn server_name(sni: Option<&HostPattern>, address: &EndpointAddr) -> String {
    match (sni, address) {
        // An IPv6 address stands in brackets where a host does.
        (Some(name), _) => name.to_string().trim_matches(['[', ']']).to_owned(),
        (None, EndpointAddr::Inet(inet)) => inet.ip().to_string(),
        (None, EndpointAddr::Unix(_)) => NAME_OF_A_SOCKET.to_owned(),
    }
}
