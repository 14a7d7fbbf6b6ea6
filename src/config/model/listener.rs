use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::config::KeyPath;
use crate::config::spec::{
    AlpnName, ClientAuthMode, HttpSpec, HttpsPort, Limits, RouteLogSpec, TrustedProxy, UnknownSni,
};
use crate::types::{BindAddr, HostPattern, ListenerName, Span, TlsVersion};

/// A resolved listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: ListenerName,
    /// Where it accepts; Unix paths are relative to the working directory.
    pub binds: Vec<BindAddr>,
    /// How it ends TLS, if it does.
    pub tls: Option<ListenerTls>,
    /// Who begins connections with a PROXY header; `None` for nobody.
    pub proxy_protocol_from: Option<Vec<TrustedProxy>>,
    /// What it does with what it accepts.
    pub service: Service,
    /// What clients may take.
    pub limits: Limits,
}

/// What a listener does with what it accepts.
#[derive(Clone, Debug)]
pub enum Service {
    /// It serves requests by the routes.
    Http(Http),
    /// It passes connections on.
    Tcp(Tcp),
    /// It passes datagrams on.
    Udp(Udp),
}

/// How a listener serves requests.
#[derive(Clone, Debug)]
pub struct Http {
    /// How it speaks HTTP.
    pub spec: HttpSpec,
    /// The port of the https URLs that every request is sent to; `None` to serve requests.
    pub redirect_https: Option<HttpsPort>,
}

/// How a listener passes connections on. Pools are indexes into [`Config::pools`](crate::config::Config::pools).
#[derive(Clone, Debug)]
pub struct Tcp {
    /// The pool of connections that find nothing in `sni`; `None` to close them.
    pub pool: Option<usize>,
    /// Pools by server name; empty to look at nothing that clients send.
    pub sni: Vec<(HostPattern, SniPools)>,
    /// How long both sides may be silent.
    pub idle: Span,
    /// How long it may take to reach an endpoint.
    pub connect: Span,
    /// How long a connection may last.
    pub lifetime: Option<Span>,
    /// What its lines in the access log are made like, where that is not as `log.access` says.
    pub access_log: Option<RouteLogSpec>,
}

/// Where the clients of a server name go. Pools are indexes into [`Config::pools`](crate::config::Config::pools).
#[derive(Clone, Debug)]
pub struct SniPools {
    /// The pool of clients that offer none of `alpn`; `None` to close their connections.
    pub pool: Option<usize>,
    /// Pools by the protocol that clients offer.
    pub alpn: Vec<(AlpnName, usize)>,
}

/// How a listener passes datagrams on.
#[derive(Clone, Debug)]
pub struct Udp {
    /// As an index into [`Config::pools`](crate::config::Config::pools).
    pub pool: usize,
    /// How long both sides of a flow may be silent.
    pub idle: Span,
    /// So many flows at once.
    pub flows: u32,
    /// So many responses to a datagram end its flow; `None` if they do not.
    pub responses: Option<NonZeroU32>,
}

impl Service {
    /// How requests are served, if they are.
    pub fn http(&self) -> Option<&Http> {
        match self {
            Self::Http(http) => Some(http),
            Self::Tcp(_) | Self::Udp(_) => None,
        }
    }

    /// What it says of its lines in the access log, if it does.
    pub fn access_log(&self) -> Option<&RouteLogSpec> {
        match self {
            Self::Tcp(tcp) => tcp.access_log.as_ref(),
            Self::Http(_) | Self::Udp(_) => None,
        }
    }

    /// The pools that it names itself; those of routes do not count.
    pub fn pools(&self) -> Vec<usize> {
        match self {
            Self::Http(_) => Vec::new(),
            Self::Tcp(tcp) => {
                let by_name = tcp.sni.iter().flat_map(|(_, target)| {
                    target.pool.into_iter().chain(target.alpn.iter().map(|(_, pool)| *pool))
                });
                tcp.pool.into_iter().chain(by_name).collect()
            }
            Self::Udp(udp) => vec![udp.pool],
        }
    }
}

/// TLS that ends at a listener. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// One or more; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// What clients get whose server name no certificate holds.
    pub unknown_sni: UnknownSni,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// For hosts that are not among `hosts`.
    pub client_auth: ClientAuth,
    /// What differs for single hosts.
    pub hosts: Vec<(HostPattern, ClientAuth)>,
    /// How long one key encrypts tickets; zero for no tickets.
    pub rotate_tickets: Span,
}

/// The files of a certificate, and where they are named.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificate and its chain, as PEM.
    pub cert: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// An OCSP response to staple, as DER.
    pub ocsp: Option<PathBuf>,
    /// Where the item stands in the file.
    pub at: KeyPath,
}

/// Whether clients show certificates of their own.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    /// Whether.
    pub mode: ClientAuthMode,
    /// Whose, as PEM; there is one unless `mode` is off.
    pub ca: Option<PathBuf>,
    /// Where the map stands in the file, or would.
    pub at: KeyPath,
}
