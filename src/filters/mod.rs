//! The built-in filters, written on the public traits of [`crate::hooks`]: what they can do, a hook can do.
//!
//! | name | struct | does |
//! |---|---|---|
//! | `cache` | [`CacheFilter`] | gives stored answers, and stores those that may be |
//! | `grpc_web` | [`GrpcWeb`] | lets browsers call gRPC |
//! | `hsts` | [`Hsts`] | tells browsers to come over TLS only |
//! | `rate_limit` | [`RateLimit`] | refuses or delays requests that come faster than a rate, per key |
//! | `request_headers` | [`RequestHeaders`] | removes, sets and adds headers on the way to the endpoint |
//! | `response_headers` | [`ResponseHeaders`] | the same on the way to the client |
//! | `rewrite` | [`Rewrite`] | changes the path or the `Host` that is forwarded |
//!
//! Each comes with its settings, a struct that is read from the configuration, and `build`, which turns settings
//! into the filter or into a [`BuildError`](crate::hooks::BuildError) at one of their keys. The module knows
//! neither Pingora nor how filters are registered or called.

mod cache;
mod grpc_web;
mod headers;
mod hsts;
mod rate_limit;
mod rewrite;

pub use cache::{
    BypassSettings, CacheFilter, CacheKeySettings, CacheSettings, ClientDirectives, KeyQuery, StaleSettings,
};
pub use grpc_web::{GrpcWeb, GrpcWebSettings};
pub(crate) use headers::may_be_set;
pub use headers::{FieldName, HeaderSettings, InvalidFieldName, RequestHeaders, ResponseHeaders};
pub use hsts::{Hsts, HstsSettings};
pub use rate_limit::{Decision, Limiter, RateLimit, RateLimitMode, RateLimitSettings, RateLimitVerdict};
pub use rewrite::{ForwardedHost, InvalidRewrite, PathRewrite, Rewrite, RewriteSettings, StripPrefix};
