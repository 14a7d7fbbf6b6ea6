//! The built-in filters, written on the public traits of [`crate::hooks`]: what they can do, a hook can do.
//!
//! | name | struct | does |
//! |---|---|---|
//! | `adaptive_concurrency` | [`AdaptiveConcurrency`] | refuses requests that would only wait, by a limit that it learns |
//! | `allow`, `deny` | [`Networks`] | let clients in, or keep them out, by their network |
//! | `api_key` | [`ApiKey`] | lets clients in by a key, and tells endpoints whose it is |
//! | `basic_auth` | [`BasicAuth`] | lets clients in by a password |
//! | `client_cert` | [`RequireClientCert`] | lets clients in by their certificate |
//! | `concurrency` | [`Concurrency`] | refuses or delays requests while as many are under way as may be, per key |
//! | `cors` | [`Cors`] | tells browsers which other sites' pages may use a route |
//! | `error_pages` | [`ErrorPages`] | puts pages of one's own in the place of the edge's errors |
//! | `body` | [`BodyLimit`] | lets requests have smaller bodies than their listener does |
//! | `cache` | [`CacheFilter`] | gives stored answers, and stores those that may be |
//! | `grpc_web` | [`GrpcWeb`] | lets browsers call gRPC |
//! | `hsts` | [`Hsts`] | tells browsers to come over TLS only |
//! | `rate_limit` | [`RateLimit`] | refuses or delays requests that come faster than a rate, per key |
//! | `request_headers` | [`RequestHeaders`] | removes, sets and adds headers on the way to the endpoint |
//! | `response_headers` | [`ResponseHeaders`] | the same on the way to the client |
//! | `rewrite` | [`Rewrite`] | changes the path or the `Host` that is forwarded |
//! | `security_headers` | [`SecurityHeaders`] | tells browsers what pages may do |
//! | `timeout` | [`Timeout`] | gives requests less time than their pool does |
//!
//! Each comes with its settings, a struct that is read from the configuration, and `build`, which turns settings
//! into the filter or into a [`BuildError`](crate::hooks::BuildError) at one of their keys. The module knows
//! neither Pingora nor how filters are registered or called.

mod adaptive_concurrency;
mod api_key;
mod basic_auth;
mod body;
mod cache;
mod client_cert;
mod concurrency;
mod cors;
mod error_pages;
mod grpc_web;
mod headers;
mod hsts;
mod lines;
mod networks;
mod rate_limit;
mod rewrite;
mod security_headers;
mod timeout;

pub use adaptive_concurrency::{AdaptiveConcurrency, AdaptiveConcurrencySettings};
pub use api_key::{ApiKey, ApiKeySettings, ApiKeySpec, Digest, InvalidApiKey, InvalidKeySource, KeySource};
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
pub use concurrency::{Concurrency, ConcurrencySettings};
pub use cors::{Cors, CorsSettings, InvalidOrigin, OriginPattern};
pub use error_pages::{ErrorPages, ErrorPagesSettings, ErrorStatus, InvalidErrorStatus, PageFiles};
pub use grpc_web::{GrpcWeb, GrpcWebSettings};
pub(crate) use headers::may_be_set;
pub use headers::{FieldName, HeaderSettings, InvalidFieldName, RequestHeaders, ResponseHeaders};
pub use hsts::{Hsts, HstsSettings};
pub use networks::{Networks, NetworksSettings};
pub use rate_limit::{
    Decision, Limiter, OnStoreFailure, RateLimit, RateLimitMode, RateLimitScope, RateLimitSettings,
    RateLimitVerdict,
};
pub use rewrite::{ForwardedHost, InvalidRewrite, PathRewrite, Rewrite, RewriteSettings, StripPrefix};
pub use security_headers::{
    CrossOriginSettings, EmbedderPolicy, FramePolicy, OpenerPolicy, ReferrerPolicy, ResourcePolicy,
    SecurityHeaders, SecurityHeadersSettings,
};
pub use timeout::{Timeout, TimeoutSettings};
