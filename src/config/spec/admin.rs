use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{BindAddr, Cidr, HostPattern, PoolName};

use super::OneOrMany;
use super::shapes::unordered;

/// Where the process tells how it does: `/metrics` for Prometheus, `/healthz` and `/readyz` for balancers and
/// supervisors. It answers from the start to the very end, also while the process drains.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminSpec {
    /// Where to accept: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`; one, or a list. An address that other machines reach needs
    /// `open_to`.
    pub bind: OneOrMany<BindAddr>,
    /// Networks whose clients may connect, besides those on loopback addresses and Unix sockets; whoever else connects is
    /// closed at once. What they read is not encrypted. Default: none.
    #[serde(default, serialize_with = "unordered")]
    pub open_to: Vec<Cidr>,
    /// Names under which it may be asked for, besides IP addresses and `localhost`. Others are refused, or pages that a
    /// browser on this machine shows could have it ask. Default: none.
    #[serde(default, serialize_with = "unordered")]
    pub hosts: Vec<HostPattern>,
    /// What all clients together may take.
    #[serde(default)]
    pub limits: AdminLimits,
    /// When `/readyz` says that the process is ready.
    #[serde(default)]
    pub ready: ReadySpec,
}

/// What all clients of the admin listener together may take.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminLimits {
    /// Connections at once; further ones are closed at once. They do not count in `server.connections`.
    #[schemars(range(min = 1))]
    pub connections: NonZeroU32,
}

/// When `/readyz` says that the process is ready: as long as it does not drain, and each of these pools has endpoints
/// that are fit.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadySpec {
    /// The pools that have to serve. Default: all that a route, or a listener with `tcp` or `udp`, sends clients to.
    #[serde(serialize_with = "unordered")]
    pub pools: Vec<PoolName>,
    /// So many endpoints of each have to be fit.
    #[schemars(range(min = 1))]
    pub min_fit: NonZeroU32,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self { connections: const { NonZeroU32::new(64).unwrap() } }
    }
}

impl Default for ReadySpec {
    fn default() -> Self {
        Self { pools: Vec::new(), min_fit: NonZeroU32::MIN }
    }
}
