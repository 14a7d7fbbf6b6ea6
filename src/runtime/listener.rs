use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::config;
use crate::config::spec::{AlpnName, HttpVersion, HttpsPort, Limits, TrustedProxy};
use crate::pools::Pool;
use crate::telemetry::OwnLines;
use crate::tls::Termination;
use crate::types::{BindAddr, Cidr, HostMap, ListenerName, Rarely, Span};

use super::{Counted, ListenerCounts, ListenerStats};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A listener as connections see it.
#[derive(Debug)]
pub(crate) struct Listener {
    /// By which routes know it, in this and in all later configurations of the process.
    pub(crate) id: usize,
    pub(crate) name: ListenerName,
    pub(crate) binds: Vec<BindAddr>,
    pub(crate) limits: Limits,
    pub(crate) h2_streams: u32,
    /// Ends TLS.
    pub(crate) tls: Option<Arc<Termination>>,
    /// Handshakes that failed.
    pub(crate) handshakes_told: Rarely,
    /// Clients that could not be accepted.
    pub(crate) shortages_told: Rarely,
    /// Who alone may connect, and has to begin with a PROXY header; `None` where nobody does.
    proxies: Option<Vec<TrustedProxy>>,
    /// Who may connect besides this machine, where it is that of `admin`; `None` where everybody may.
    guests: Option<Vec<Cidr>>,
    redirect_https: Option<HttpsPort>,
    /// None where it does not speak HTTP.
    versions: Vec<HttpVersion>,
    passthrough: Option<Passthrough>,
    /// What the lines of its connections are made like, where that is not as for all.
    pub(crate) lines: Option<OwnLines>,
    pub(crate) stats: Arc<ListenerStats>,
    /// Whoever accepts for it, once somebody does.
    counted: OnceLock<Arc<dyn Counted>>,
}

/// Where a listener passes on what it does not understand.
#[derive(Debug)]
pub(crate) enum Passthrough {
    Tcp(TcpService),
    Udp(UdpService),
}

/// How connections are passed on.
#[derive(Debug)]
pub(crate) struct TcpService {
    pools: SniPools,
    by_name: HostMap<SniPools>,
    pub(crate) idle: Duration,
    pub(crate) connect: Duration,
    pub(crate) lifetime: Option<Duration>,
}

/// Where the clients of a server name go.
#[derive(Debug)]
struct SniPools {
    pool: Option<Arc<Pool>>,
    alpn: Vec<(AlpnName, Arc<Pool>)>,
}

/// How datagrams are passed on.
#[derive(Debug)]
pub(crate) struct UdpService {
    pub(crate) pool: Arc<Pool>,
    pub(crate) idle: Duration,
    pub(crate) flows: u32,
    pub(crate) responses: Option<NonZeroU32>,
}

impl Listener {
    /// A listener that goes by the number `id`. The `pools` are those of the configuration; what is passed on goes to those
    /// that the listener has of them, whatever later configurations have.
    pub(crate) fn new(
        id: usize,
        config: &config::Listener,
        tls: Option<Arc<Termination>>,
        pools: &[Arc<Pool>],
        lines: Option<OwnLines>,
        stats: Arc<ListenerStats>,
    ) -> Self {
        let http = config.service.http();
        Self {
            id,
            name: config.name.clone(),
            binds: config.binds.clone(),
            limits: config.limits.clone(),
            h2_streams: http.map_or(0, |http| http.spec.h2_streams),
            tls,
            handshakes_told: Rarely::default(),
            shortages_told: Rarely::default(),
            proxies: config.proxy_protocol_from.clone(),
            guests: None,
            redirect_https: http.and_then(|http| http.redirect_https),
            versions: http.map(|http| http.spec.versions.clone()).unwrap_or_default(),
            passthrough: Passthrough::of(&config.service, pools),
            lines,
            stats,
            counted: OnceLock::new(),
        }
    }

    /// The listener of `admin`, which has an edge of its own and therefore needs no number.
    pub(super) fn of_admin(config: &config::Admin) -> Self {
        let (connections, per_client) = (Some(config.connections), config.connections);
        Self {
            id: 0,
            name: ListenerName::of_admin(),
            binds: config.binds.clone(),
            limits: Limits { connections, per_client, ..Limits::default() },
            h2_streams: 0,
            tls: None,
            handshakes_told: Rarely::default(),
            shortages_told: Rarely::default(),
            proxies: None,
            guests: Some(config.open_to.clone()),
            redirect_https: None,
            versions: vec![HttpVersion::H1],
            passthrough: None,
            lines: None,
            stats: Arc::default(),
            counted: OnceLock::new(),
        }
    }

    /// Has the counts of the listener asked of whoever accepts for it from now on.
    pub(crate) fn count_by(&self, counted: Arc<dyn Counted>) {
        // Nobody else accepts for it.
        let _ = self.counted.set(counted);
    }

    /// What it has to do at this moment.
    pub(crate) fn counts(&self) -> ListenerCounts {
        self.counted.get().map(|counted| counted.counts()).unwrap_or_default()
    }

    /// What it does with what it accepts, in the word of the configuration.
    pub(crate) fn serves_as(&self) -> &'static str {
        match &self.passthrough {
            None => "http",
            Some(Passthrough::Tcp(_)) => "tcp",
            Some(Passthrough::Udp(_)) => "udp",
        }
    }

    /// Whether it is that of `admin`.
    pub(crate) fn is_admin(&self) -> bool {
        self.guests.is_some()
    }

    /// Whether it serves requests.
    pub(crate) fn speaks_http(&self) -> bool {
        self.passthrough.is_none()
    }

    /// What becomes of connections, where they are passed on.
    pub(crate) fn tcp(&self) -> Option<&TcpService> {
        match &self.passthrough {
            Some(Passthrough::Tcp(tcp)) => Some(tcp),
            _ => None,
        }
    }

    /// What becomes of datagrams, where they are passed on.
    pub(crate) fn udp(&self) -> Option<&UdpService> {
        match &self.passthrough {
            Some(Passthrough::Udp(udp)) => Some(udp),
            _ => None,
        }
    }

    /// Whether connections begin with a PROXY header.
    pub(crate) fn expects_proxy_header(&self) -> bool {
        self.proxies.is_some()
    }

    /// Whether whoever may connect to the `former` listener may connect here, too, and is believed here if believed there.
    pub(crate) fn welcomes_all_of(&self, former: &Self) -> bool {
        let believes_all = match (&former.proxies, &self.proxies) {
            (None, None) => true,
            (Some(former), Some(now)) => former.iter().all(|proxy| now.contains(proxy)),
            _ => false,
        };
        let admits_all = match (&former.guests, &self.guests) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(former), Some(now)) => former.iter().all(|guest| now.contains(guest)),
        };
        believes_all && admits_all
    }

    /// Whether a connection from there may begin at all; `None` for one on a Unix socket.
    pub(crate) fn admits(&self, peer: Option<IpAddr>) -> bool {
        let is_guest = |guests: &Vec<Cidr>| match peer {
            Some(ip) => ip.is_loopback() || guests.iter().any(|guest| guest.contains(ip)),
            None => true,
        };
        self.proxies.as_ref().is_none_or(|proxies| proxies.iter().any(|proxy| proxy.is(peer)))
            && self.guests.as_ref().is_none_or(is_guest)
    }

    pub(crate) fn serves(&self, version: HttpVersion) -> bool {
        self.versions.contains(&version)
    }

    /// Where a request is sent that came without TLS; `None` where it is served. Of the `headers` those that the client may
    /// not say are gone, so that what a trusted proxy has taken over TLS is known.
    pub(crate) fn https_url(&self, host: &str, target: &str, headers: &HeaderMap) -> Option<String> {
        let HttpsPort { port } = self.redirect_https?;
        if headers.get(X_FORWARDED_PROTO).is_some_and(|scheme| scheme == "https") {
            return None;
        }
        let port = if port.get() == 443 { String::new() } else { format!(":{port}") };
        Some(format!("https://{host}{port}{target}"))
    }

    /// The longest request line: a quarter of the header, 8 KiB with the defaults.
    pub(crate) fn max_request_line(&self) -> usize {
        self.limits.header.size.as_usize() / 4
    }
}

impl Passthrough {
    fn of(service: &config::Service, pools: &[Arc<Pool>]) -> Option<Self> {
        match service {
            config::Service::Http(_) => None,
            config::Service::Tcp(tcp) => Some(Self::Tcp(TcpService::new(tcp, pools))),
            config::Service::Udp(udp) => Some(Self::Udp(UdpService {
                pool: pools[udp.pool].clone(),
                idle: udp.idle.get(),
                flows: udp.flows,
                responses: udp.responses,
            })),
        }
    }
}

impl TcpService {
    fn new(config: &config::Tcp, pools: &[Arc<Pool>]) -> Self {
        let of = |target: &config::SniPools| SniPools {
            pool: target.pool.map(|pool| pools[pool].clone()),
            alpn: target
                .alpn
                .iter()
                .map(|(protocol, pool)| (protocol.clone(), pools[*pool].clone()))
                .collect(),
        };
        Self {
            pools: SniPools { pool: config.pool.map(|pool| pools[pool].clone()), alpn: Vec::new() },
            by_name: config.sni.iter().map(|(name, target)| (name.clone(), of(target))).collect(),
            idle: config.idle.get(),
            connect: config.connect.get(),
            lifetime: config.lifetime.map(Span::get),
        }
    }

    /// Whether what a client says first decides where it goes.
    pub(crate) fn routes_by_name(&self) -> bool {
        !self.by_name.is_empty()
    }

    /// The pool for a client that asks for the server `name`, in lower case and without a closing dot, and offers these
    /// protocols; `None` where it gets no connection.
    pub(crate) fn pool_for<'o>(
        &self,
        name: Option<&str>,
        offered: impl IntoIterator<Item = &'o [u8], IntoIter: Clone>,
    ) -> Option<&Arc<Pool>> {
        let pools = name.and_then(|name| self.by_name.get(name)).unwrap_or(&self.pools);
        let offered = offered.into_iter();
        let is_offered = |protocol: &AlpnName| offered.clone().any(|one| one == protocol.as_bytes());
        let chosen = pools.alpn.iter().find(|(protocol, _)| is_offered(protocol)).map(|(_, pool)| pool);
        chosen.or(pools.pool.as_ref())
    }
}
