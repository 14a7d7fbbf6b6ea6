use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{BindAddr, ByteRate, ByteSize, Span};

use super::ranges::{size, some_time, whole};
use super::shapes::unordered;
use super::{ListenerTlsSpec, OneOrMany, ProxyProtocolSpec, RedirectHttpsSpec, TcpSpec, UdpSpec};

/// A set of addresses on which clients are served in one way.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerSpec {
    /// Where to accept: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`; one, or a list.
    pub bind: OneOrMany<BindAddr>,
    /// TLS, which ends here. Default: none.
    #[serde(default)]
    pub tls: Option<ListenerTlsSpec>,
    /// Sends every request to the same URL with `https:`, and serves nothing else: `true`, or a map. Routes are not
    /// asked, so that no route can be forgotten.
    #[serde(default)]
    pub redirect_https: RedirectHttpsSpec,
    /// Whether connections begin with a PROXY header, version 1 or 2, that tells the client's address. Default: off.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocolSpec>,
    /// How HTTP is spoken, which is what a listener does that has neither `tcp` nor `udp`.
    #[serde(default)]
    pub http: HttpSpec,
    /// Passes TCP connections on, whatever is spoken on them.
    #[serde(default)]
    pub tcp: Option<TcpSpec>,
    /// Passes UDP datagrams on.
    #[serde(default)]
    pub udp: Option<UdpSpec>,
    /// What one client, and all of them together, may take.
    #[serde(default)]
    pub limits: Limits,
}

/// How HTTP is spoken on a listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSpec {
    /// The versions that are served. `h2` on a listener without TLS is h2c by prior knowledge. Default: both.
    #[serde(serialize_with = "unordered")]
    pub versions: Vec<HttpVersion>,
    /// Requests at once on one h2 connection, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(deserialize_with = "whole::<1, 1000, _, _>")]
    pub h2_streams: u32,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpVersion {
    /// HTTP/1.0 and HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}

impl Default for HttpSpec {
    fn default() -> Self {
        Self { versions: vec![HttpVersion::H1, HttpVersion::H2], h2_streams: 100 }
    }
}

/// What one client, and all of them together, may take from a listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once on this listener. Default: `server.connections`.
    #[schemars(range(min = 1))]
    pub connections: Option<NonZeroU32>,
    /// Connections at once from one client.
    #[schemars(range(min = 1))]
    pub per_client: NonZeroU32,
    /// Limits of a request's header.
    pub header: HeaderLimits,
    /// Limits of a request's body.
    pub body: BodyLimits,
    /// How long and how often a connection may be used again.
    pub keepalive: KeepaliveLimits,
    /// How long a TLS handshake, and a PROXY header before it, may take; a connection that takes longer is closed. On a
    /// listener with `tcp` that has places by `sni` also how long a client's first message may take.
    #[serde(deserialize_with = "some_time")]
    pub handshake: Span,
    /// How long sending to a client may make no progress at all before its connection is closed.
    #[serde(deserialize_with = "some_time")]
    pub send_idle: Span,
}

/// Limits of a request's header.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderLimits {
    /// The whole header, request line included: 1KiB to 1MiB; more is answered with 431, and with 414 when
    /// the request line alone is longer than a quarter of it.
    #[serde(deserialize_with = "size::<1, 1024, _>")]
    pub size: ByteSize,
    /// Header fields, 1 to 200; more are answered with 431.
    #[schemars(range(min = 1, max = 200))]
    #[serde(deserialize_with = "whole::<1, 200, _, _>")]
    pub count: u16,
    /// From the first byte of a header to its last; a client that takes longer is answered with 408 on HTTP/1, and cut
    /// off on HTTP/2. A connection that says nothing at all is closed after the same time, which is also that for the
    /// greeting of HTTP/2.
    #[serde(deserialize_with = "some_time")]
    pub timeout: Span,
}

/// Limits of a request's body.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodyLimits {
    /// The longest body; more is answered with 413. For a call of gRPC the longest message; the other two limits are not
    /// for calls.
    pub size: ByteSize,
    /// How long the client may pause within a body before it is answered with 408.
    #[serde(deserialize_with = "some_time")]
    pub idle: Span,
    /// The slowest pace over the whole of a body, after its first five seconds. `0` switches it off.
    pub min_rate: ByteRate,
}

/// How long and how often a connection may be used again.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepaliveLimits {
    /// How long a connection may rest between two requests.
    #[serde(deserialize_with = "some_time")]
    pub idle: Span,
    /// Requests on one HTTP/1 connection.
    #[schemars(range(min = 1))]
    pub requests: NonZeroU32,
    /// The age at which a connection is closed after its running requests.
    #[serde(deserialize_with = "some_time")]
    pub age: Span,
}

const DEFAULT_PER_CLIENT: NonZeroU32 = NonZeroU32::new(512).unwrap();
const DEFAULT_REQUESTS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            per_client: DEFAULT_PER_CLIENT,
            header: HeaderLimits::default(),
            body: BodyLimits::default(),
            keepalive: KeepaliveLimits::default(),
            handshake: Span::from_secs(5),
            send_idle: Span::from_secs(30),
        }
    }
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { size: ByteSize::from_kib(32), count: 100, timeout: Span::from_secs(10) }
    }
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { size: ByteSize::from_mib(10), idle: Span::from_secs(30), min_rate: ByteRate::from_kib(1) }
    }
}

impl Default for KeepaliveLimits {
    fn default() -> Self {
        Self { idle: Span::from_secs(75), requests: DEFAULT_REQUESTS, age: Span::from_secs(3600) }
    }
}
