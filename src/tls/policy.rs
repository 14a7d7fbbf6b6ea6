use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};

use crate::config::spec::{ClientAuthMode, HttpVersion};
use crate::types::{HostMap, HostPattern, TlsVersion};

use super::Clock;
use super::client_auth::{PolicyId, Proof};
use super::keyring::Keyring;
use super::provider::provider;
use super::ticketer::{Opening, Ticketer};
use super::tickets::Ring;

/// How connections for some hosts of a listener are made.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) id: PolicyId,
    pub(super) config: Arc<ServerConfig>,
    /// The same, but no session is resumed.
    pub(super) afresh: Arc<ServerConfig>,
    mode: ClientAuthMode,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    clock: Clock,
}

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) keyring: Arc<Keyring>,
    pub(super) min_version: TlsVersion,
    pub(super) http: Vec<HttpVersion>,
    /// `None` when there are no tickets.
    pub(super) tickets: Option<Arc<Ring>>,
    pub(super) clock: Clock,
}

/// How many tickets follow a TLS 1.3 handshake, unless the client asks for fewer (RFC 9149). Clients use each once, so
/// with two they can open two connections at once. Each costs about 3 % of a handshake's time, and 160 bytes.
const TICKETS: usize = 2;

/// A listener's policies by server name.
#[derive(Debug)]
pub(super) struct Policies {
    pub(super) default: Arc<Policy>,
    by_host: HostMap<Arc<Policy>>,
}

impl Policy {
    pub(super) fn new(proof: &Proof, common: &Common) -> Result<Self, rustls::Error> {
        let config = Arc::new(common.server_config(proof, Opening::Allowed)?);
        let afresh = match proof.verifier {
            Some(_) => Arc::new(common.server_config(proof, Opening::Refused)?),
            None => config.clone(),
        };
        let verifier = proof.verifier.clone();
        Ok(Self { id: proof.id, config, afresh, mode: proof.mode, verifier, clock: common.clock.clone() })
    }

    /// Verifies what a client has shown in an earlier session, as if it had shown it now: its certificate may have
    /// expired meanwhile.
    pub(super) fn verify(&self, shown: Option<&[CertificateDer<'static>]>) -> Result<(), rustls::Error> {
        match (&self.verifier, shown) {
            (Some(verifier), Some([leaf, intermediates @ ..])) => {
                let now = UnixTime::since_unix_epoch(Duration::from_secs(self.clock.seconds()));
                verifier.verify_client_cert(leaf, intermediates, now).map(drop)
            }
            _ if self.mode == ClientAuthMode::Require => Err(rustls::Error::NoCertificatesPresented),
            _ => Ok(()),
        }
    }
}

impl Common {
    fn server_config(&self, proof: &Proof, opening: Opening) -> Result<ServerConfig, rustls::Error> {
        let versions = match self.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let verifier = proof.verifier.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut config = ServerConfig::builder_with_details(provider(), self.clock.provider())
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.keyring.clone());
        config.alpn_protocols = self.alpn();
        // Every suite that rustls has is strong, and clients without AES in hardware put ChaCha20 first for a reason.
        config.ignore_client_order = false;
        // Tickets need no memory, and sessions in memory would not survive an upgrade.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &self.tickets {
            Some(ring) => {
                config.ticketer = Arc::new(Ticketer::new(ring.clone(), proof.id, opening));
                config.send_tls13_tickets = TICKETS;
                config.max_tls13_tickets = TICKETS;
            }
            None => config.send_tls13_tickets = 0,
        }
        Ok(config)
    }

    /// HTTP/2 first, so that clients that know both multiplex.
    fn alpn(&self) -> Vec<Vec<u8>> {
        let offered = [(HttpVersion::H2, &b"h2"[..]), (HttpVersion::H1, b"http/1.1")];
        let offered = offered.into_iter().filter(|(version, _)| self.http.contains(version));
        offered.map(|(_, name)| name.to_vec()).collect()
    }
}

impl Policies {
    pub(super) fn new(default: Policy, hosts: Vec<(HostPattern, Policy)>) -> Self {
        let by_host = hosts.into_iter().map(|(host, policy)| (host, Arc::new(policy))).collect();
        Self { default: Arc::new(default), by_host }
    }

    /// The policy of a host in lower case: its own, that of the longest wildcard, or the listener's.
    pub(super) fn of(&self, host: Option<&str>) -> &Arc<Policy> {
        host.and_then(|host| self.by_host.get(host)).unwrap_or(&self.default)
    }
}
