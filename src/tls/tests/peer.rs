//! Clients of a listener.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use crate::hooks::TlsSession;
use crate::tls::{HandshakeError, PolicyId, Termination};

use super::made::Made;
use super::site::Site;

/// How a client greets; resumes sessions as long as it is used again.
pub(super) struct Client {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
}

/// The certificate that a client shows, which can be replaced while its sessions stay.
#[derive(Debug, Default)]
struct Identity(Mutex<Option<Arc<CertifiedKey>>>);

pub(super) struct Greeting<'a> {
    site: &'a Site,
    provider: CryptoProvider,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<&'a Made>,
    alpn: Vec<Vec<u8>>,
    sends_name: bool,
    remembers_groups: bool,
}

/// What both sides saw of a connection on which the listener sent one byte.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) listener: Result<(TlsSession, PolicyId), HandshakeError>,
    pub(super) client: Result<Seen, io::Error>,
}

#[derive(Debug)]
pub(super) struct Seen {
    pub(super) shown: CertificateDer<'static>,
    pub(super) kind: HandshakeKind,
    pub(super) group: Option<NamedGroup>,
}

impl Client {
    pub(super) fn new(site: &Site) -> Self {
        Greeting::new(site).client()
    }

    /// With a certificate.
    pub(super) fn with(site: &Site, identity: &Made) -> Self {
        Greeting::new(site).identity(identity).client()
    }

    /// Shows this certificate from now on.
    pub(super) fn renew(&self, identity: &Made) {
        self.identity.renew(identity);
    }

    /// Connects, naming `host`, and reads one byte: by then it has the tickets, or the alert that was for it.
    pub(super) async fn connect(&self, termination: &Termination, host: &str) -> Outcome {
        self.connect_through(256 * 1024, termination, host).await
    }

    /// Over a connection that holds so many bytes at once.
    pub(super) async fn connect_through(
        &self,
        bytes: usize,
        termination: &Termination,
        host: &str,
    ) -> Outcome {
        let (near, far) = duplex(bytes);
        let listener = async {
            let mut accepted = termination.accept(far).await?;
            accepted.stream.write_all(b"x").await.unwrap();
            accepted.stream.flush().await.unwrap();
            Ok((accepted.session, accepted.policy))
        };
        let (listener, client) = tokio::join!(listener, self.read_one(near, host));
        Outcome { listener, client }
    }

    /// Of a handshake that the test makes by hand.
    pub(super) fn connection(&self, host: &str) -> ClientConnection {
        let host = ServerName::try_from(host.to_owned()).unwrap();
        ClientConnection::new(self.config.clone(), host).unwrap()
    }

    async fn read_one(&self, stream: DuplexStream, host: &str) -> io::Result<Seen> {
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let mut stream = TlsConnector::from(self.config.clone()).connect(host, stream).await?;
        stream.read_u8().await?;
        let connection = stream.get_ref().1;
        Ok(Seen {
            shown: connection.peer_certificates().unwrap()[0].clone(),
            kind: connection.handshake_kind().unwrap(),
            group: connection.negotiated_key_exchange_group().map(|group| group.name()),
        })
    }
}

impl<'a> Greeting<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        Self {
            site,
            provider: aws_lc_rs::default_provider(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            identity: None,
            alpn: Vec::new(),
            sends_name: true,
            remembers_groups: true,
        }
    }

    pub(super) fn identity(self, identity: &'a Made) -> Self {
        Self { identity: Some(identity), ..self }
    }

    pub(super) fn version(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    pub(super) fn alpn(self, names: &[&str]) -> Self {
        Self { alpn: names.iter().map(|name| name.as_bytes().to_vec()).collect(), ..self }
    }

    pub(super) fn groups(mut self, groups: &[&'static dyn SupportedKxGroup]) -> Self {
        self.provider.kx_groups = groups.to_vec();
        self
    }

    /// Offers its first group again and again, even when the listener has asked for another before.
    pub(super) fn stubborn(self) -> Self {
        Self { remembers_groups: false, ..self }
    }

    pub(super) fn nameless(self) -> Self {
        Self { sends_name: false, ..self }
    }

    /// Verifies signatures of certain schemes only, in handshakes.
    pub(super) fn schemes(mut self, is_known: fn(SignatureScheme) -> bool) -> Self {
        let known = self.provider.signature_verification_algorithms;
        let mapping: Vec<_> = known.mapping.iter().filter(|(scheme, _)| is_known(*scheme)).copied().collect();
        self.provider.signature_verification_algorithms =
            WebPkiSupportedAlgorithms { all: known.all, mapping: Vec::leak(mapping) };
        self
    }

    pub(super) fn client(self) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.site.authority.der().clone()).unwrap();
        let time = Arc::new(self.site.time.clone());
        let config = ClientConfig::builder_with_details(Arc::new(self.provider), time)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let identity = Arc::new(Identity::default());
        self.identity.into_iter().for_each(|made| identity.renew(made));
        let mut config = config.with_client_cert_resolver(identity.clone());
        if !self.remembers_groups {
            config.resumption = Resumption::store(Arc::new(Forgetful(ClientSessionMemoryCache::new(8))));
        }
        config.alpn_protocols = self.alpn;
        config.enable_sni = self.sends_name;
        Client { config: Arc::new(config), identity }
    }
}

impl Identity {
    fn renew(&self, made: &Made) {
        let key = aws_lc_rs::sign::any_supported_type(&made.key_der()).unwrap();
        *self.0.lock() = Some(Arc::new(CertifiedKey::new(made.chain.clone(), key)));
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.lock().clone()
    }

    fn has_certs(&self) -> bool {
        self.0.lock().is_some()
    }
}

/// Keeps sessions, but not which group a listener likes.
#[derive(Debug)]
struct Forgetful(ClientSessionMemoryCache);

impl ClientSessionStore for Forgetful {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, host: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(host, session);
    }

    fn tls12_session(&self, host: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(host)
    }

    fn remove_tls12_session(&self, host: &ServerName<'static>) {
        self.0.remove_tls12_session(host);
    }

    fn insert_tls13_ticket(&self, host: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(host, ticket);
    }

    fn take_tls13_ticket(&self, host: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(host)
    }
}
