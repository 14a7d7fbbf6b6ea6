use crate::types::{Cidr, EndpointAddr, ListenerName, PoolName, RouteName, Span, Weight};

use super::KeyPath;
use super::spec::{
    AccessFormat, AccessSink, HttpCheckSpec, HttpSpec, Limits, LogLevel, MatchSpec, RedirectSpec,
    RespondSpec, Timeouts, UpstreamKeepalive,
};

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
    /// In the order of the file; one or more.
    pub listeners: Vec<Listener>,
    /// In the order of the file.
    pub pools: Vec<Pool>,
    /// In the order of the file.
    pub routes: Vec<Route>,
    /// The least important messages that are written.
    pub log_level: LogLevel,
    /// The form of the access log.
    pub access_format: AccessFormat,
    /// Where the access log goes; a file's path is absolute or relative to the working directory.
    pub access_sink: AccessSink,
}

/// A resolved listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: ListenerName,
    /// Where it accepts; Unix paths are relative to the working directory.
    pub binds: Vec<crate::types::BindAddr>,
    /// How it speaks HTTP.
    pub http: HttpSpec,
    /// What clients may take.
    pub limits: Limits,
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
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How long connections are kept.
    pub keepalive: UpstreamKeepalive,
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
    /// Its share.
    pub weight: Weight,
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
}
