//! The configuration as it is written: one struct per concept, leaves that check themselves.
//!
//! The doc comments here are the reference that `evener reference` prints. A key that is not listed is an error.

mod admin;
mod audit;
mod cache;
mod error_pages;
mod files;
mod http_leaves;
mod include;
mod key;
mod l4;
mod listener;
mod listener_tls;
mod log;
mod matching;
mod pool;
mod proxy_protocol;
mod ranges;
mod redirect_https;
mod route;
mod secret;
mod server;
mod shapes;
mod split;
mod store;
mod time_limit;
mod tracing;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{ListenerName, PoolName};

pub use admin::{AdminLimits, AdminSpec, Anonymous, ReadySpec, TokenScope, TokenSpec};
pub use audit::{AcceptSpec, AuditReason, AuditRule, AuditSpec, NoReason, UnknownRule};
pub use cache::{CacheDiskSpec, CacheLockSpec, CacheRefreshSpec, CacheSpec};
pub(crate) use error_pages::PageForm;
pub use error_pages::{ErrorPagesSpec, ErrorStatus, InvalidErrorStatus, PageFiles};
pub use files::{
    FileCoding, FileExtension, FileName, FilesSpec, InvalidFileExtension, InvalidFileName, InvalidMediaType,
    InvalidSitePath, MediaType, SitePath, Symlinks,
};
pub use http_leaves::{HeaderNameSpec, MethodSpec, StatusSpec};
pub use include::IncludePath;
pub use key::{InvalidKey, InvalidPartName, KeySpec, PartName};
pub use l4::{AlpnName, SniTarget, TcpSpec, UdpSpec};
pub use listener::{BodyLimits, HeaderLimits, HttpSpec, HttpVersion, KeepaliveLimits, Limits, ListenerSpec};
pub use listener_tls::{
    CertificateSpec, ClientAuthMode, ClientAuthSpec, HostTlsSpec, ListenerTlsSpec, TicketsSpec, UnknownSni,
};
pub use log::{
    AccessFormat, AccessSink, AccessSpec, ClientShown, EmptyPath, InvalidAccessFormat, InvalidLogLevel,
    InvalidParameterName, InvalidRouteLog, InvalidSyslogAddr, InvalidSyslogTag, JournaldSpec, LogLevel,
    LogSpec, ParameterName, RedactSpec, RouteLogMap, RouteLogSpec, SampleSpec, SyslogAddr, SyslogFacility,
    SyslogSpec, SyslogTag,
};
pub use matching::{PathSpec, RegexSpec, ValueSpec};
pub use pool::{
    BalanceSpec, BodyText, CookieName, CookiePath, EndpointSpec, GrpcCheckSpec, HeaderText, HealthSpec,
    HttpCheckSpec, OutlierLimits, OutlierSpec, Payload, PoolSpec, PoolTls, PoolTlsSpec, QueueSpec, RetryOn,
    RetrySpec, SameSite, SendProxyProtocol, ServerNameSpec, StatusRange, StickySpec, TcpCheckSpec, Timeouts,
    TlsCheckSpec, UdpCheckSpec, UpstreamKeepalive, UpstreamProtocol,
};
pub(crate) use pool::{PROBE_BODY, show_payload};
pub use proxy_protocol::ProxyProtocolSpec;
pub use redirect_https::{HttpsPort, RedirectHttpsSpec};
pub use route::{ActionSpec, FilterSpec, MatchSpec, RedirectSpec, RespondSpec, RouteSpec};
pub(crate) use secret::read_secret;
pub use secret::{InvalidSecret, SecretSpec};
pub use server::{ClientIdSpec, ControlSocket, DrainSpec, ServerSpec, TrustedProxy};
pub(crate) use shapes::text_or_map;
pub use shapes::{NamedMap, OneOrMany};
pub use split::{CanarySpec, SplitCookieSpec, SplitPoolSpec, SplitSpec};
pub use store::StoreSpec;
pub use time_limit::{InvalidTimeLimit, TimeLimit};
pub use tracing::{TraceTrust, TracingSpec};

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What concerns the process as a whole.
    #[serde(default)]
    pub server: ServerSpec,
    /// Where clients connect, by name. At least one.
    #[serde(default)]
    pub listeners: NamedMap<ListenerName, ListenerSpec>,
    /// The fleets behind the edge, by name.
    #[serde(default)]
    pub pools: NamedMap<PoolName, PoolSpec>,
    /// What happens to which request. The order in the file matters only between routes that are equally
    /// specific: host, then path, then number of conditions decide first.
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    /// What is logged, and where to.
    #[serde(default)]
    pub log: LogSpec,
    /// Where the process tells how it does, over HTTP. Default: nowhere.
    #[serde(default)]
    pub admin: Option<AdminSpec>,
    /// Spans of requests, for OpenTelemetry. Default: none.
    #[serde(default)]
    pub tracing: Option<TracingSpec>,
    /// What `evener audit` takes as it is.
    #[serde(default)]
    pub audit: AuditSpec,
    /// Files that add their `listeners`, `pools` and `routes`, the only keys that they may have, to those of this one. Routes
    /// come behind those that are there. Paths are relative to this file, in the included ones too. `*` (any characters)
    /// and `?` (a single one) in the last part stand for all files there, in alphabetical order, except hidden ones.
    // What it brings counts, and not the way in which it does.
    #[serde(default, skip_serializing)]
    pub include: Option<OneOrMany<IncludePath>>,
}
