//! What paths, headers, parameters and cookies have to be for a route to match.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{normalise_path, text_leaf};

use super::shapes::text_or_map;

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
