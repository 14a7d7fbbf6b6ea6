use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

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

impl SecretSpec {
    /// The secret itself; the paths of files start at `base`.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read; never with a part of a secret.
    pub(crate) fn read(&self, base: &Path) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Env(name) => std::env::var_os(name)
                .map(OsStringExt::into_vec)
                .ok_or_else(|| format!("the environment variable `{name}` is not set")),
            Self::File(path) => {
                let path = base.join(path);
                read_secret(&path)
                    .map_err(|error| format!("the file `{}` cannot be read: {error}", path.display()))
            }
        }
    }
}

/// Reads a secret from its file, without the line end that a text file has.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = fs::read(path)?;
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
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
            "writeOnly": true,
        })
    }
}
