use std::fmt;
use std::str::FromStr;

use crate::types::{HostPattern, text_leaf};

/// Which origins may use a route, as browsers write them in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every one: `"*"`.
    Any,
    /// `null`, which pages from files and in sandboxed frames have in common.
    Null,
    /// `https://app.example.com`, with a port where it is not the scheme's own.
    Exact(String),
    /// One or more labels between both: `https://` and `.example.com`.
    Wildcard {
        /// The scheme with its `://`.
        scheme: String,
        /// The rest of the host with its leading dot, and the port.
        suffix: String,
    },
}

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an origin; {reason}")]
pub struct InvalidOrigin {
    found: String,
    reason: String,
}

impl OriginPattern {
    /// Whether a request's `Origin` is one of these. Browsers write it in lower case and without the scheme's own
    /// port, so that it is compared as it stands.
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == b"null",
            Self::Exact(exact) => origin == exact.as_bytes(),
            Self::Wildcard { scheme, suffix } => {
                let rest = origin.strip_prefix(scheme.as_bytes());
                rest.and_then(|rest| rest.strip_suffix(suffix.as_bytes())).is_some_and(is_labels)
            }
        }
    }
}

/// Nothing that would end the host before the suffix, as `/`, `:`, `@` and `#` do.
fn is_labels(text: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        let allowed =
            |&byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.iter().all(allowed)
    };
    text.split(|&byte| byte == b'.').all(is_label)
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let fail = |reason: &str| InvalidOrigin { found: text.to_owned(), reason: reason.to_owned() };
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower
            .split_once("://")
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| fail("write it with its scheme, like https://app.example.com"))?;
        if rest.contains(['/', '?', '#', '@']) {
            return Err(fail("an origin ends with its host or port; write no path, no query and no `/`"));
        }
        let (host, port) = split_port(rest).ok_or_else(|| fail("a port is 1 to 65535"))?;
        let host: HostPattern = host.parse().map_err(|error| fail(&format!("{error}")))?;
        // Browsers leave the scheme's own port out.
        let port = match (scheme, port) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        Ok(match host {
            HostPattern::Exact(host) => Self::Exact(format!("{scheme}://{host}{port}")),
            HostPattern::Wildcard(suffix) => {
                Self::Wildcard { scheme: format!("{scheme}://"), suffix: format!("{suffix}{port}") }
            }
        })
    }
}

/// RFC 3986 §3.1; extensions of browsers have schemes of their own.
fn is_scheme(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(allowed)
}

/// The host and the port behind it; an IPv6 address has colons of its own.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|&port| is_number && port != 0)?;
            Some((host, Some(port)))
        }
        _ => Some((text, None)),
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Null => f.write_str("null"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Wildcard { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
        }
    }
}

text_leaf!(OriginPattern, "an origin", "https://app.example.com");

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> OriginPattern {
        text.parse().unwrap()
    }

    #[test]
    fn is_read_in_the_form_that_browsers_send() {
        for (text, expected) in [
            ("HTTPS://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
            ("null", "null"),
            ("*", "*"),
        ] {
            assert_eq!(pattern(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "app.example.com",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://u@a.example",
            "https://a.*.example",
            "https://*",
            "https://a.example:0",
            "https://a.example:99999",
            "https://a.example:",
            "://a.example",
            "1x://a.example",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_exact_one_is_the_whole_text() {
        let app = pattern("https://app.example.com");
        assert!(app.matches(b"https://app.example.com"));
        for other in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://evil.example/https://app.example.com",
            "https://APP.example.com",
            "https://app.example.com ",
            "null",
            "",
        ] {
            assert!(!app.matches(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_whole_labels_only() {
        let any = pattern("https://*.example.com");
        assert!(any.matches(b"https://a.example.com") && any.matches(b"https://a.b-1.example.com"));
        for other in [
            "https://example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://evilexample.com",
            "https://evil.example/.example.com",
            "https://evil.example#.example.com",
            "https://evil.example:80.example.com",
            "https://evil@a.example.com",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://a\u{e9}.example.com",
        ] {
            assert!(!any.matches(other.as_bytes()), "{other:?}");
        }
    }
}
