use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::spec::{HeaderNameSpec, ParameterName, text_or_map};
use crate::filters::headers::are_alike;
use crate::hooks::{BuildError, Credential};

/// Where a request shows a key or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// In this header.
    Header(HeaderNameSpec),
    /// In this parameter of the query.
    Query(String),
    /// In this cookie.
    Cookie(String),
}

/// The same, written as a map: exactly one key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum SourceMap {
    Header(HeaderNameSpec),
    Query(String),
    Cookie(String),
}

/// A place without its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` does not say where it stands; write `{{ header: NAME }}`, `{{ query: NAME }}` or `{{ cookie: NAME }}`"
)]
pub struct InvalidCredentialSource {
    found: String,
}

impl From<SourceMap> for CredentialSource {
    fn from(map: SourceMap) -> Self {
        match map {
            SourceMap::Header(name) => Self::Header(name),
            SourceMap::Query(name) => Self::Query(name),
            SourceMap::Cookie(name) => Self::Cookie(name),
        }
    }
}

impl FromStr for CredentialSource {
    type Err = InvalidCredentialSource;

    fn from_str(text: &str) -> Result<Self, InvalidCredentialSource> {
        Err(InvalidCredentialSource { found: text.to_owned() })
    }
}

impl<'de> Deserialize<'de> for CredentialSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, SourceMap, _>(
            deserializer,
            "`{ header: NAME }`, `{ query: NAME }` or `{ cookie: NAME }`",
        )
    }
}

impl JsonSchema for CredentialSource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CredentialSource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "`{ header: NAME }`, `{ query: NAME }` or `{ cookie: NAME }`" })
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// Refuses parameters and cookies without a name, and parameters of which lines could not be kept clean.
pub(in crate::filters) fn check_sources(sources: &[CredentialSource]) -> Result<(), BuildError> {
    for (index, source) in sources.iter().enumerate() {
        let (kind, problem) = match source {
            CredentialSource::Header(_) => continue,
            CredentialSource::Query(name) if name.is_empty() => {
                ("query", Some("the parameter has no name".to_owned()))
            }
            CredentialSource::Query(name) => {
                ("query", ParameterName::parts(name).err().map(|error| error.to_string()))
            }
            CredentialSource::Cookie(name) => {
                ("cookie", name.is_empty().then(|| "the cookie has no name".to_owned()))
            }
        };
        if let Some(problem) = problem {
            return Err(BuildError::new(problem).at(kind).at(index).at("from"));
        }
    }
    Ok(())
}

/// Where nobody else may read them.
pub(in crate::filters) fn credentials(sources: &[CredentialSource]) -> Vec<Credential> {
    let credential = |source: &CredentialSource| match source {
        CredentialSource::Header(name) => Some(Credential::Header(name.0.clone())),
        CredentialSource::Query(name) => Some(Credential::Query(name.clone())),
        CredentialSource::Cookie(_) => None,
    };
    sources.iter().filter_map(credential).collect()
}

/// Whether credentials stand in this header, so that nothing else can.
pub(in crate::filters) fn is_shown_in(sources: &[CredentialSource], header: &HeaderName) -> bool {
    sources
        .iter()
        .any(|source| matches!(source, CredentialSource::Header(name) if are_alike(&name.0, header)))
}
