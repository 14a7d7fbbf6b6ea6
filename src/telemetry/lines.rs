use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

/// What the log tells of one request. Keys without a value are left out.
#[derive(Debug, Serialize)]
pub(crate) struct AccessLine<'a> {
    pub time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// The trace that the request is of, where traces are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Its span there, where it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub listener: &'a str,
    pub protocol: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub target: &'a str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    /// How a call of gRPC ended, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u16>,
    /// What a rate limit did to the request, if it came too fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<&'a str>,
    /// What `waf` found in the request, if it found anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waf: Option<WafFinding<'a>>,
    /// What the cache did, if the route has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub attempts: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub ms: Timings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<&'a str>,
}

/// What rules have found in a request.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct WafFinding<'a> {
    pub verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<u32>,
    pub rules: &'a [u32],
}

/// How long the phases of a request took, in milliseconds. A phase that was not reached is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Timings {
    /// From the header's end to the filters' end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Millis>,
    /// From there to a connection to an endpoint, over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Millis>,
    /// From there to the head of the endpoint's response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Millis>,
    /// From the header's end to the response's last byte.
    pub total: Millis,
}

/// A duration that is written as milliseconds with three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Millis(pub Duration);

impl Millis {
    /// The time from one moment to another; `None` where one of them never came.
    pub(crate) fn between(from: Option<Instant>, to: Option<Instant>) -> Option<Self> {
        Some(Self(to?.saturating_duration_since(from?)))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_micros() as f64 / 1000.0)
    }
}

/// What the log tells of one connection, or one flow of datagrams, that was passed on. Keys without a value are left out.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectionLine<'a> {
    pub time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client: String,
    pub listener: &'a str,
    /// `TCP` or `UDP`.
    pub protocol: &'a str,
    /// The server name (SNI) that the client asked for, where that was looked at.
    #[serde(rename = "sni", skip_serializing_if = "Option::is_none")]
    pub server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub attempts: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams_out: Option<u64>,
    /// How it ended, or why it never began.
    pub ended: &'a str,
    /// Who ended it first: `client`, `endpoint` or `edge`.
    pub closed_by: &'a str,
    pub ms: ConnectionTimings,
}

/// How long the phases of a connection took, in milliseconds. A phase that was not reached is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ConnectionTimings {
    /// From the client's connection to one to an endpoint, over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Millis>,
    /// From there to the endpoint's first byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Millis>,
    /// From the client's connection to its end.
    pub total: Millis,
}

/// When something began that has taken so long, as lines tell it (RFC 3339).
pub(crate) fn started(ago: Duration) -> String {
    humantime::format_rfc3339_millis(SystemTime::now() - ago).to_string()
}
