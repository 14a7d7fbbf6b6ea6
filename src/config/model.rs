mod admin;
mod listener;
mod split;
mod tracing;

use std::path::{Path, PathBuf};

use crate::types::{
    CacheName, Cidr, EndpointAddr, HostPattern, Percent, PoolName, RedisAddr, RouteName, Span, StoreName,
    Weight, ZoneName,
};

use super::KeyPath;
use super::spec::{
    AccessSpec, AuditSpec, CacheSpec, CookieName, CookiePath, DrainSpec, ErrorStatus, FilesSpec,
    GrpcCheckSpec, HttpCheckSpec, LogLevel, MatchSpec, OutlierLimits, PageFiles, QueueSpec, RedirectSpec,
    RespondSpec, RetrySpec, RouteLogSpec, SameSite, SendProxyProtocol, ServerNameSpec, Timeouts,
    TlsCheckSpec, UdpCheckSpec, UpstreamKeepalive, UpstreamProtocol,
};

pub use admin::{Admin, Ready, Token};
pub use listener::{CertificateFiles, ClientAuth, Http, Listener, ListenerTls, Service, SniPools, Tcp, Udp};
pub use split::{Canary, Split, SplitBy, SplitPool};
pub use tracing::{Collector, Tracing};

/// A configuration whose names are resolved and whose defaults are filled in. What cannot be known without
/// building it (filters and policies by name) is still to be assembled.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data-plane worker threads; `None` means as many as the cores that the process may use.
    pub threads: Option<usize>,
    /// Client connections at once; `None` means by the limit of open descriptors.
    pub connections: Option<usize>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether peers on Unix sockets are believed too.
    pub trusts_unix: bool,
    /// How many bits of an IPv6 address stand for one client.
    pub ipv6_prefix: u8,
    /// What a process that ends leaves its clients of time.
    pub drain: DrainSpec,
    /// Stores of answers, by name.
    pub caches: Vec<(CacheName, CacheSpec)>,
    /// Pages for errors that no route has one for; their files are relative to the file.
    pub error_pages: Vec<(ErrorStatus, PageFiles)>,
    /// Where this edge stands.
    pub zone: Option<ZoneName>,
    /// Where control commands reach the process, if they do.
    pub control_socket: Option<ControlPlace>,
    /// Whether a change of the file is served by itself.
    pub watch: bool,
    /// What keeps the secret of pools that name none; relative to the working directory.
    pub secret_file: PathBuf,
    /// What several processes share over the network, in the order of the file.
    pub stores: Vec<Store>,
    /// What requests are signed with whose clients may know what becomes of them.
    pub debug_secret: Option<Secret>,
    /// In the order of the file; one or more.
    pub listeners: Vec<Listener>,
    /// In the order of the file.
    pub pools: Vec<Pool>,
    /// In the order of the file.
    pub routes: Vec<Route>,
    /// How those who look after the process reach it over HTTP, if they do.
    pub admin: Option<Admin>,
    /// Where spans of requests go, if they go anywhere.
    pub tracing: Option<Tracing>,
    /// Deviations from the secure profile that are meant.
    pub audit: AuditSpec,
    /// The least important messages that are written.
    pub log_level: LogLevel,
    /// The access log; paths are absolute or relative to the working directory.
    pub access_log: AccessSpec,
}

impl Config {
    /// Where changes are written, if they are to be.
    pub fn audit_log(&self) -> Option<&Path> {
        self.admin.as_ref().and_then(|admin| admin.audit_log.as_deref())
    }
}

/// Where control commands reach the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlace {
    /// The socket, relative to the working directory.
    pub path: PathBuf,
    /// Whether somebody asked for it there; else it is no reason not to start.
    pub is_chosen: bool,
}

/// Where several processes keep what they have to know together.
#[derive(Clone, Debug)]
pub struct Store {
    /// Its name.
    pub name: StoreName,
    /// Where it answers; a Unix path is relative to the working directory.
    pub redis: RedisAddr,
    /// TLS towards it, if it is spoken.
    pub tls: Option<UpstreamTls>,
    /// The user whose password it is; `None` for the default one.
    pub user: Option<String>,
    /// The password, if it wants one.
    pub password: Option<Secret>,
    /// How long a request waits for it.
    pub timeout: Span,
    /// How many connections all requests share.
    pub connections: usize,
}

/// A resolved pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// How it picks.
    pub balance: BalanceUse,
    /// Its members in the order of the file; one or more, no address twice.
    pub endpoints: Vec<Endpoint>,
    /// How they are probed, if at all.
    pub health: Option<Health>,
    /// When they are ejected, if ever.
    pub outlier: Option<OutlierLimits>,
    /// How long one that comes takes to its full share; zero for none.
    pub slow_start: Span,
    /// Below this share of fit ones all serve.
    pub panic: Percent,
    /// What happens while all have as many requests as they may.
    pub queue: QueueSpec,
    /// Which failures lead to another attempt.
    pub retry: RetrySpec,
    /// How clients are brought back to their endpoint, if they are.
    pub sticky: Option<Sticky>,
    /// TLS towards endpoints, if it is spoken.
    pub tls: Option<UpstreamTls>,
    /// The version of HTTP towards endpoints.
    pub protocol: UpstreamProtocol,
    /// Requests at once on one HTTP/2 connection.
    pub h2_streams: u16,
    /// Whether connections begin with a PROXY header.
    pub send_proxy_protocol: SendProxyProtocol,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How long connections are kept.
    pub keepalive: UpstreamKeepalive,
}

/// TLS towards endpoints and stores. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// The name that is asked for and verified; `None` for each endpoint's IP address.
    pub sni: Option<ServerNameSpec>,
    /// The authorities, as PEM; `None` for those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// The certificate and the key that endpoints are shown, as PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether certificates are verified.
    pub verify: bool,
    /// Where the settings stand in the file.
    pub at: KeyPath,
}

/// A policy by name, and where its settings stand.
#[derive(Clone, Debug)]
pub struct BalanceUse {
    /// The registered name.
    pub policy: String,
    /// Where the settings stand; `None` for a bare name.
    pub settings: Option<KeyPath>,
    /// Where the name stands.
    pub at: KeyPath,
}

/// A resolved endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it answers; a Unix path is relative to the working directory.
    pub address: EndpointAddr,
    /// Its share; 0 for no new work.
    pub weight: Weight,
    /// So many requests may be in flight, 1 or more.
    pub max_requests: u32,
    /// Where it stands.
    pub zone: Option<ZoneName>,
    /// Whether it serves only while no other endpoint is fit.
    pub backup: bool,
}

/// How clients are brought back to their endpoint.
#[derive(Clone, Debug)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: CookieName,
    /// How long clients keep it; `None` until the browser is closed.
    pub ttl: Option<Span>,
    /// For which paths they send it.
    pub path: CookiePath,
    /// For which domain; `None` for the host that was asked for.
    pub domain: Option<HostPattern>,
    /// Whether they send it from other sites.
    pub same_site: SameSite,
    /// What it is signed with; `None` for what the secret file holds.
    pub secret: Option<Secret>,
}

/// A secret's bytes, which no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<[u8]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How endpoints are probed.
#[derive(Clone, Debug)]
pub struct Health {
    /// What a probe is.
    pub check: Check,
    /// From one probe to the next.
    pub interval: Span,
    /// How long a probe may take.
    pub timeout: Span,
    /// So many failures in a row make an endpoint unfit.
    pub fall: u16,
    /// So many successes in a row make it fit again.
    pub rise: u16,
    /// Another port than the endpoint's own.
    pub port: Option<u16>,
}

/// What a probe is.
#[derive(Clone, Debug)]
pub enum Check {
    /// A request whose answer tells.
    Http(HttpCheckSpec),
    /// A connection that is made and closed.
    Tcp,
    /// A TLS handshake.
    Tls(TlsCheckSpec),
    /// A call of the gRPC health service.
    Grpc(GrpcCheckSpec),
    /// A datagram that has to be answered.
    Udp(UdpCheckSpec),
}

/// A resolved route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, given or made from its place.
    pub name: RouteName,
    /// Which listeners it is for, as indexes into [`Config::listeners`]; empty means all.
    pub listeners: Vec<usize>,
    /// Which requests take it.
    pub matches: MatchSpec,
    /// What is done on the way.
    pub filters: Vec<FilterUse>,
    /// Who answers.
    pub action: Action,
    /// What its lines in the access log are made like, where that is not as `log.access` says.
    pub access_log: Option<RouteLogSpec>,
}

/// A filter by name, and where its settings stand.
#[derive(Clone, Debug)]
pub struct FilterUse {
    /// The registered name.
    pub name: String,
    /// Where the settings stand: `routes[2].filters[0].rate_limit`.
    pub settings: KeyPath,
}

/// Who answers a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// An endpoint of the pool, as an index into [`Config::pools`].
    Pool(usize),
    /// The edge, by sending the client elsewhere.
    Redirect(RedirectSpec),
    /// The edge.
    Respond(RespondSpec),
    /// The edge, with files.
    Files(Files),
    /// An endpoint of one of several pools.
    Split(Split),
}

impl Action {
    /// The pools that serve, as indexes into [`Config::pools`].
    pub fn pools(&self) -> Vec<usize> {
        match self {
            Self::Pool(index) => vec![*index],
            Self::Split(split) => split.to.iter().map(|side| side.pool).collect(),
            Self::Redirect(_) | Self::Respond(_) | Self::Files(_) => Vec::new(),
        }
    }
}

/// A folder that is served.
#[derive(Clone, Debug)]
pub struct Files {
    /// Absolute or relative to the working directory.
    pub root: PathBuf,
    /// How it is served.
    pub spec: FilesSpec,
    /// Where the settings stand in the file.
    pub at: KeyPath,
}
