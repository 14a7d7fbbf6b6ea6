//! What a pool is made of, one file for each concern.

mod endpoint;
mod health;
mod outlier;
mod payload;
mod retry;
mod sticky;
mod timeouts;
mod tls;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{Percent, Span};

use super::ranges::{percent, whole};
use super::shapes::single_key;

pub use endpoint::EndpointSpec;
pub(crate) use health::PROBE_BODY;
pub use health::{
    BodyText, GrpcCheckSpec, HeaderText, HealthSpec, HttpCheckSpec, StatusRange, TcpCheckSpec, TlsCheckSpec,
    UdpCheckSpec,
};
pub use outlier::{OutlierLimits, OutlierSpec};
pub use payload::Payload;
pub(crate) use payload::show_payload;
pub use retry::{QueueSpec, RetryOn, RetrySpec};
pub use sticky::{CookieName, CookiePath, SameSite, StickySpec};
pub use timeouts::{Timeouts, UpstreamKeepalive};
pub use tls::{PoolTls, PoolTlsSpec, SendProxyProtocol, ServerNameSpec, UpstreamProtocol};

/// A set of endpoints that serve the same, and how one of them is chosen.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// How an endpoint is chosen: `peak_ewma` (of two random ones the one that is likely to answer sooner, by its
    /// latency and load), `p2c` (the less loaded of two random ones), `least_requests` (the least loaded of all),
    /// `round_robin` (in turns, smoothly by weight), `random` (by weight alone), `first` (the first that has room),
    /// `ip_hash`, `ring` and `maglev` (by a key of the request), or a policy that the program registered.
    /// Default: `peak_ewma`.
    #[serde(default)]
    pub balance: BalanceSpec,
    /// The members, each an address or a map. At least one.
    pub endpoints: Vec<EndpointSpec>,
    /// How endpoints are probed. Default: not at all; all count as fit.
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// How endpoints that fail requests are noticed and left out for a while, besides all probes: a map, or `off`.
    #[serde(default)]
    pub outlier: OutlierSpec,
    /// How long an endpoint that joins or comes back takes to its full share, beginning with a tenth of it. `0` gives
    /// it the full share at once.
    #[serde(default = "PoolSpec::default_slow_start")]
    pub slow_start: Span,
    /// When fewer endpoints than this share are fit, all serve that can be connected to: rather some failures than a
    /// few endpoints that break down under the load of all. `0%` switches it off.
    #[serde(default = "PoolSpec::default_panic", deserialize_with = "percent::<0, 100, _>")]
    pub panic: Percent,
    /// So many requests may be in flight at each endpoint, 1 to 1000000; further ones wait in the queue.
    #[serde(default = "PoolSpec::default_max_requests", deserialize_with = "retry::max_requests")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_requests: u32,
    /// Where requests wait while every fit endpoint has as many as it may.
    #[serde(default)]
    pub queue: QueueSpec,
    /// Whether a request that failed at one endpoint is sent to another.
    #[serde(default)]
    pub retry: RetrySpec,
    /// A cookie that brings a client back to its endpoint. Default: none.
    #[serde(default)]
    pub sticky: Option<StickySpec>,
    /// TLS towards the endpoints: `true`, or a map. Default: none.
    #[serde(default)]
    pub tls: PoolTlsSpec,
    /// The version of HTTP that endpoints are spoken to with: `h1`, `h2` (needs `tls`), `h2c` (HTTP/2 without TLS) or
    /// `auto` (by ALPN; needs `tls`). gRPC needs HTTP/2.
    #[serde(default)]
    pub protocol: UpstreamProtocol,
    /// Requests at once on one HTTP/2 connection to an endpoint, 1 to 1000; further ones open another connection.
    #[serde(default = "PoolSpec::default_h2_streams", deserialize_with = "whole::<1, 1000, _, _>")]
    #[schemars(range(min = 1, max = 1000))]
    pub h2_streams: u16,
    /// Whether each connection to an endpoint begins with a PROXY header that tells the client's address: `off`, `v1`
    /// or `v2`. Such connections serve one client's request and are not kept. Probes begin with one as well, which tells of
    /// nobody, unless `health.port` sends them elsewhere.
    #[serde(default)]
    pub send_proxy_protocol: SendProxyProtocol,
    /// How long each step towards an endpoint may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long connections to endpoints are kept for further requests.
    #[serde(default)]
    pub keepalive: UpstreamKeepalive,
}

impl PoolSpec {
    fn default_slow_start() -> Span {
        Span::from_secs(10)
    }

    fn default_panic() -> Percent {
        Percent::new(50)
    }

    fn default_max_requests() -> u32 {
        1024
    }

    fn default_h2_streams() -> u16 {
        100
    }
}

/// The name of a policy; its settings stay in the file until the policy that the name stands for reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceSpec {
    /// The name under which the policy is registered.
    pub policy: String,
}

impl Default for BalanceSpec {
    fn default() -> Self {
        Self { policy: "peak_ewma".to_owned() }
    }
}

impl<'de> Deserialize<'de> for BalanceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy =
            single_key(deserializer, "a policy's name, or a map of its name and its settings", true)?;
        Ok(Self { policy })
    }
}

impl JsonSchema for BalanceSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Balance".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "a policy's name, or `{ name: settings }`", "examples": ["peak_ewma"] })
    }
}
