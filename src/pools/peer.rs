use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::listeners::ALPN;
use pingora_core::protocols::TcpKeepalive;
use pingora_core::upstreams::peer::{HttpPeer, Scheme};
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use twox_hash::XxHash3_64;

use crate::config;
use crate::config::spec::UpstreamProtocol;
use crate::types::EndpointAddr;

use super::endpoint::pingora_addr;
use super::health::{client_config, roots_of_the_system};

/// How TLS is spoken to the endpoints of a pool: what its files held, as Pingora's connector and the probes need it.
#[derive(Debug)]
pub(crate) struct PeerTls {
    authorities: Option<Arc<[WrappedX509]>>,
    identity: Option<Arc<CertKey>>,
    /// For probes and stores, which make their handshakes by rustls itself.
    client: Arc<ClientConfig>,
    /// Differs when anything else in here does.
    digest: u64,
}

/// What endpoints are shown: a certificate with its chain, and its private key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Why TLS cannot be spoken with what is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableTls {
    #[error("this machine trusts no authority")]
    NoAuthority,
    #[error(transparent)]
    Refused(#[from] rustls::Error),
}

/// What an endpoint may send of a body before it is taken. All streams of a connection have room for as much at once,
/// so that clients that do not read hold up nobody but themselves.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
/// RFC 9113 §6.9.1.
const H2_LARGEST_WINDOW: u32 = (1 << 31) - 1;

// === PeerTls ===

impl PeerTls {
    /// Certificates that were found to be sound; without authorities, those of this machine are trusted.
    ///
    /// # Errors
    /// When there are none, or rustls does not take one.
    pub(crate) fn new(
        authorities: Option<&[CertificateDer<'static>]>,
        identity: Option<&Identity>,
        verify: bool,
    ) -> Result<Self, UnusableTls> {
        let roots = match authorities {
            None => roots_of_the_system(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority.clone())?;
                }
                roots
            }
        };
        // Pingora's connector makes no handshakes without any, not even unverified ones.
        if roots.is_empty() {
            return Err(UnusableTls::NoAuthority);
        }
        let pair = |(chain, key): &Identity| {
            let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
            Arc::new(CertKey::new(chain, key.secret_der().to_vec()))
        };
        Ok(Self {
            client: Arc::new(client_config(roots, identity, verify)?),
            authorities: authorities.map(|authorities| authorities.iter().map(wrap).collect()),
            identity: identity.map(pair),
            digest: digest(authorities, identity),
        })
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn client(&self) -> &Arc<ClientConfig> {
        &self.client
    }
}

fn wrap(certificate: &CertificateDer<'_>) -> WrappedX509 {
    WrappedX509::new(certificate.to_vec(), parse_x509)
}

fn digest(authorities: Option<&[CertificateDer<'_>]>, identity: Option<&Identity>) -> u64 {
    let mut key = ReuseKey::default();
    key.add(&[u8::from(authorities.is_some())]);
    for authority in authorities.unwrap_or_default() {
        key.add(authority);
    }
    if let Some((chain, private)) = identity {
        // Where the authorities end; no certificate is empty.
        key.add(b"");
        for certificate in chain {
            key.add(certificate);
        }
        key.add(private.secret_der());
    }
    key.finish()
}

/// The name that an endpoint is asked for, and that its certificate has to hold. A Unix socket without one has nothing
/// to verify; Pingora wants a name all the same.
pub(super) fn server_name(tls: &config::UpstreamTls, address: &EndpointAddr) -> String {
    match (&tls.sni, address) {
        (Some(name), _) => name.to_string(),
        (None, EndpointAddr::Inet(inet)) => inet.ip().to_string(),
        (None, EndpointAddr::Unix(_)) => "localhost".to_owned(),
    }
}

// === Peers ===

/// A server that is no endpoint of a pool.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) address: SocketAddr,
    /// What its certificate has to hold; `None` where no TLS is spoken.
    pub(super) name: Option<&'a str>,
    /// `None` for those that this machine trusts.
    pub(super) authorities: Option<&'a [CertificateDer<'static>]>,
}

/// How Pingora reaches it over HTTP/1, within so much time.
pub(super) fn peer_of_server(server: Server<'_>, connect: Duration) -> HttpPeer {
    let Server { address, name, authorities } = server;
    let mut peer = HttpPeer::new(address, name.is_some(), name.unwrap_or_default().to_owned());
    let mut key = ReuseKey::default();
    key.add(b"no pool");
    key.add(&digest(authorities, None).to_be_bytes());
    peer.group_key = key.finish();
    peer.options.ca = authorities.map(|authorities| authorities.iter().map(wrap).collect());
    peer.options.connection_timeout = Some(connect);
    peer.options.total_connection_timeout = Some(connect);
    peer
}

/// How Pingora reaches an endpoint; each attempt sets its own limits in a copy.
pub(super) fn peer_template(address: &EndpointAddr, pool: &config::Pool, tls: Option<&PeerTls>) -> HttpPeer {
    // The address given here is replaced: the constructor would resolve names, which ours never are.
    let mut peer = HttpPeer::new(SocketAddr::from(([127, 0, 0, 1], 1)), false, String::new());
    peer._address = pingora_addr(address);
    peer.group_key = group_key(pool, tls);
    peer.options.connection_timeout = Some(pool.timeouts.connect.get());
    peer.options.total_connection_timeout = Some(pool.timeouts.connect.get());
    peer.options.write_timeout = Some(pool.timeouts.idle.get());
    peer.options.idle_timeout = Some(pool.keepalive.idle.get());
    if let (Some(config), Some(tls)) = (&pool.tls, tls) {
        peer.scheme = Scheme::HTTPS;
        peer.sni = server_name(config, address);
        peer.client_cert_key = tls.identity.clone();
        peer.options.ca = tls.authorities.clone();
        peer.options.verify_cert = config.verify;
        peer.options.verify_hostname = config.verify;
        peer.options.total_connection_timeout = Some(pool.timeouts.handshake.get());
    }
    if pool.protocol != UpstreamProtocol::H1 {
        set_http2(&mut peer, pool);
    }
    peer
}

fn set_http2(peer: &mut HttpPeer, pool: &config::Pool) {
    let options = &mut peer.options;
    options.alpn = if pool.protocol == UpstreamProtocol::Auto { ALPN::H2H1 } else { ALPN::H2 };
    options.max_h2_streams = usize::from(pool.h2_streams);
    options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
    let window = H2_STREAM_WINDOW.saturating_mul(u32::from(pool.h2_streams));
    options.h2_connection_window_size = Some(window.min(H2_LARGEST_WINDOW));
    // A connection that many requests share, and whose other end is gone without a word, is noticed by the kernel.
    // PINGs would do too, but servers of gRPC close connections on which they are frequent.
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(15),
        interval: Duration::from_secs(5),
        count: 3,
        user_timeout: Duration::from_secs(30),
    });
}

/// Keeps connections apart that Pingora's own key would not: that has the address, the name and the serial number of
/// the identity, and no authorities. Whoever takes another's connection speaks to an endpoint that was never verified
/// for it.
fn group_key(pool: &config::Pool, tls: Option<&PeerTls>) -> u64 {
    let mut key = ReuseKey::default();
    key.add(pool.name.as_str().as_bytes());
    key.add(&[pool.protocol as u8, pool.send_proxy_protocol as u8]);
    if let (Some(config), Some(tls)) = (&pool.tls, tls) {
        key.add(&tls.digest.to_be_bytes());
        key.add(&[u8::from(config.verify)]);
        key.add(config.sni.as_ref().map_or(&b""[..], |name| name.0.as_bytes()));
    }
    key.finish()
}

/// A hash over parts of any length, the same in every process.
#[derive(Default)]
struct ReuseKey(Vec<u8>);

impl ReuseKey {
    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
    }

    fn finish(self) -> u64 {
        XxHash3_64::oneshot(&self.0)
    }
}
