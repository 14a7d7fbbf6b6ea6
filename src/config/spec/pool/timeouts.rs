use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::spec::ranges::some_time;
use crate::types::Span;

/// How long each step towards an endpoint may take. A step that takes longer fails the attempt; when nothing
/// else is left to try the client gets 504.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect, and once more for a TLS handshake.
    #[serde(deserialize_with = "some_time")]
    pub connect: Span,
    /// For both together.
    #[serde(deserialize_with = "some_time")]
    pub handshake: Span,
    /// From the request's last byte to the answer's first.
    #[serde(deserialize_with = "some_time")]
    pub first_byte: Span,
    /// Between two pieces of the answer, and for each write to the endpoint.
    #[serde(deserialize_with = "some_time")]
    pub idle: Span,
    /// From the request's header to the answer's last byte, over all attempts; an answer that stalls shortly
    /// before may take up to `idle` longer. Not for upgrades, event streams and
    /// calls of gRPC without a deadline. `0` switches it off.
    pub total: Span,
    /// How long an upgraded connection (WebSocket) may be silent in both directions, and the endpoint in a call of gRPC,
    /// for which neither `first_byte` nor `idle` is.
    #[serde(deserialize_with = "some_time")]
    pub tunnel: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::from_secs(2),
            handshake: Span::from_secs(4),
            first_byte: Span::from_secs(30),
            idle: Span::from_secs(30),
            total: Span::from_secs(60),
            tunnel: Span::from_secs(3600),
        }
    }
}

/// How long connections to endpoints are kept for further requests.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamKeepalive {
    /// How long one may rest before it is closed. Shorter than what the endpoints keep.
    #[serde(deserialize_with = "some_time")]
    pub idle: Span,
}

impl Default for UpstreamKeepalive {
    fn default() -> Self {
        Self { idle: Span::from_secs(50) }
    }
}
