use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::spec::{HeaderNameSpec, NamedMap, OneOrMany, SecretSpec, text_or_map};
use crate::filters::FieldName;
use crate::types::ConsumerName;

use super::keys::{Digest, read_digest};

/// Lets in clients that show one of the keys, and tells endpoints whose it is. Others get 401. The key itself is not
/// forwarded. `keys`, `file` or both must be given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySettings {
    /// Where clients may show the key: `{ header: NAME }` or `{ query: NAME }`; one, or a list. In `Authorization` it
    /// stands after `Bearer`. A key in a query gets into the logs of others, and into browsers' histories. Default:
    /// `{ header: X-API-Key }`.
    #[serde(default)]
    pub from: Option<OneOrMany<KeySource>>,
    /// The keys by the name of whom they belong to: `${NAME}`, `{ file: PATH }`, `{ sha256: DIGITS }` or the text itself, 16
    /// bytes or more; one, or a list, so that a key can be replaced without a gap.
    #[serde(default)]
    pub keys: NamedMap<ConsumerName, OneOrMany<ApiKeySpec>>,
    /// A file with further keys, one a line: a name, spaces, and the SHA-256 of the key as 64 hexadecimal digits. What follows a
    /// `#` counts for nothing. Up to 16 MiB, some 200000 keys; when it changes, it is read again within seconds.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The request header in which endpoints are told whose key it is; what clients say there is dropped.
    #[serde(default = "ApiKeySettings::default_consumer_header")]
    pub consumer_header: FieldName,
    /// Whether endpoints get the key too.
    #[serde(default)]
    pub forward: bool,
}

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In this header.
    Header(HeaderNameSpec),
    /// In this parameter of the query.
    Query(String),
}

/// A key, or what its SHA-256 is.
#[derive(Clone, Debug)]
pub enum ApiKeySpec {
    /// The key itself.
    Secret(SecretSpec),
    /// Its SHA-256.
    Sha256(Digest),
}

/// The same, written as a map: exactly one key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum KeySourceMap {
    Header(HeaderNameSpec),
    Query(String),
}

/// A place without its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` does not say where the key stands; write `{{ header: NAME }}` or `{{ query: NAME }}`")]
pub struct InvalidKeySource {
    found: String,
}

/// A text that stands for no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidApiKey(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ApiKeyMap {
    File(PathBuf),
    Sha256(Sha256Text),
}

struct Sha256Text(Digest);

impl<'de> Deserialize<'de> for Sha256Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = read_digest(&text);
        digest.map(Self).ok_or_else(|| serde::de::Error::custom("a SHA-256 has 64 hexadecimal digits"))
    }
}

impl ApiKeySettings {
    fn default_consumer_header() -> FieldName {
        FieldName::constant("x-consumer")
    }
}

impl From<ApiKeyMap> for ApiKeySpec {
    fn from(map: ApiKeyMap) -> Self {
        match map {
            ApiKeyMap::File(path) => Self::Secret(SecretSpec::File(path)),
            ApiKeyMap::Sha256(digest) => Self::Sha256(digest.0),
        }
    }
}

impl FromStr for ApiKeySpec {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        text.parse()
            .map(Self::Secret)
            .map_err(|error: crate::config::spec::InvalidSecret| InvalidApiKey(error.to_string()))
    }
}

impl<'de> Deserialize<'de> for ApiKeySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, ApiKeyMap, _>(
            deserializer,
            "a text, ${NAME}, `{ file: PATH }` or `{ sha256: DIGITS }`",
        )
    }
}

impl JsonSchema for ApiKeySpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApiKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a text, `${NAME}`, `{ file: PATH }` or `{ sha256: DIGITS }`",
            "examples": ["${ACME_KEY}"],
        })
    }
}

impl From<KeySourceMap> for KeySource {
    fn from(map: KeySourceMap) -> Self {
        match map {
            KeySourceMap::Header(name) => Self::Header(name),
            KeySourceMap::Query(name) => Self::Query(name),
        }
    }
}

impl FromStr for KeySource {
    type Err = InvalidKeySource;

    fn from_str(text: &str) -> Result<Self, InvalidKeySource> {
        Err(InvalidKeySource { found: text.to_owned() })
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, KeySourceMap, _>(deserializer, "`{ header: NAME }` or `{ query: NAME }`")
    }
}

impl JsonSchema for KeySource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeySource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "`{ header: NAME }` or `{ query: NAME }`" })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
        }
    }
}
