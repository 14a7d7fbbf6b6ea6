use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{MethodSpec, NamedMap, SecretSpec, StatusSpec};
use crate::filters::FieldName;
use crate::hooks::PartName;
use crate::types::{CacheName, Cidr, Percent, Span, VarName};

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
    /// Which requests remove what is stored. Default: none; `evener purge` does it in any case.
    #[serde(default)]
    pub purge: Option<PurgeSettings>,
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
    /// Whether answers are stored though they do not say that they are for all, to requests that came with `Authorization` or
    /// a client's certificate, or whose sender a filter has found out: then clients share them. Default: false.
    #[serde(default)]
    pub store_authorized: bool,
}

/// When answers are given that are no longer fresh.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StaleSettings {
    /// So long after, while the edge fetches another, clients are given the old one (RFC 5861). Default: 0s.
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
    /// These cookies count, with all their values where there are several of a name.
    pub cookies: Vec<PartName>,
    /// These variables count, as the filters of the route have set them: `api_key.name`.
    pub vars: Vec<VarName>,
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
    /// Those with one of these cookies, whatever its value.
    pub cookies: Vec<PartName>,
}

/// Which requests remove what is stored, in all its variants: what they ask for themselves; what has the tag that they name in
/// `Cache-Tag`; or, with `X-Purge: prefix`, what begins like their target. No endpoint sees them. Whoever is not in
/// `clients` gets 403, and whoever is and does not show the token gets 401.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeSettings {
    /// Their method, other than those of HTTP itself. Default: PURGE.
    #[serde(default = "PurgeSettings::default_method")]
    pub method: MethodSpec,
    /// The networks that they come from.
    pub clients: Vec<Cidr>,
    /// What they show in `Authorization`, after `Bearer`: `${NAME}`, `{ file: PATH }` or the text itself, 16 bytes or more.
    pub token: SecretSpec,
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

impl PurgeSettings {
    fn default_method() -> MethodSpec {
        MethodSpec(Method::from_bytes(b"PURGE").unwrap_or_default())
    }
}
