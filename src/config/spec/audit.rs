use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{closest, text_leaf};

use super::NamedMap;
use super::shapes::text_or_map;

/// What `evener audit` takes as it is. Nothing else goes by it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSpec {
    /// Deviations from the secure profile that are meant, by the rule that finds them (docs/audit.md), each with its reason:
    /// `- plain-http: the balancer in front ends TLS`, or `- plain-http: { at: listeners.web, reason: … }` for one place
    /// and all inside of it alone. A route is named by its number or its name, `routes.api`.
    pub accept: Vec<NamedMap<AuditRule, AcceptSpec>>,
}

/// Why a deviation is meant, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptSpec {
    /// The only place where it is; `None` for everywhere.
    pub at: Option<String>,
    /// Why.
    pub reason: AuditReason,
}

/// Where, and why, a deviation is meant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcceptMap {
    /// The place, as `evener audit` tells it. Default: everywhere.
    #[serde(default)]
    at: Option<String>,
    /// Why it is meant.
    reason: AuditReason,
}

/// Words that give a reason; not none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReason(pub String);

/// A reason without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no reason; say in a few words why the deviation is meant")]
pub struct NoReason;

impl FromStr for AuditReason {
    type Err = NoReason;

    fn from_str(text: &str) -> Result<Self, NoReason> {
        if text.trim().is_empty() { Err(NoReason) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Display for AuditReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(AuditReason, "a reason", "the balancer in front ends TLS");

impl FromStr for AcceptSpec {
    type Err = NoReason;

    fn from_str(text: &str) -> Result<Self, NoReason> {
        Ok(Self { at: None, reason: text.parse()? })
    }
}

impl From<AcceptMap> for AcceptSpec {
    fn from(AcceptMap { at, reason }: AcceptMap) -> Self {
        Self { at, reason }
    }
}

impl<'de> Deserialize<'de> for AcceptSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, AcceptMap, _>(deserializer, "a reason, or `{ at: PLACE, reason: TEXT }`")
    }
}

impl JsonSchema for AcceptSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Accept".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "title": "a reason, or `{ at: PLACE, reason: TEXT }`",
            "examples": ["the balancer in front ends TLS"],
        })
    }
}

/// A text that is the name of no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule of `evener audit` is named `{found}`{}", .meant.map(|rule| format!("; did you mean `{rule}`?")).unwrap_or_default())]
pub struct UnknownRule {
    found: String,
    meant: Option<&'static str>,
}

macro_rules! audit_rules {
    ($($rule:ident $name:literal)*) => {
        /// A rule of `evener audit`, by its name. What each says stands in `crate::audit`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AuditRule { $(#[doc = $name] $rule,)* }

        impl AuditRule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// The name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }
        }
    };
}

audit_rules! {
    PlainHttp "plain-http"
    NoHttpsRedirect "no-https-redirect"
    NoHsts "no-hsts"
    HstsShort "hsts-short"
    ClientCertOptional "client-cert-optional"
    TicketRotation "ticket-rotation"
    CertificateExpires "certificate-expires"
    CertificateRenewal "certificate-renewal"
    CertificateWeakKey "certificate-weak-key"
    CertificateWeakSignature "certificate-weak-signature"
    UpstreamUnverified "upstream-unverified"
    UpstreamPlain "upstream-plain"
    StorePlain "store-plain"
    JwksCleartext "jwks-cleartext"
    TrustedAnyone "trusted-anyone"
    TrustedPublic "trusted-public"
    ProxyHeaderAnyone "proxy-header-anyone"
    ProxyHeaderPublic "proxy-header-public"
    AllowAnyone "allow-anyone"
    PurgeAnyone "purge-anyone"
    TracesAnybody "traces-anybody"
    InlineSecret "inline-secret"
    WeakSecret "weak-secret"
    SecretReadable "secret-readable"
    ConfigWritable "config-writable"
    Connections "connections"
    PerClient "per-client"
    Ipv6Prefix "ipv6-prefix"
    HeaderSize "header-size"
    HeaderCount "header-count"
    BodySize "body-size"
    BodyRate "body-rate"
    H2Streams "h2-streams"
    KeepaliveRequests "keepalive-requests"
    KeepaliveAge "keepalive-age"
    EndpointRequests "endpoint-requests"
    QueueSize "queue-size"
    UdpFlows "udp-flows"
    HeaderTimeout "header-timeout"
    BodyIdle "body-idle"
    SendIdle "send-idle"
    HandshakeTimeout "handshake-timeout"
    KeepaliveIdle "keepalive-idle"
    TcpIdle "tcp-idle"
    TcpConnect "tcp-connect"
    UdpIdle "udp-idle"
    ConnectTimeout "connect-timeout"
    UpstreamHandshake "upstream-handshake"
    FirstByte "first-byte"
    UpstreamIdle "upstream-idle"
    TotalTimeout "total-timeout"
    TunnelIdle "tunnel-idle"
    UpstreamKeepalive "upstream-keepalive"
    QueueTimeout "queue-timeout"
    NoHealthCheck "no-health-check"
    SlowHealthCheck "slow-health-check"
    ProbeUnverified "probe-unverified"
    OutlierOff "outlier-off"
    OutlierLax "outlier-lax"
    PanicOff "panic-off"
    SlowStartOff "slow-start-off"
    RetryAttempts "retry-attempts"
    RetryBudget "retry-budget"
    AdminOpen "admin-open"
    AdminUnencrypted "admin-unencrypted"
    AdminAnonymous "admin-anonymous"
    NoAuditLog "no-audit-log"
    NoMetrics "no-metrics"
    ControlSocketFolder "control-socket-folder"
    AccessLogOff "access-log-off"
    DebugLog "debug-log"
    RedactExcept "redact-except"
    SyslogPlain "syslog-plain"
    TracesPlain "traces-plain"
    NoRateLimit "no-rate-limit"
    RateLimitDryRun "rate-limit-dry-run"
    RateLimitForgeable "rate-limit-forgeable"
    RateLimitFailsOpen "rate-limit-fails-open"
    CorsAnyOrigin "cors-any-origin"
    CorsBroadCredentials "cors-broad-credentials"
    WafDetect "waf-detect"
    WafPass "waf-pass"
    JwtAudience "jwt-audience"
    JwtIssuer "jwt-issuer"
    JwtExpiry "jwt-expiry"
    JwtLeeway "jwt-leeway"
    CredentialInQuery "credential-in-query"
    CredentialForwarded "credential-forwarded"
    CacheShared "cache-shared"
    CacheForced "cache-forced"
    CacheClientDirectives "cache-client-directives"
    FaultForAll "fault-for-all"
    MirrorWrites "mirror-writes"
    GeoUnknown "geo-unknown"
    SecurityHeaderOff "security-header-off"
    FilesHidden "files-hidden"
}

impl FromStr for AuditRule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let known = Self::ALL.iter().copied().find(|rule| rule.as_str() == text);
        known.ok_or_else(|| UnknownRule {
            found: text.to_owned(),
            meant: closest(text, Self::ALL.iter().map(|rule| rule.as_str())),
        })
    }
}

impl fmt::Display for AuditRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_leaf!(AuditRule, "a rule's name", "plain-http");
