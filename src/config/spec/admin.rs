use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{BindAddr, Cidr, HostPattern, PoolName, TokenName};

use super::shapes::unordered;
use super::{NamedMap, OneOrMany, SecretSpec};

/// Where the process tells how it does, and is steered: `/metrics` for Prometheus, `/healthz` and `/readyz` for balancers and
/// supervisors, `/v1` for those who look after it. It answers from the start to the very end, also while the process drains.
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
    /// Who may do what, by a token that stands in the request's `Authorization: Bearer TOKEN`. Without any nothing is changed
    /// over this listener. Default: none.
    #[serde(default)]
    pub tokens: NamedMap<TokenName, TokenSpec>,
    /// What whoever may connect may do without a token. Default: `read`.
    #[serde(default)]
    pub anonymous: Anonymous,
    /// The file that every change is written to, whoever asked for it and through whatever door, and every attempt that was
    /// turned away: a JSON object a line, appended, for its owner only. It is a file of its own. SIGUSR1 has it opened again,
    /// by its path. Default: none; the last 200 are kept in memory, and all are among the messages.
    pub audit_log: Option<PathBuf>,
}

/// A token, and what it is good for.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// The token itself, 16 bytes or more: `openssl rand -hex 32` makes one. It is read again with the configuration.
    pub token: SecretSpec,
    /// What whoever has it may do.
    pub scope: TokenScope,
}

/// What the holder of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Read everything.
    Read,
    /// Change things, too.
    Operate,
}

/// What may be done without a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// Read everything.
    #[default]
    Read,
    /// Read `/healthz`, `/readyz` and the page of the dashboard, which has no data of its own; all else needs a token.
    Health,
}

/// What all clients of the admin listener together may take.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminLimits {
    /// Connections at once; of more, the one whose client was waited for longest is closed, and a further one where all are being
    /// answered. They do not count in `server.connections`.
    #[schemars(range(min = 1))]
    pub connections: NonZeroU32,
}

/// When `/readyz` says that the process is ready: as long as it does not drain, and each of these pools has endpoints
/// that are fit.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadySpec {
    /// The pools that have to serve. Default: all that a route, or a listener with `tcp` or `udp`, sends clients to, as far as
    /// it does at the moment where that is a split.
    #[serde(serialize_with = "unordered")]
    pub pools: Vec<PoolName>,
    /// So many endpoints of each have to be fit.
    #[schemars(range(min = 1))]
    pub min_fit: NonZeroU32,
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
        })
    }
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
