use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{CacheName, Cidr, InvalidCidr, Span, StoreName, ZoneName, text_leaf};

use super::cache::CacheSpec;
use super::ranges::{optional_whole, span, whole};
use super::shapes::unordered;
use super::{ErrorPagesSpec, NamedMap, SecretSpec, StoreSpec};

/// What concerns the process as a whole.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSpec {
    /// Data-plane worker threads, 1 to 1024. Default: as many as the cores that the process may use.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(deserialize_with = "optional_whole::<1, 1024, _, _>")]
    pub threads: Option<u32>,
    /// Peers whose `X-Forwarded-*` and `X-Request-ID` are believed: networks, single
    /// addresses, or `unix` for all that connect to a Unix socket. Default: nobody's.
    #[serde(serialize_with = "unordered")]
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Client connections at once, over all listeners; further ones are closed at once. Default: 70 % of the
    /// descriptors that the process may open, 50000 at most.
    #[schemars(range(min = 1))]
    pub connections: Option<NonZeroU32>,
    /// How a client's address becomes the key under which it is counted.
    pub http_client_id: ClientIdSpec,
    /// Stores of answers, by name.
    pub caches: NamedMap<CacheName, CacheSpec>,
    /// Where this edge stands. Endpoints of the same zone are preferred while they hold at least their fair share of
    /// what is fit. Default: nowhere in particular.
    pub zone: Option<ZoneName>,
    /// Pages for errors that no route has one for.
    pub error_pages: ErrorPagesSpec,
    /// What a process that ends (SIGTERM, SIGQUIT) leaves its clients of time.
    pub drain: DrainSpec,
    /// The socket for `evener status`, `drain`, `reload` and others, with access for its owner only; or `off`. Default:
    /// `run/evener.sock`.
    pub control_socket: ControlSocket,
    /// Whether the file, and those that it includes, are looked at every second, and served anew when one has changed, come
    /// or gone.
    pub watch: bool,
    /// The file that keeps the secret of sticky cookies whose pool names none. It is made, for its owner only, when
    /// there is none.
    pub secret_file: PathBuf,
    /// What several processes share over the network, by name.
    pub stores: NamedMap<StoreName, StoreSpec>,
    /// What a client signs a request with to be told why it went where it went (`evener debug-header`): 16 bytes or more, as
    /// text, `${VARIABLE}` or `{ file: PATH }`. Default: nobody is told.
    pub debug_secret: Option<SecretSpec>,
}

/// Where control commands reach the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ControlSocket {
    /// At the default place, if a socket can be made there.
    #[default]
    Default,
    /// At this path.
    At(PathBuf),
    /// Nowhere.
    Off,
}

impl FromStr for ControlSocket {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if text == "off" { Ok(Self::Off) } else { Ok(Self::At(text.into())) }
    }
}

impl fmt::Display for ControlSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Path::new(Self::DEFAULT).display().fmt(f),
            Self::At(path) => path.display().fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

impl ControlSocket {
    /// The default place, relative to the file.
    pub const DEFAULT: &str = "run/evener.sock";
}

text_leaf!(ControlSocket, "a path or `off`", "run/evener.sock");

impl Default for ServerSpec {
    fn default() -> Self {
        Self {
            threads: None,
            trusted_proxies: Vec::new(),
            connections: None,
            http_client_id: ClientIdSpec::default(),
            caches: NamedMap::default(),
            zone: None,
            error_pages: ErrorPagesSpec::default(),
            drain: DrainSpec::default(),
            control_socket: ControlSocket::Default,
            watch: false,
            secret_file: "run/evener.secret".into(),
            stores: NamedMap::default(),
            debug_secret: None,
        }
    }
}

/// What a process that ends leaves its clients of time. It ends as soon as nothing is left.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainSpec {
    /// So long new connections are still accepted and served, at most 10m: balancers in front take that long to notice.
    /// Answers say `Connection: close` or GOAWAY by then.
    #[serde(deserialize_with = "span::<0, 600_000, _>")]
    pub accept_grace: Span,
    /// After that, requests that run have so long, at most 24h.
    #[serde(deserialize_with = "span::<0, 86_400_000, _>")]
    pub requests: Span,
    /// So long what goes on for as long as its clients like may do so, at most 24h: upgraded connections, event streams,
    /// calls of gRPC, connections of layer 4 and flows of datagrams. It is at least `requests`.
    #[serde(deserialize_with = "span::<0, 86_400_000, _>")]
    pub tunnels: Span,
}

impl Default for DrainSpec {
    fn default() -> Self {
        Self {
            accept_grace: Span::from_secs(0),
            requests: Span::from_secs(30),
            tunnels: Span::from_secs(300),
        }
    }
}

/// How a client's address becomes the key under which it is counted.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientIdSpec {
    /// How many leading bits of an IPv6 address stand for one client, 1 to 128.
    #[schemars(range(min = 1, max = 128))]
    #[serde(deserialize_with = "whole::<1, 128, _, _>")]
    pub ipv6_prefix: u8,
}

impl Default for ClientIdSpec {
    fn default() -> Self {
        Self { ipv6_prefix: 64 }
    }
}

/// Whose forwarding headers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Peers in this network.
    Network(Cidr),
    /// Peers on Unix sockets.
    Unix,
}

impl TrustedProxy {
    /// The network, if it is one.
    pub fn network(self) -> Option<Cidr> {
        match self {
            Self::Network(network) => Some(network),
            Self::Unix => None,
        }
    }

    /// Whether a peer is meant; `None` for one on a Unix socket.
    pub fn is(self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Network(network), Some(ip)) => network.contains(ip),
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        if text == "unix" { Ok(Self::Unix) } else { text.parse().map(Self::Network) }
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

text_leaf!(TrustedProxy, "a network or `unix`", "10.0.0.0/8");
