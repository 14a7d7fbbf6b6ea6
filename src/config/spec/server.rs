use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::types::{Cidr, InvalidCidr, text_leaf};

use super::ranges::{optional_whole, whole};

/// What concerns the process as a whole.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSpec {
    /// Data-plane worker threads, 1 to 1024. Default: as many as the cores that the process may use.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(deserialize_with = "optional_whole::<1, 1024, _, _>")]
    pub threads: Option<u32>,
    /// Peers whose `X-Forwarded-*` and `X-Request-ID` are believed: networks, single
    /// addresses, or `unix` for all that connect to a Unix socket. Default: nobody's.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Client connections at once, over all listeners; further ones are closed at once. Default: 70 % of the
    /// descriptors that the process may open, 50000 at most.
    #[schemars(range(min = 1))]
    pub connections: Option<NonZeroU32>,
    /// How a client's address becomes the key under which it is counted.
    pub http_client_id: ClientIdSpec,
}

/// How a client's address becomes the key under which it is counted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
