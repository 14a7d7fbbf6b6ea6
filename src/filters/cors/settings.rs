use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{MethodSpec, OneOrMany};
use crate::filters::FieldName;
use crate::types::Span;

use super::OriginPattern;

/// Tells browsers which other sites' pages may use the route (CORS). Preflight requests are answered at the edge, so the
/// route has to match `OPTIONS` too. Browsers enforce it, nobody else does: it lets in, and keeps nobody out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsSettings {
    /// The origins whose pages may read answers: `https://app.example.com`, `https://*.example.com` (one or more labels,
    /// not the domain itself), `null`, or `"*"` for all; one, or a list.
    pub origins: OneOrMany<OriginPattern>,
    /// The methods that they may use besides GET, HEAD and POST, which browsers do not ask about. Default: no others.
    #[serde(default)]
    pub methods: Vec<MethodSpec>,
    /// The request headers that they may send besides those that forms can; `"*"` for all but `Authorization`. Default:
    /// no others, so that bodies of JSON need `Content-Type` here.
    #[serde(default)]
    pub headers: Vec<FieldName>,
    /// The response headers that they may read besides `Cache-Control`, `Content-Language`, `Content-Length`,
    /// `Content-Type`, `Expires`, `Last-Modified` and `Pragma`; `"*"` for all. Default: no others.
    #[serde(default)]
    pub expose: Vec<FieldName>,
    /// Whether they may send cookies, client certificates and `Authorization`, and read what is answered then. Cannot stand
    /// with `"*"` or the origin `null`.
    #[serde(default)]
    pub credentials: bool,
    /// How long browsers remember the answer to a preflight request, up to 24h; most cap it at 2h.
    #[serde(default = "CorsSettings::default_max_age")]
    pub max_age: Span,
}

impl CorsSettings {
    fn default_max_age() -> Span {
        Span::from_secs(600)
    }
}
