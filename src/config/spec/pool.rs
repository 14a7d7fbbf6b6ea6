use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::types::{EndpointAddr, HostPattern, InvalidAddress, Span, Weight, text_leaf};

use super::ranges::{some_time, span, whole};
use super::shapes::{single_key, text_or_map};

/// A set of endpoints that serve the same, and how one of them is chosen.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// How an endpoint is chosen: `p2c` (the less loaded of two random ones; pools of three or fewer are
    /// compared whole), `round_robin` (in turns, smoothly by weight), `least_requests` (the least loaded of
    /// all), `random` (by weight alone), or a policy that the program registered. Default: `p2c`.
    #[serde(default)]
    pub balance: BalanceSpec,
    /// The members, each an address or a map. At least one.
    pub endpoints: Vec<EndpointSpec>,
    /// How endpoints are probed. Default: not at all; all count as fit.
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// How long each step towards an endpoint may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long connections to endpoints are kept for further requests.
    #[serde(default)]
    pub keepalive: UpstreamKeepalive,
}

/// The name of a policy; its settings stay in the file until the policy that the name stands for reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSpec {
    /// The name under which the policy is registered.
    pub policy: String,
}

impl Default for BalanceSpec {
    fn default() -> Self {
        Self { policy: "p2c".to_owned() }
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
        json_schema!({ "type": "string", "title": "a policy's name, or `{ name: settings }`", "examples": ["p2c"] })
    }
}

/// A member of a pool: its address, or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Where it answers: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    pub address: EndpointAddr,
    /// Its share, relative to the others.
    pub weight: Weight,
}

/// A member of a pool, written as a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointMap {
    /// Where it answers: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    address: EndpointAddr,
    /// Its share of the pool, relative to the others: 1 to 1000. Default: 1.
    #[serde(default)]
    weight: Weight,
}

impl From<EndpointMap> for EndpointSpec {
    fn from(map: EndpointMap) -> Self {
        Self { address: map.address, weight: map.weight }
    }
}

impl FromStr for EndpointSpec {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Ok(Self { address: text.parse()?, weight: Weight::default() })
    }
}

impl<'de> Deserialize<'de> for EndpointSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, EndpointMap, _>(
            deserializer,
            "an address like 10.0.0.7:8080, or a map with `address`",
        )
    }
}

impl JsonSchema for EndpointSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        EndpointMap::json_schema(generator)
    }
}

/// How endpoints are probed: exactly one of `http` and `tcp`, and when a result counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// A request whose answer tells.
    #[serde(default)]
    pub http: Option<HttpCheckSpec>,
    /// A connection that is made and closed.
    #[serde(default)]
    pub tcp: Option<TcpCheckSpec>,
    /// From one probe to the next, spread by ±10 %: 100ms to 1h.
    #[serde(default = "HealthSpec::default_interval", deserialize_with = "span::<100, 3_600_000, _>")]
    pub interval: Span,
    /// How long a probe may take: 10ms to 1m.
    #[serde(default = "HealthSpec::default_timeout", deserialize_with = "span::<10, 60_000, _>")]
    pub timeout: Span,
    /// So many failed probes in a row make an endpoint unfit, 1 to 100.
    #[serde(default = "HealthSpec::default_fall", deserialize_with = "whole::<1, 100, _, _>")]
    #[schemars(range(min = 1, max = 100))]
    pub fall: u16,
    /// So many good probes in a row make it fit again, 1 to 100. The very first probe of an endpoint decides
    /// alone.
    #[serde(default = "HealthSpec::default_rise", deserialize_with = "whole::<1, 100, _, _>")]
    #[schemars(range(min = 1, max = 100))]
    pub rise: u16,
    /// The port that is probed. Default: the endpoint's own.
    #[serde(default)]
    pub port: Option<std::num::NonZeroU16>,
}

impl HealthSpec {
    fn default_interval() -> Span {
        Span::from_secs(5)
    }

    fn default_timeout() -> Span {
        Span::from_secs(2)
    }

    fn default_fall() -> u16 {
        3
    }

    fn default_rise() -> u16 {
        2
    }
}

/// A probe by an HTTP/1.1 `GET`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpCheckSpec {
    /// The path and query that are asked for.
    #[serde(deserialize_with = "origin_form")]
    pub path: String,
    /// The `Host` that is asked for. Default: the endpoint's address.
    pub host: Option<HostPattern>,
    /// The statuses that count as good, single ones or ranges.
    pub expect: Vec<StatusRange>,
}

impl Default for HttpCheckSpec {
    fn default() -> Self {
        Self { path: "/".to_owned(), host: None, expect: vec![StatusRange { first: 200, last: 299 }] }
    }
}

/// Reads a request target in origin form (RFC 9112 §3.2.1).
fn origin_form<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let target = String::deserialize(deserializer)?;
    let fail = |reason| Err(D::Error::custom(format_args!("`{target}` is not a path; {reason}")));
    if !target.starts_with('/') {
        return fail("it starts with `/`");
    }
    if target.contains('#') {
        return fail("it has no fragment");
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic())
        || target.parse::<http::uri::PathAndQuery>().is_err()
    {
        return fail("spaces and characters outside of RFC 3986 are written percent-encoded");
    }
    Ok(target)
}

/// A probe by a TCP connection. It has no settings: `tcp: {}`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpCheckSpec {}

/// Statuses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest that counts, 100 to 599.
    pub first: u16,
    /// The highest that counts, `first` to 599.
    pub last: u16,
}

impl StatusRange {
    /// Whether `status` lies within.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// A text that is no status and no range of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status; write one like 200, or a range like 200-299, within 100 to 599")]
pub struct InvalidStatusRange(String);

impl FromStr for StatusRange {
    type Err = InvalidStatusRange;

    fn from_str(text: &str) -> Result<Self, InvalidStatusRange> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if 100 <= first && first <= last && last <= 599 => Ok(Self { first, last }),
            _ => Err(InvalidStatusRange(text.to_owned())),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

text_leaf!(StatusRange, "a status or range", "200-299");

/// How long each step towards an endpoint may take. A step that takes longer fails the attempt; when nothing
/// else is left to try the client gets 504.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect.
    #[serde(deserialize_with = "some_time")]
    pub connect: Span,
    /// From the request's last byte to the answer's first.
    #[serde(deserialize_with = "some_time")]
    pub first_byte: Span,
    /// Between two pieces of the answer, and for each write to the endpoint.
    #[serde(deserialize_with = "some_time")]
    pub idle: Span,
    /// From the request's header to the answer's last byte, over all attempts; an answer that stalls shortly
    /// before may take up to `idle` longer. Not for upgrades and event streams. `0` switches it off.
    pub total: Span,
    /// How long an upgraded connection (WebSocket) may be silent in both directions.
    #[serde(deserialize_with = "some_time")]
    pub tunnel: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::from_secs(2),
            first_byte: Span::from_secs(30),
            idle: Span::from_secs(30),
            total: Span::from_secs(60),
            tunnel: Span::from_secs(3600),
        }
    }
}

/// How long connections to endpoints are kept for further requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
