use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{HostPattern, InvalidName, PoolName, Span, text_leaf};

use super::ranges::{some_time, whole};
use super::shapes::{in_order, text_or_map};
use super::{NamedMap, RouteLogSpec, TimeLimit};

/// Where the connections of a listener go, byte for byte.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpSpec {
    /// The pool that connections go to; where there is `sni`, those that find nothing there: of other names, of none, and
    /// what is no TLS. Without a pool they are closed.
    #[serde(default)]
    pub pool: Option<PoolName>,
    /// Pools by the server name that clients ask for when they begin TLS, exact ones before wildcards. TLS is not ended
    /// for it, unless the listener has `tls`. Clients have to speak first here, so it is not for protocols in which
    /// servers do.
    #[serde(default)]
    pub sni: NamedMap<HostPattern, SniTarget>,
    /// A connection on which nothing was sent for so long, by either side, is closed.
    #[serde(default = "TcpSpec::default_idle", deserialize_with = "some_time")]
    pub idle: Span,
    /// How long it may take to reach an endpoint, over all attempts and with the wait for room at one.
    #[serde(default = "TcpSpec::default_connect", deserialize_with = "some_time")]
    pub connect: Span,
    /// How long a connection may last, however busy it is: `none` or some time.
    #[serde(default = "TimeLimit::none")]
    pub lifetime: TimeLimit,
    /// The lines of the access log for its connections: `off`, or a map. Default: as `log.access` says.
    #[serde(default)]
    pub access_log: Option<RouteLogSpec>,
}

impl TcpSpec {
    fn default_idle() -> Span {
        Span::from_secs(3600)
    }

    fn default_connect() -> Span {
        Span::from_secs(5)
    }
}

/// Where the clients of a server name go: a pool, or a map that tells by ALPN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SniTarget {
    /// The pool of those that offer none of `alpn`; `None` to close their connections.
    pub pool: Option<PoolName>,
    /// Pools by the protocol that clients offer.
    #[serde(serialize_with = "in_order")]
    pub alpn: NamedMap<AlpnName, PoolName>,
}

/// Where the clients of a server name go, written as a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SniTargetMap {
    /// The pool of clients that offer none of the protocols in `alpn`. Default: their connections are closed.
    #[serde(default)]
    pool: Option<PoolName>,
    /// Pools by the protocol that clients offer, like `h2` or `acme-tls/1`. Of several that one offers, the first that
    /// stands here decides.
    #[serde(default)]
    alpn: NamedMap<AlpnName, PoolName>,
}

impl From<SniTargetMap> for SniTarget {
    fn from(map: SniTargetMap) -> Self {
        let SniTargetMap { pool, alpn } = map;
        Self { pool, alpn }
    }
}

impl FromStr for SniTarget {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Ok(Self { pool: Some(text.parse()?), alpn: NamedMap::default() })
    }
}

impl<'de> Deserialize<'de> for SniTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a pool, or a map like `{ pool: apps, alpn: { acme-tls/1: acme } }`";
        text_or_map::<_, SniTargetMap, _>(deserializer, expected)
    }
}

impl JsonSchema for SniTarget {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SniTarget".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (name, map) = (generator.subschema_for::<PoolName>(), generator.subschema_for::<SniTargetMap>());
        json_schema!({ "anyOf": [name, map] })
    }
}

/// The name of a protocol in ALPN (RFC 7301 §3.1): 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlpnName(String);

/// A text that names no protocol of ALPN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protocol of ALPN; write 1 to 255 visible ASCII characters, like h2 or http/1.1")]
pub struct InvalidAlpnName(String);

impl AlpnName {
    /// As it stands in the handshake.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for AlpnName {
    type Err = InvalidAlpnName;

    fn from_str(text: &str) -> Result<Self, InvalidAlpnName> {
        let is_sound = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sound { Ok(Self(text.to_owned())) } else { Err(InvalidAlpnName(text.to_owned())) }
    }
}

impl fmt::Display for AlpnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(AlpnName, "a protocol of ALPN", "h2");

/// Where the datagrams of a listener go. All that come from one address and port are a flow, which stays with its
/// endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpSpec {
    /// The pool that flows go to.
    pub pool: PoolName,
    /// A flow in which nothing was sent for so long, by either side, ends.
    #[serde(default = "UdpSpec::default_idle", deserialize_with = "some_time")]
    pub idle: Span,
    /// So many flows at once, 1 to 1000000; a further one ends that which was idle the longest on its socket. Each has a socket of its
    /// own, so that the limit of open files bounds them too.
    #[serde(default = "UdpSpec::default_flows", deserialize_with = "whole::<1, 1_000_000, _, _>")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub flows: u32,
    /// So many responses to a datagram are expected; a flow that has got them all ends at once, like one of DNS with `1`.
    /// Default: any number, so that only `idle` ends flows.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub responses: Option<NonZeroU32>,
}

impl UdpSpec {
    fn default_idle() -> Span {
        Span::from_secs(30)
    }

    fn default_flows() -> u32 {
        65_536
    }
}
