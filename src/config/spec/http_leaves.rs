//! Words of HTTP: names of fields, methods, statuses.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, Method, StatusCode};

use crate::types::text_leaf;

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
