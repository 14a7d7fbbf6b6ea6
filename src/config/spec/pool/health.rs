use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::config::spec::ranges::{span, whole};
use crate::types::{HostPattern, Span, text_leaf};

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
