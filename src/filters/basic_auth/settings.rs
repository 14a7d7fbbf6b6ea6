use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::NamedMap;
use crate::filters::FieldName;
use crate::types::{Span, text_leaf};

use super::PasswordHash;

/// Lets in clients that know a user's password (Basic authentication, RFC 7617), and tells endpoints who it is. Others get 401.
/// `passwords`, `file` or both must be given. Passwords are sent with every request: use it over TLS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuthSettings {
    /// What browsers show when they ask for the password, up to 128 characters of printable ASCII without `"` and `\`.
    #[serde(default = "BasicAuthSettings::default_realm")]
    pub realm: String,
    /// The hashes of passwords by the names of their users: bcrypt (`$2y$…`, cost 4 to 14) or argon2 (`$argon2id$…`, up to
    /// 256 MiB). `htpasswd -nB USER` makes one.
    #[serde(default)]
    pub passwords: NamedMap<UserName, PasswordHash>,
    /// A file with further users, as `htpasswd -B` writes it: `USER:HASH` on each line. Up to 10000; when it changes, it is
    /// read again within seconds.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The request header in which endpoints are told who the user is; what clients say there is dropped.
    #[serde(default = "BasicAuthSettings::default_user_header")]
    pub user_header: FieldName,
    /// Whether endpoints get the password too, in `Authorization`.
    #[serde(default)]
    pub forward: bool,
    /// How what came of checks is remembered; a check takes some hundred milliseconds of a core.
    #[serde(default)]
    pub cache: PasswordCacheSettings,
}

/// How what came of checks is remembered. A user or password that is changed counts at once all the same.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordCacheSettings {
    /// For how long a password that was right is, up to 1h; `0s` to check it with every request. One that was wrong is
    /// remembered for 10s.
    pub ttl: Span,
    /// How many passwords that were right are remembered, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub size: u32,
}

/// The name of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// A text that cannot be a user's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a user's name; 1 to 255 bytes without `:` and control characters are allowed")]
pub struct InvalidUserName {
    found: String,
}

impl BasicAuthSettings {
    fn default_realm() -> String {
        "evener".to_owned()
    }

    fn default_user_header() -> FieldName {
        FieldName::constant("x-user")
    }
}

impl Default for PasswordCacheSettings {
    fn default() -> Self {
        Self { ttl: Span::from_secs(300), size: 10_000 }
    }
}

impl UserName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        const LONGEST: usize = 255;
        let is_allowed = |c: char| c != ':' && !c.is_control();
        if (1..=LONGEST).contains(&text.len()) && text.chars().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUserName { found: text.chars().take(LONGEST).collect() })
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(UserName, "a user's name", "ada");
