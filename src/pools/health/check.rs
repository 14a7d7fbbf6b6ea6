use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::tls::TlsConnector;
use pingora_core::upstreams::peer::BasicPeer;
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;

use crate::config::{self, Check};
use crate::pools::endpoint::pingora_addr;
use crate::types::{EndpointAddr, HostPattern};

use super::grpc::GrpcCheck;
use super::http::HttpCheck;
use super::tls::{self, TlsCheck};

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
            verified: LazyLock::new(|| tls::verified(tls::roots_of_the_system())),
            unverified: LazyLock::new(tls::unverified),
        }
    }
}

/// The check of one endpoint: makes a connection, and looks at what comes back on it.
pub(super) struct EndpointCheck {
    connectors: Arc<Connectors>,
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
}

impl EndpointCheck {
    pub(super) fn new(health: &config::Health, address: &EndpointAddr, connectors: Arc<Connectors>) -> Self {
        let question = match &health.check {
            Check::Tcp => Question::Tcp,
            Check::Tls(spec) => {
                let connector = if spec.verify { &connectors.verified } else { &connectors.unverified };
                Question::Tls(TlsCheck::new((*connector).clone(), server_name(spec.sni.as_ref(), address)))
            }
            Check::Http(spec) => {
                Question::Http(HttpCheck::new(spec.clone(), authority(spec.host.as_ref(), address)))
            }
            Check::Grpc(spec) => {
                Question::Grpc(GrpcCheck::new(&spec.service, authority(spec.authority.as_ref(), address)))
            }
        };
        let (rise, fall) = (usize::from(health.rise), usize::from(health.fall));
        Self { connectors, question, rise, fall, answer: Mutex::default() }
    }
}

#[async_trait]
impl HealthCheck for EndpointCheck {
    async fn check(&self, target: &Backend) -> pingora_core::Result<()> {
        // The address given here is replaced; the constructor takes none of a Unix socket.
        let mut peer = BasicPeer::new("127.0.0.1:1");
        peer._address = target.addr.clone();
        let stream = self.connectors.transport.new_stream(&peer).await?;
        let answer = match &self.question {
            Question::Tcp => "connected".to_owned(),
            Question::Tls(check) => check.ask(stream).await?,
            Question::Http(check) => check.ask(stream).await?,
            Question::Grpc(check) => check.ask(stream).await?,
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
