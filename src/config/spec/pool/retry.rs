use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::spec::TimeLimit;
use crate::config::spec::ranges::{percent, some_time, whole};
use crate::config::spec::shapes::OneOrMany;
use crate::types::{Percent, Span, text_leaf};

use super::health::StatusRange;

/// Whether a request that failed at one endpoint is sent to another.
///
/// A request of which nothing was sent is always safe to repeat. Any other is repeated only if its method is
/// idempotent (RFC 9110 §9.2.2), nothing of an answer went to the client, and its body is at most 64 KiB. An
/// endpoint that was tried is tried again only where no other is fit.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySpec {
    /// Further attempts after the first, 0 to 10.
    #[serde(deserialize_with = "whole::<0, 10, _, _>")]
    #[schemars(range(min = 0, max = 10))]
    pub attempts: u8,
    /// After which failures: `connect` (no connection could be made), `refused_stream` (an endpoint that speaks
    /// HTTP/2 did not begin with it), `reset` (the connection broke before the answer), `timeout` (no answer in time),
    /// `5xx`, statuses like `503` or `502-504`, or `grpc_unavailable` (a call of gRPC that ends with UNAVAILABLE before any
    /// message; such calls are repeated although their method, POST, is not idempotent).
    pub on: OneOrMany<RetryOn>,
    /// How long one attempt may wait for its answer, when another could follow. `none` or a duration.
    pub per_try: TimeLimit,
    /// So large a share of the pool's requests in flight may be retries, 0% to 100%. Connections that could not be
    /// made are not counted: they cost the endpoints nothing.
    #[serde(deserialize_with = "percent::<0, 100, _>")]
    pub budget: Percent,
    /// So many retries at once are allowed whatever the share, 0 to 1000.
    #[serde(deserialize_with = "whole::<0, 1000, _, _>")]
    #[schemars(range(min = 0, max = 1000))]
    pub budget_min: u32,
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self {
            attempts: 1,
            on: OneOrMany::from_list([RetryOn::Connect, RetryOn::RefusedStream]),
            per_try: TimeLimit(None),
            budget: Percent::new(20),
            budget_min: 3,
        }
    }
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The endpoint refused the stream before it began with it (RFC 9113 §8.7).
    RefusedStream,
    /// The connection broke before the head of the answer.
    Reset,
    /// The head of the answer did not come in time.
    Timeout,
    /// A call of gRPC ended with UNAVAILABLE before any message.
    GrpcUnavailable,
    /// An answer with such a status, 400 to 599.
    Status(StatusRange),
}

/// A text that is no kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing to retry on; write connect, refused_stream, reset, timeout, grpc_unavailable, 5xx, or a status or range of 400 to 599"
)]
pub struct InvalidRetryOn(String);

impl FromStr for RetryOn {
    type Err = InvalidRetryOn;

    fn from_str(text: &str) -> Result<Self, InvalidRetryOn> {
        match text {
            "connect" => Ok(Self::Connect),
            "refused_stream" => Ok(Self::RefusedStream),
            "reset" => Ok(Self::Reset),
            "timeout" => Ok(Self::Timeout),
            "grpc_unavailable" => Ok(Self::GrpcUnavailable),
            _ => match text.parse() {
                Ok(range @ StatusRange { first: 400.., .. }) => Ok(Self::Status(range)),
                _ => Err(InvalidRetryOn(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::RefusedStream => f.write_str("refused_stream"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::GrpcUnavailable => f.write_str("grpc_unavailable"),
            Self::Status(range) => range.fmt(f),
        }
    }
}

text_leaf!(RetryOn, "a kind of failure", "connect");

/// Where requests wait while every fit endpoint has as many as it may; the oldest goes first.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSpec {
    /// So many requests may wait, 0 to 65536; further ones get 503.
    #[serde(deserialize_with = "whole::<0, 65_536, _, _>")]
    #[schemars(range(min = 0, max = 65_536))]
    pub size: u32,
    /// A request that waited for so long gets 503.
    #[serde(deserialize_with = "some_time")]
    pub timeout: Span,
}

impl Default for QueueSpec {
    fn default() -> Self {
        Self { size: 256, timeout: Span::from_secs(1) }
    }
}

/// Reads how many requests an endpoint may have in flight.
pub(super) fn max_requests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    whole::<1, 1_000_000, _, _>(deserializer)
}
