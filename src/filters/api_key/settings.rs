use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::spec::{NamedMap, OneOrMany, SecretSpec, text_or_map};
use crate::filters::{CredentialSource, FieldName};
use crate::types::{ConsumerName, Digest};

/// Lets in clients that show one of the keys, and tells endpoints whose it is. Others get 401. The key itself is not
/// forwarded. `keys`, `file` or both must be given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySettings {
    /// Where clients may show the key: `{ header: NAME }`, `{ query: NAME }` or `{ cookie: NAME }`; one, or a list. In
    /// `Authorization` it stands after `Bearer`. A key in a query gets into the logs of others, and into browsers'
    /// histories. Default:
    /// `{ header: X-API-Key }`.
    #[serde(default)]
    pub from: Option<OneOrMany<CredentialSource>>,
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

/// A key, or what its SHA-256 is.
#[derive(Clone, Debug)]
pub enum ApiKeySpec {
    /// The key itself.
    Secret(SecretSpec),
    /// Its SHA-256.
    Sha256(Digest),
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
        let digest = Digest::from_hex(&text);
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
            "writeOnly": true,
        })
    }
}
