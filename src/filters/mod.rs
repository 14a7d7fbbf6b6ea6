//! The built-in filters, written on the public traits of [`crate::hooks`]: what they can do, a hook can do.
//!
//! | name | struct | does |
//! |---|---|---|
//! | `adaptive_concurrency` | [`AdaptiveConcurrency`] | refuses requests that would only wait, by a limit that it learns |
//! | `allow`, `deny` | [`Networks`] | let clients in, or keep them out, by their network |
//! | `api_key` | [`ApiKey`] | lets clients in by a key, and tells endpoints whose it is |
//! | `bandwidth` | [`Bandwidth`] | lets bodies and tunnels pass no faster than a rate |
//! | `basic_auth` | [`BasicAuth`] | lets clients in by a password |
//! | `client_cert` | [`RequireClientCert`] | lets clients in by their certificate |
//! | `compress` | [`Compress`] | sends answers in fewer bytes to clients that take them so |
//! | `concurrency` | [`Concurrency`] | refuses or delays requests while as many are under way as may be, per key |
//! | `cors` | [`Cors`] | tells browsers which other sites' pages may use a route |
//! | `decompress` | [`Decompress`] | takes codings off that clients or filters cannot read |
//! | `error_pages` | [`ErrorPages`] | puts pages of one's own in the place of the edge's errors |
//! | `forward_auth` | [`ForwardAuth`] | asks another service whether a request may pass |
//! | `fault` | [`Fault`] | makes requests slow, or fail, on purpose |
//! | `geo` | [`Geo`] | lets clients in, or keeps them out, by their country |
//! | `body` | [`BodyLimit`] | lets requests have smaller bodies than their listener does |
//! | `cache` | [`CacheFilter`] | gives stored answers, and stores those that may be |
//! | `grpc_web` | [`GrpcWeb`] | lets browsers call gRPC |
//! | `hedge` | [`Hedge`] | asks another endpoint too where the first one takes long |
//! | `hsts` | [`Hsts`] | tells browsers to come over TLS only |
//! | `jwt` | [`Jwt`] | lets clients in by a token that an issuer has signed |
//! | `mirror` | [`Mirror`] | sends copies of requests to another pool |
//! | `rate_limit` | [`RateLimit`] | refuses or delays requests that come faster than a rate, per key |
//! | `request_headers` | [`RequestHeaders`] | removes, sets and adds headers on the way to the endpoint |
//! | `response_headers` | [`ResponseHeaders`] | the same on the way to the client |
//! | `rewrite` | [`Rewrite`] | changes the path or the `Host` that is forwarded |
//! | `security_headers` | [`SecurityHeaders`] | tells browsers what pages may do |
//! | `timeout` | [`Timeout`] | gives requests less time than their pool does |
//! | `waf` | [`Waf`] | has libmodsecurity judge requests by rules |
//!
//! Each comes with its settings, a struct that is read from the configuration, and `build`, which turns settings
//! into the filter or into a [`BuildError`](crate::hooks::BuildError) at one of their keys. The module knows
//! neither Pingora nor how filters are registered or called.

mod adaptive_concurrency;
mod api_key;
mod bandwidth;
mod basic_auth;
mod body;
mod cache;
mod client_cert;
mod coding;
mod compress;
mod concurrency;
mod cors;
mod decompress;
mod error_pages;
mod expiring;
mod fault;
mod forward_auth;
mod forwarded;
mod geo;
mod grpc_web;
mod headers;
mod hedge;
mod hsts;
mod jwt;
mod lines;
mod mirror;
mod networks;
mod own;
mod rate_limit;
mod rewrite;
mod security_headers;
mod shown;
mod timeout;
mod waf;
mod words;

pub use adaptive_concurrency::{AdaptiveConcurrency, AdaptiveConcurrencySettings};
pub use api_key::{ApiKey, ApiKeySettings, ApiKeySpec, InvalidApiKey};
pub use bandwidth::{Bandwidth, BandwidthSettings};
pub use basic_auth::{
    BasicAuth, BasicAuthSettings, InvalidPasswordHash, InvalidUserName, PasswordCacheSettings, PasswordHash,
    UserName,
};
pub use body::{BodyLimit, BodySettings};
pub use cache::{
    BypassSettings, CacheFilter, CacheKeySettings, CacheSettings, ClientDirectives, KeyQuery, PurgeSettings,
    StaleSettings,
};
pub use client_cert::{
    ClientCertSettings, Fingerprint, InvalidFingerprint, InvalidNamePattern, RequireClientCert, SanPattern,
    SubjectPattern,
};
pub use coding::Coding;
pub use compress::{Compress, CompressSettings, InvalidMediaPattern, Levels, MediaPattern};
pub use concurrency::{Concurrency, ConcurrencySettings};
pub use cors::{Cors, CorsSettings, InvalidOrigin, OriginPattern};
pub use decompress::{Decompress, DecompressSettings};
pub use error_pages::{ErrorPages, ErrorPagesSettings, ErrorStatus, InvalidErrorStatus, PageFiles};
pub(crate) use error_pages::{Pages, Told};
pub use fault::{AbortSettings, DelaySettings, Fault, FaultSettings};
pub use forward_auth::{AuthCacheSettings, AuthMethod, ForwardAuth, ForwardAuthSettings};
pub use geo::{CountryCode, Geo, GeoSettings, InvalidCountryCode, InvalidRecordPath, OnUnknown, RecordPath};
pub use grpc_web::{GrpcWeb, GrpcWebSettings};
pub(crate) use headers::may_be_set;
pub use headers::{FieldName, HeaderSettings, InvalidFieldName, RequestHeaders, ResponseHeaders};
pub use hedge::{Hedge, HedgeDelay, HedgeSettings, InvalidHedgeDelay};
pub use hsts::{Hsts, HstsSettings};
#[cfg(fuzzing)]
pub(crate) use jwt::fuzzing::token;
pub use jwt::{InvalidJwtAlgorithm, JwksSettings, Jwt, JwtAlgorithm, JwtKeysSettings, JwtSettings, Sha};
pub use mirror::{Mirror, MirrorMethod, MirrorSettings};
pub use networks::{Networks, NetworksSettings};
pub use rate_limit::{
    Decision, Limiter, OnStoreFailure, RateLimit, RateLimitMode, RateLimitScope, RateLimitSettings,
    RateLimitVerdict,
};
pub(crate) use rewrite::StrippedWhole;
pub use rewrite::{ForwardedHost, InvalidRewrite, PathRewrite, Rewrite, RewriteSettings, StripPrefix};
pub use security_headers::{
    CrossOriginSettings, EmbedderPolicy, FramePolicy, OpenerPolicy, ReferrerPolicy, ResourcePolicy,
    SecurityHeaders, SecurityHeadersSettings,
};
pub use shown::{CredentialSource, InvalidCredentialSource};
pub use timeout::{Timeout, TimeoutSettings};
pub use waf::{
    ExcludedRule, InvalidExcludedRule, Waf, WafBodySettings, WafLarger, WafMode, WafOverload, WafSettings,
    WafVerdict, WafWord,
};
pub(crate) use words::WORDS;
