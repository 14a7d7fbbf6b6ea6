use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shapes::text_or_map;

/// A secret: `${NAME}` for an environment variable, `{ file: PATH }` for a file's content without its last line
/// break, or the text itself. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSpec {
    /// The text itself.
    Text(String),
    /// The value of an environment variable.
    Env(String),
    /// What stands in a file.
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretMap {
    file: PathBuf,
}

/// A reference to an environment variable that is none. The text is not shown: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds a `$` and is no environment variable like ${{STICKY_SECRET}}; a text itself has no `$`")]
pub struct InvalidSecret;

impl FromStr for SecretSpec {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        if !text.contains('$') {
            return Ok(Self::Text(text.to_owned()));
        }
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).ok_or(InvalidSecret)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(InvalidSecret);
        }
        Ok(Self::Env(name.to_owned()))
    }
}

impl From<SecretMap> for SecretSpec {
    fn from(map: SecretMap) -> Self {
        Self::File(map.file)
    }
}

impl<'de> Deserialize<'de> for SecretSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, SecretMap, _>(deserializer, "a text, ${NAME}, or `{ file: PATH }`")
    }
}

/// Tells that there is one, and nothing of it.
impl Serialize for SecretSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl JsonSchema for SecretSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a text, `${NAME}` or `{ file: PATH }`",
            "examples": ["${STICKY_SECRET}"],
        })
    }
}
