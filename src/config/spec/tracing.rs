use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{HttpUrl, Share, Span};

use super::ranges::{span, whole};
use super::{HeaderNameSpec, NamedMap, SecretSpec};

/// Spans of requests for OpenTelemetry, and which trace endpoints are told that a request belongs to. Without this key,
/// `traceparent` and `tracestate` pass as clients have sent them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracingSpec {
    /// Where spans go: the URL of a collector that takes OTLP over HTTP in protobuf. One without a path stands for
    /// `/v1/traces` there.
    pub to: HttpUrl,
    /// The authorities that may vouch for the collector of an `https:` URL, in PEM; read again when it changes. Default: those
    /// that this machine trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Headers for the collector, such as a token.
    #[serde(default)]
    pub headers: NamedMap<HeaderNameSpec, SecretSpec>,
    /// How many of the traces that begin here are recorded. Whoever is believed (`trust`) and has begun a trace decides about
    /// the requests in it.
    #[serde(default = "TracingSpec::default_sample")]
    pub sample: Share,
    /// Whose `traceparent` and `tracestate` count. From others they are dropped, and their requests begin traces of their own.
    #[serde(default)]
    pub trust: TraceTrust,
    /// The name under which spans are found: `service.name`.
    #[serde(default = "TracingSpec::default_service")]
    pub service: String,
    /// What else is told of this process, by the names of OpenTelemetry's semantic conventions:
    /// `deployment.environment.name: production`.
    #[serde(default)]
    pub resource: NamedMap<String, String>,
    /// How long the collector has to take spans, 100ms to 1m. They are sent again where it does not, 1 s later at first, and 30 s
    /// later at most.
    #[serde(default = "TracingSpec::default_timeout", deserialize_with = "span::<100, 60_000, _>")]
    pub timeout: Span,
    /// How long spans are gathered before they are sent, 100ms to 1m; 512 are sent at once.
    #[serde(default = "TracingSpec::default_every", deserialize_with = "span::<100, 60_000, _>")]
    pub every: Span,
    /// How many spans wait for the collector, 512 to 1000000; those of further requests are dropped and counted. One takes about
    /// 1 KiB.
    #[schemars(range(min = 512, max = 1_000_000))]
    #[serde(default = "TracingSpec::default_max_queue", deserialize_with = "whole::<512, 1_000_000, _, _>")]
    pub max_queue: u32,
}

/// Whose word on traces counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceTrust {
    /// That of the `trusted_proxies` of the server.
    #[default]
    Proxies,
    /// Everybody's: any client can have its requests recorded, as many as it likes.
    Anybody,
}

impl TracingSpec {
    fn default_sample() -> Share {
        Share::percent(1)
    }

    fn default_service() -> String {
        "evener".to_owned()
    }

    fn default_timeout() -> Span {
        Span::from_secs(10)
    }

    fn default_every() -> Span {
        Span::from_secs(5)
    }

    fn default_max_queue() -> u32 {
        8192
    }
}
