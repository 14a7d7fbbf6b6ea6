use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{Cidr, HostPattern, ListenerName, PoolName, RouteName, Span, Template};

use super::ranges::span;
use super::shapes::{single_key, unordered};
use super::{
    FilesSpec, HeaderNameSpec, MethodSpec, NamedMap, OneOrMany, PathSpec, RouteLogSpec, SplitSpec,
    StatusSpec, ValueSpec,
};

/// Which requests, what is done to them, and who serves them: exactly one of `pool`, `redirect`, `respond`,
/// `files` and `split`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name in logs and in `explain`. Default: `route-N`, its place in the file.
    #[serde(default)]
    pub name: Option<RouteName>,
    /// Which requests take the route; all conditions must hold. Default: every request.
    #[serde(default, rename = "match")]
    pub matches: MatchSpec,
    /// What is done on the way, in this order on the request and in reverse on the response.
    #[serde(default)]
    pub filters: Vec<FilterSpec>,
    /// The pool that serves the request.
    #[serde(default)]
    pub pool: Option<PoolName>,
    /// Sends the client elsewhere.
    #[serde(default)]
    pub redirect: Option<RedirectSpec>,
    /// Answers at the edge.
    #[serde(default)]
    pub respond: Option<RespondSpec>,
    /// Serves the files of a folder.
    #[serde(default)]
    pub files: Option<FilesSpec>,
    /// Spreads requests over several pools.
    #[serde(default)]
    pub split: Option<SplitSpec>,
    /// The lines of the access log for its requests: `off`, or a map. Default: as `log.access` says.
    #[serde(default)]
    pub access_log: Option<RouteLogSpec>,
}

/// What a key says that says who answers.
#[derive(Clone, Debug)]
pub enum ActionSpec {
    /// `pool`
    Pool(PoolName),
    /// `redirect`
    Redirect(RedirectSpec),
    /// `respond`
    Respond(RespondSpec),
    /// `files`
    Files(FilesSpec),
    /// `split`
    Split(SplitSpec),
}

impl RouteSpec {
    /// The keys that say who answers.
    pub(crate) const ACTIONS: [&str; 5] = ["pool", "redirect", "respond", "files", "split"];

    /// What the keys say that say who answers, with their names; exactly one in a route that is sound.
    pub(crate) fn take_actions(&mut self) -> Vec<(&'static str, ActionSpec)> {
        let said = [
            self.pool.take().map(ActionSpec::Pool),
            self.redirect.take().map(ActionSpec::Redirect),
            self.respond.take().map(ActionSpec::Respond),
            self.files.take().map(ActionSpec::Files),
            self.split.take().map(ActionSpec::Split),
        ];
        Self::ACTIONS.into_iter().zip(said).filter_map(|(key, said)| Some((key, said?))).collect()
    }
}

/// Which requests take a route. All conditions must hold; of a list, any one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatchSpec {
    /// The listeners that the request may come in on. Default: every one.
    #[serde(serialize_with = "unordered")]
    pub listeners: Vec<ListenerName>,
    /// The host that is asked for: exact, or `*.example.com`; one, or a list.
    pub host: Option<OneOrMany<HostPattern>>,
    /// The path: a prefix by whole segments (`/api` is for /api and /api/x, never for /apix), or
    /// `{ exact: /x }`, or `{ regex: "^/v[0-9]+/" }`.
    pub path: Option<PathSpec>,
    /// The methods. Default: every one.
    #[serde(serialize_with = "unordered")]
    pub methods: Vec<MethodSpec>,
    /// Headers by name: the exact value, `{ regex: … }` or `{ present: true }`. A header that stands several
    /// times matches if one of its values does.
    pub headers: NamedMap<HeaderNameSpec, ValueSpec>,
    /// Query parameters by name, as for headers; compared as they stand in the query, without decoding.
    pub query: NamedMap<String, ValueSpec>,
    /// Cookies by name, as for headers.
    pub cookies: NamedMap<String, ValueSpec>,
    /// The networks that the client may be in.
    #[serde(serialize_with = "unordered")]
    pub clients: Vec<Cidr>,
}

/// A filter's name; its settings stay in the file until the filter that the name stands for reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilterSpec {
    /// The name under which the filter is registered.
    pub name: String,
}

impl<'de> Deserialize<'de> for FilterSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name =
            single_key(deserializer, "one filter an item, like `- rate_limit: { rate: 100/s }`", false)?;
        Ok(Self { name })
    }
}

impl JsonSchema for FilterSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "`name: settings` of a filter" })
    }
}

/// Sends the client elsewhere.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectSpec {
    /// The `Location`; may use variables, as in `https://www.example.com{path}{query}`.
    pub to: Template,
    /// 301, 302, 303, 307 or 308. Default: 308.
    #[serde(default = "RedirectSpec::default_status", deserialize_with = "RedirectSpec::read_status")]
    pub status: StatusSpec,
}

impl RedirectSpec {
    fn default_status() -> StatusSpec {
        StatusSpec(StatusCode::PERMANENT_REDIRECT)
    }

    fn read_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusSpec, D::Error> {
        let status = StatusSpec::deserialize(deserializer)?;
        match status.0.as_u16() {
            301 | 302 | 303 | 307 | 308 => Ok(status),
            other => Err(D::Error::custom(format_args!(
                "`{other}` does not redirect; 301, 302, 303, 307 and 308 do"
            ))),
        }
    }
}

/// Answers at the edge.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RespondSpec {
    /// The status, 200 to 599. Default: 200.
    pub status: StatusSpec,
    /// The body. Default: none.
    pub body: String,
    /// Headers of the answer. May use variables.
    pub headers: NamedMap<HeaderNameSpec, Template>,
    /// How long to wait before answering, 1m at most. For tests and demonstrations.
    #[serde(deserialize_with = "span::<0, 60_000, _>")]
    pub delay: Span,
}

impl Default for RespondSpec {
    fn default() -> Self {
        Self {
            status: StatusSpec(StatusCode::OK),
            body: String::new(),
            headers: NamedMap::default(),
            delay: Span::default(),
        }
    }
}
