use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::spec::ranges::{optional_span, span, whole};
use crate::config::spec::shapes::unordered;
use crate::config::spec::{HeaderNameSpec, NamedMap, Payload};
use crate::types::{HostPattern, Span, text_leaf};

/// So much of a body is searched for the text that a probe expects.
pub(crate) const PROBE_BODY: usize = 64 * 1024;

/// How endpoints are probed: exactly one of `http`, `tcp`, `tls`, `grpc` and `udp`, and when a result counts. A new
/// endpoint is probed at once, and gets no traffic before that.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// A request whose answer tells.
    #[serde(default)]
    pub http: Option<HttpCheckSpec>,
    /// A connection that is made and closed.
    #[serde(default)]
    pub tcp: Option<TcpCheckSpec>,
    /// A TLS handshake.
    #[serde(default)]
    pub tls: Option<TlsCheckSpec>,
    /// A call of the gRPC health service.
    #[serde(default)]
    pub grpc: Option<GrpcCheckSpec>,
    /// A datagram that has to be answered.
    #[serde(default)]
    pub udp: Option<UdpCheckSpec>,
    /// From one probe to the next, spread by ±10 %: 100ms to 1h. While results that contradict an endpoint's state are
    /// being counted, 1s at most.
    #[serde(default = "HealthSpec::default_interval", deserialize_with = "span::<100, 3_600_000, _>")]
    pub interval: Span,
    /// How long a probe may take: 10ms to 1m. Default: `interval`, but 500ms to 2s.
    #[serde(default, deserialize_with = "optional_span::<10, 60_000, _>")]
    pub timeout: Option<Span>,
    /// So many failed probes in a row make an endpoint unfit, 1 to 100.
    #[serde(default = "HealthSpec::default_fall", deserialize_with = "whole::<1, 100, _, _>")]
    #[schemars(range(min = 1, max = 100))]
    pub fall: u16,
    /// So many good probes in a row make it fit again, 1 to 100. The very first probe of an endpoint decides
    /// alone.
    #[serde(default = "HealthSpec::default_rise", deserialize_with = "whole::<1, 100, _, _>")]
    #[schemars(range(min = 1, max = 100))]
    pub rise: u16,
    /// The port that is probed. Default: the endpoint's own; Unix sockets have none.
    #[serde(default)]
    pub port: Option<std::num::NonZeroU16>,
}

impl HealthSpec {
    fn default_interval() -> Span {
        Span::from_secs(5)
    }

    fn default_fall() -> u16 {
        3
    }

    fn default_rise() -> u16 {
        2
    }
}

/// A probe by an HTTP/1.1 `GET`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpCheckSpec {
    /// The path and query that are asked for.
    #[serde(deserialize_with = "origin_form")]
    pub path: String,
    /// The `Host` that is asked for. Default: the endpoint's address.
    pub host: Option<HostPattern>,
    /// The statuses that count as good, single ones or ranges, of 200 and above; one at least.
    #[serde(deserialize_with = "final_statuses", serialize_with = "unordered")]
    pub expect: Vec<StatusRange>,
    /// A text that has to stand in the first 64 KiB of the body, besides a status that counts as good. Default: none.
    pub contains: Option<BodyText>,
    /// Further headers of the request, by name.
    pub headers: NamedMap<HeaderNameSpec, HeaderText>,
}

impl Default for HttpCheckSpec {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            host: None,
            expect: vec![StatusRange { first: 200, last: 299 }],
            contains: None,
            headers: NamedMap::default(),
        }
    }
}

/// Reads statuses that an answer can have in the end.
fn final_statuses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StatusRange>, D::Error> {
    let statuses = Vec::<StatusRange>::deserialize(deserializer)?;
    if statuses.is_empty() {
        return Err(D::Error::custom(
            "the list is empty, so that no probe could succeed; write one like 200-299",
        ));
    }
    match statuses.iter().find(|range| range.first < 200) {
        Some(range) => Err(D::Error::custom(format_args!(
            "`{range}` holds statuses below 200, which no answer has in the end; write one like 200-299"
        ))),
        None => Ok(statuses),
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
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpCheckSpec {}

/// A probe by a TLS handshake. The connection is closed after it, without a request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsCheckSpec {
    /// The name that is asked for and that the certificate has to be for; an IP address is not sent. Default: the
    /// endpoint's IP address, `localhost` for a Unix socket.
    pub sni: Option<HostPattern>,
    /// Whether the certificate has to be valid: for that name, at this time, and signed by an authority that this
    /// machine trusts. With `false` any certificate does, and the probe tells only that TLS is spoken.
    pub verify: bool,
}

impl Default for TlsCheckSpec {
    fn default() -> Self {
        Self { sni: None, verify: true }
    }
}

/// A probe by a call of `grpc.health.v1.Health/Check`, over HTTP/2 without TLS. Only the status `SERVING` is good.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcCheckSpec {
    /// The service that is asked about. Default: the server as a whole.
    pub service: String,
    /// The `:authority` that is asked for. Default: the endpoint's address.
    pub authority: Option<HostPattern>,
}

/// A probe by a datagram. Datagrams get lost, so it is sent again after one third and two thirds of `timeout` while
/// nothing was answered. The first answer decides, and a port that is reported closed (by ICMP) fails the probe at once.
/// Unix sockets cannot be probed so.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpCheckSpec {
    /// What is sent, 1 to 1200 bytes: a text in ASCII, or the bytes in hexadecimal digits as `{ hex: "1234 0100" }`.
    /// Escapes like `\n` count in a text between double quotes.
    pub send: Payload,
    /// What has to stand somewhere in the answer, written like `send`. Default: nothing; any answer is good.
    #[serde(default)]
    pub expect: Option<Payload>,
}

/// A text that a probe expects in a body, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyText(pub String);

/// A text that can never be found, or always.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBodyText {
    /// Every body contains it.
    #[error("the text is empty, and stands in every body; remove the key to accept all of them")]
    Empty,
    /// It does not fit into what is searched.
    #[error("the text has {0} bytes, and {PROBE_BODY} of a body are searched for it")]
    Long(usize),
}

impl FromStr for BodyText {
    type Err = InvalidBodyText;

    fn from_str(text: &str) -> Result<Self, InvalidBodyText> {
        match text.len() {
            0 => Err(InvalidBodyText::Empty),
            1..=PROBE_BODY => Ok(Self(text.to_owned())),
            length => Err(InvalidBodyText::Long(length)),
        }
    }
}

impl fmt::Display for BodyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(BodyText, "a text", "ready");

/// The value of a header that a probe sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText(pub HeaderValue);

/// A text that no header can have for a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a header's value; it is one line of visible ASCII characters, with no space around it")]
pub struct InvalidHeaderText(String);

impl FromStr for HeaderText {
    type Err = InvalidHeaderText;

    fn from_str(text: &str) -> Result<Self, InvalidHeaderText> {
        let value = if text.trim() == text { HeaderValue::from_str(text).ok() } else { None };
        value.map(Self).ok_or_else(|| InvalidHeaderText(text.escape_debug().to_string()))
    }
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Made from a text alone, so that nothing is lost.
        f.write_str(&String::from_utf8_lossy(self.0.as_bytes()))
    }
}

text_leaf!(HeaderText, "a header's value", "edge-1");

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
#[error(
    "`{0}` is not a status; write one like 200, a range like 200-299 or a class like 2xx, within 100 to 599"
)]
pub struct InvalidStatusRange(String);

impl FromStr for StatusRange {
    type Err = InvalidStatusRange;

    fn from_str(text: &str) -> Result<Self, InvalidStatusRange> {
        if let Some(class) = text.strip_suffix("xx") {
            return match class.parse() {
                Ok(class @ 1..=5) => Ok(Self { first: class * 100, last: class * 100 + 99 }),
                _ => Err(InvalidStatusRange(text.to_owned())),
            };
        }
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
