//! `cache`: gives stored answers, and stores those that may be (RFC 9111).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cache::{Caching, Plan};
use crate::config::spec::{NamedMap, StatusSpec};
use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestView};
use crate::types::{CacheName, Percent, Span};

use super::FieldName;

/// Gives stored answers to GET and HEAD, and stores those that may be, as RFC 9111 has it for shared caches. What filters
/// do to requests holds for stored answers too; what they do to answers is done to each that is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// Where answers are stored: one of `server.caches`.
    #[serde(rename = "in")]
    pub store: CacheName,
    /// By status, how long answers are fresh that say nothing of it themselves, like `200: 10m`. Default: none.
    #[serde(default)]
    pub ttl: NamedMap<StatusSpec, Span>,
    /// Whether `ttl` counts whatever answers say of their freshness. What must not be stored still is not.
    #[serde(default)]
    pub force_ttl: bool,
    /// How long an answer is fresh that tells only when it was last changed: this part of the time since, a day at most.
    /// `0%` for not at all. Default: 10%.
    #[serde(default = "CacheSettings::default_heuristic")]
    pub heuristic: Percent,
    /// When answers are given that are no longer fresh. What the answer says itself counts first.
    #[serde(default)]
    pub stale: StaleSettings,
    /// What requests are told apart by.
    #[serde(default)]
    pub key: CacheKeySettings,
    /// Which requests are not for the cache.
    #[serde(default)]
    pub bypass: BypassSettings,
    /// The fields for caches like this one, by rank: where an answer has one, `Cache-Control` and `Expires` are for others
    /// (RFC 9213). Default: `CDN-Cache-Control`.
    #[serde(default)]
    pub control_fields: Option<Vec<FieldName>>,
    /// Whether clients may ask for newer answers than those that are stored, by `no-cache`, `max-age` or `min-fresh`: then
    /// they can make endpoints work. Default: `ignore`.
    #[serde(default)]
    pub client_directives: ClientDirectives,
    /// Whether answers say in `Cache-Status` what the cache did (RFC 9211). Default: true.
    #[serde(default = "CacheSettings::default_header")]
    pub status_header: bool,
    /// Whether answers with `Set-Cookie` are stored: then clients share cookies. Default: false.
    #[serde(default)]
    pub store_set_cookie: bool,
    /// Whether answers to requests with `Authorization` are stored though they do not say that they are for all.
    /// Default: false.
    #[serde(default)]
    pub store_authorized: bool,
}

/// When answers are given that are no longer fresh.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StaleSettings {
    /// So long after, while one request fetches another, others are given the old one (RFC 5861). Default: 0s.
    pub while_revalidate: Span,
    /// So long after, when no endpoint gives another: it cannot be reached, or answers with 500, 502, 503 or 504. Default: 0s.
    pub if_error: Span,
}

/// What requests are told apart by, besides host, path and pool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheKeySettings {
    /// Whether the query counts: `all` of it, or `none`. Default: `all`.
    pub query: KeyQuery,
    /// These headers count, whether answers name them in `Vary` or not.
    pub headers: Vec<FieldName>,
    /// These cookies count.
    pub cookies: Vec<String>,
}

/// How much of the query counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyQuery {
    /// All of it, as it stands there.
    #[default]
    All,
    /// Nothing of it.
    None,
}

/// Which requests are not for the cache: they go to an endpoint, and their answers are not stored.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BypassSettings {
    /// Those with one of these headers.
    pub headers: Vec<FieldName>,
    /// Those with one of these cookies.
    pub cookies: Vec<String>,
}

/// What comes of clients' wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientDirectives {
    /// Only `no-store` and `only-if-cached` are heeded.
    #[default]
    Ignore,
    /// All are heeded.
    Honour,
}

impl CacheSettings {
    fn default_heuristic() -> Percent {
        Percent::new(10)
    }

    fn default_header() -> bool {
        true
    }
}

/// The filter `cache`.
#[derive(Debug)]
pub struct CacheFilter {
    caching: Arc<Caching>,
}

impl CacheFilter {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no cache of that name, or a part is larger than the whole.
    pub fn build(settings: CacheSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let cache = cx.cache(&settings.store).map_err(|error| error.at("in"))?;
        let percent = settings.heuristic.get();
        let heuristic = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        let heuristic = heuristic.ok_or_else(|| {
            BuildError::new(format!("`{percent}%` is more than all; 0% to 100% are allowed")).at("heuristic")
        })?;
        let defaults = Plan::default();
        let plan = Plan {
            ttl: settings.ttl.iter().map(|(status, ttl)| (status.0, ttl.get())).collect(),
            force_ttl: settings.force_ttl,
            heuristic: (heuristic > 0).then_some(heuristic),
            while_revalidate: settings.stale.while_revalidate.get(),
            if_error: settings.stale.if_error.get(),
            control_fields: settings.control_fields.map_or(defaults.control_fields, |fields| names(&fields)),
            store_set_cookie: settings.store_set_cookie,
            store_authorized: settings.store_authorized,
            honours_clients: settings.client_directives == ClientDirectives::Honour,
            key_headers: names(&settings.key.headers),
            key_cookies: settings.key.cookies,
            ignores_query: settings.key.query == KeyQuery::None,
            bypass_headers: names(&settings.bypass.headers),
            bypass_cookies: settings.bypass.cookies,
            tells_status: settings.status_header,
        };
        Ok(Self { caching: Arc::new(Caching { cache, plan }) })
    }
}

fn names(fields: &[FieldName]) -> Vec<HeaderName> {
    fields.iter().map(|field| field.name().clone()).collect()
}

#[async_trait]
impl Filter for CacheFilter {
    /// Only says how the request is cached. What is stored is looked up when all filters have let the request pass.
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        cx.extensions_mut().insert(self.caching.clone());
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        let Plan { ttl, if_error, .. } = &self.caching.plan;
        let ttl = ttl.iter().map(|(status, ttl)| format!(", {} for {}", status.as_u16(), shown(*ttl)));
        let stale = if if_error.is_zero() {
            String::new()
        } else {
            format!(", stale for {} if need be", shown(*if_error))
        };
        format!("in `{}`{}{stale}", self.caching.cache.name, ttl.collect::<String>())
    }
}

fn shown(span: Duration) -> impl std::fmt::Display {
    humantime::format_duration(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::testing;

    #[test]
    fn it_needs_a_cache_that_is_there() {
        let settings = serde_yaml::from_str("in: main").unwrap();
        let error = testing::build(settings, CacheFilter::build).unwrap_err();
        assert_eq!(error.to_string(), "no cache named `main`");
    }
}
