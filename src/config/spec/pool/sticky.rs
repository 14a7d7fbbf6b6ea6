use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::spec::secret::SecretSpec;
use crate::types::{HostPattern, Span, text_leaf};

/// A cookie that brings a client back to the endpoint that served it first.
///
/// The cookie tells nothing of the endpoint and cannot be made up: it is an HMAC of the pool and the endpoint's
/// address. It is `HttpOnly`, and `Secure` where the client came over TLS. An endpoint in drain still serves its own
/// clients; when an endpoint is gone or unfit its clients get a new one, and a new cookie.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StickySpec {
    /// The cookie's name.
    pub cookie: CookieName,
    /// How long clients keep it. Default: until the browser is closed.
    #[serde(default)]
    pub ttl: Option<Span>,
    /// For which paths clients send it.
    #[serde(default)]
    pub path: CookiePath,
    /// For which domain, with its subdomains, clients send it. Default: the host that they asked for.
    #[serde(default)]
    pub domain: Option<HostPattern>,
    /// Whether clients send it with requests from other sites: `strict`, `lax` or `none`; the last is for TLS only.
    #[serde(default)]
    pub same_site: SameSite,
    /// What the cookie is signed with, 16 bytes or more. Where several instances serve one site they need the same.
    /// Default: what stands in `server.secret_file`.
    #[serde(default)]
    pub secret: Option<SecretSpec>,
}

/// The name of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(String);

/// A text that is no token, which cookies' names have to be (RFC 6265 §4.1.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be the name of a cookie; allowed: letters, digits and !#$%&'*+-.^_`|~")]
pub struct InvalidCookieName(String);

impl CookieName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieName {
    type Err = InvalidCookieName;

    fn from_str(text: &str) -> Result<Self, InvalidCookieName> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_token) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCookieName(text.to_owned()))
        }
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(CookieName, "a cookie's name", "srv_id");

/// The paths for which a cookie is sent. Default: `/`, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiePath(String);

/// A text that is no path of a cookie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path; it starts with `/` and has visible ASCII other than `;`")]
pub struct InvalidCookiePath(String);

impl Default for CookiePath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for CookiePath {
    type Err = InvalidCookiePath;

    fn from_str(text: &str) -> Result<Self, InvalidCookiePath> {
        if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCookiePath(text.to_owned()))
        }
    }
}

impl fmt::Display for CookiePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(CookiePath, "a path", "/");

/// Whether a cookie is sent with requests from other sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// Never.
    Strict,
    /// With links that are followed.
    #[default]
    Lax,
    /// With all; clients take such a cookie over TLS only.
    None,
}

impl SameSite {
    /// As it stands in a cookie.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}
