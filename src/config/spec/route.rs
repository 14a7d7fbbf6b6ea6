use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use http::{HeaderName, Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{
    Cidr, HostPattern, ListenerName, PoolName, RouteName, Span, Template, normalise_path, text_leaf,
};

use super::ranges::span;
use super::shapes::{single_key, text_or_map, unordered};
use super::{FilesSpec, NamedMap, OneOrMany, RouteLogSpec, SplitSpec};

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

/// Which paths a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSpec {
    /// The path itself and everything below it.
    Prefix(String),
    /// The path itself alone.
    Exact(String),
    /// Every path in which the expression is found.
    Regex(RegexSpec),
}

/// Which paths, written as a map: exactly one key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum PathMap {
    /// The path itself alone.
    Exact(PathText),
    /// Every path in which the expression is found.
    Regex(RegexSpec),
}

/// A path that a route can match.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PathText(String);

/// A path that no request can have, because it would not be normalised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a path; {reason}")]
pub struct InvalidPath {
    found: String,
    reason: &'static str,
}

impl FromStr for PathText {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let fail = |reason| Err(InvalidPath { found: text.to_owned(), reason });
        if !text.starts_with('/') {
            return fail("it starts with `/`");
        }
        if text.contains(['?', '#']) {
            return fail("it has no query and no fragment (match the query under `query`)");
        }
        if text.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b"\"\\<>^`{|}".contains(&b)) {
            return fail("characters outside of RFC 3986 are written percent-encoded");
        }
        match normalise_path(text) {
            Ok(None) => Ok(Self(text.to_owned())),
            _ => fail(
                "no request matches it, since paths are normalised first: no `//`, `.` or `..` segments, no needless %-encoding, no %2F",
            ),
        }
    }
}

impl fmt::Display for PathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(PathText, "a path", "/api/");

impl From<PathMap> for PathSpec {
    fn from(map: PathMap) -> Self {
        match map {
            PathMap::Exact(path) => Self::Exact(path.0),
            PathMap::Regex(regex) => Self::Regex(regex),
        }
    }
}

impl FromStr for PathSpec {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        text.parse::<PathText>().map(|path| Self::Prefix(path.0))
    }
}

impl<'de> Deserialize<'de> for PathSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, PathMap, _>(deserializer, "a path like /api/, or `{ exact: … }`, or `{ regex: … }`")
    }
}

/// A prefix is written without its closing slash, which means nothing.
impl Serialize for PathSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Prefix(path) if path != "/" => {
                serializer.serialize_str(path.strip_suffix('/').unwrap_or(path))
            }
            other => serializer.collect_str(other),
        }
    }
}

impl JsonSchema for PathSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a path prefix, `{ exact: PATH }` or `{ regex: EXPRESSION }`",
            "examples": ["/api/"],
        })
    }
}

impl fmt::Display for PathSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(path) => f.write_str(path),
            Self::Exact(path) => write!(f, "= {path}"),
            Self::Regex(regex) => write!(f, "~ {regex}"),
        }
    }
}

/// A regular expression (the syntax of Rust's `regex` crate: no look-around, linear time).
#[derive(Clone, Debug)]
pub struct RegexSpec(regex::Regex);

/// An expression that does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}` is not a regular expression: {reason}")]
pub struct InvalidRegex {
    expression: String,
    reason: String,
}

/// What one compiled expression may take in memory.
const MAX_COMPILED: usize = 1 << 20;

impl RegexSpec {
    /// The compiled expression.
    pub fn get(&self) -> &regex::Regex {
        &self.0
    }
}

impl PartialEq for RegexSpec {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for RegexSpec {}

impl FromStr for RegexSpec {
    type Err = InvalidRegex;

    fn from_str(text: &str) -> Result<Self, InvalidRegex> {
        let compiled = regex::RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
        compiled.map(Self).map_err(|error| InvalidRegex {
            expression: text.to_owned(),
            reason: last_line(&error.to_string()),
        })
    }
}

/// The crate draws a picture over several lines and puts the reason into the last one.
fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text);
    last.trim().strip_prefix("error: ").unwrap_or(last.trim()).to_owned()
}

impl fmt::Display for RegexSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

text_leaf!(RegexSpec, "a regular expression", "^/v[0-9]+/");

/// What a header, parameter or cookie must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSpec {
    /// Exactly this.
    Exact(String),
    /// Something in which the expression is found.
    Regex(RegexSpec),
    /// There at all (`true`), or not there (`false`).
    Present(bool),
}

/// What a value must be, written as a map: exactly one key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ValueMap {
    Regex(RegexSpec),
    Present(bool),
}

impl From<ValueMap> for ValueSpec {
    fn from(map: ValueMap) -> Self {
        match map {
            ValueMap::Regex(regex) => Self::Regex(regex),
            ValueMap::Present(present) => Self::Present(present),
        }
    }
}

impl FromStr for ValueSpec {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::Exact(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, ValueMap, _>(deserializer, "a value, or `{ regex: … }`, or `{ present: true }`")
    }
}

impl Serialize for ValueSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ValueSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a value, `{ regex: EXPRESSION }` or `{ present: true }`",
            "examples": ["1"],
        })
    }
}

impl fmt::Display for ValueSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(value) => write!(f, "= {value}"),
            Self::Regex(regex) => write!(f, "~ {regex}"),
            Self::Present(true) => f.write_str("present"),
            Self::Present(false) => f.write_str("absent"),
        }
    }
}

macro_rules! http_leaf {
    ($(#[$doc:meta])* $name:ident($inner:ty), $kind:literal, $example:literal, $error:ident, $allowed:literal, |$text:ident| $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub $inner);

        #[doc = concat!("A text that is not ", $kind, ".")]
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("`{found}` is not {kind}; {allowed}", kind = $kind, allowed = $allowed)]
        pub struct $error {
            found: String,
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str($text: &str) -> Result<Self, $error> {
                let parsed: Option<$inner> = $parse;
                parsed.map(Self).ok_or_else(|| $error { found: $text.to_owned() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.as_str())
            }
        }

        text_leaf!($name, $kind, $example);
    };
}

http_leaf!(
    /// The name of a header field, in any case.
    HeaderNameSpec(HeaderName),
    "a header's name", "X-Canary", InvalidHeaderName,
    "letters, digits and !#$%&'*+-.^_`|~ are allowed",
    |text| HeaderName::from_bytes(text.as_bytes()).ok()
);

http_leaf!(
    /// A request method, in capitals.
    MethodSpec(Method),
    "a method", "GET", InvalidMethod,
    "methods are written in capitals, like GET or PROPFIND; CONNECT and TRACE are never served",
    |text| {
        let refused = matches!(text, "CONNECT" | "TRACE");
        let capitals = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        (capitals && !refused).then(|| Method::from_bytes(text.as_bytes()).ok()).flatten()
    }
);

/// A status of a final response, 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusSpec(pub StatusCode);

/// A text that is no final status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status; 200 to 599 are allowed")]
pub struct InvalidStatus(String);

impl FromStr for StatusSpec {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let status = text.parse::<u16>().ok().filter(|code| (200..600).contains(code));
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        status.map(Self).ok_or_else(|| InvalidStatus(text.to_owned()))
    }
}

impl fmt::Display for StatusSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

text_leaf!(StatusSpec, "a status", "200");

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
