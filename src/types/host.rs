use std::fmt;
use std::str::FromStr;

use super::text_leaf;

/// A text that is no host name and no wildcard over one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a host; {reason}")]
pub struct InvalidHost {
    found: String,
    reason: &'static str,
}

/// Which hosts a route is for. Always lower case and without a port or a closing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `www.example.com`, `10.0.0.1` or `[::1]`
    Exact(String),
    /// `*.example.com`: one or more labels before the suffix, which is kept with its leading dot
    /// (`.example.com`).
    Wildcard(String),
}

/// RFC 1035 §2.3.4.
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

impl HostPattern {
    /// Whether `host` (already lower case, no port) is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let fail = |reason| Err(InvalidHost { found: text.to_owned(), reason });
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        let (wildcard, name) = match lower.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, lower.as_str()),
        };
        if name.contains('*') {
            return fail("`*` may stand only as the whole first label, as in *.example.com");
        }
        if name.contains('/') {
            return fail("write the host alone, without scheme and path");
        }
        let is_bracketed_ip = name.starts_with('[') && name.ends_with(']');
        if name.contains(':') && !is_bracketed_ip {
            return fail("write the host without a port");
        }
        if is_bracketed_ip {
            if wildcard || name[1..name.len() - 1].parse::<std::net::Ipv6Addr>().is_err() {
                return fail("an IPv6 host is an address in brackets, as in [::1]");
            }
            return Ok(Self::Exact(name.to_owned()));
        }
        if name.is_empty() || name.len() > MAX_HOST || !name.split('.').all(is_label) {
            return fail("a host is made of labels of 1 to 63 of a-z 0-9 - _ with dots between, 253 in all");
        }
        Ok(if wildcard { Self::Wildcard(format!(".{name}")) } else { Self::Exact(name.to_owned()) })
    }
}

/// Underscores are no host names in RFC 1123 but common in service names, so they pass.
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

text_leaf!(HostPattern, "a host or wildcard", "*.example.com");

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn is_read_in_one_canonical_form() {
        assert_eq!(pattern("WWW.Example.COM.").to_string(), "www.example.com");
        assert_eq!(pattern("*.Example.com").to_string(), "*.example.com");
        assert_eq!(pattern("[::1]").to_string(), "[::1]");
    }

    #[test]
    fn a_wildcard_needs_at_least_one_label_before_it() {
        assert!(pattern("*.example.com").matches("a.example.com"));
        assert!(pattern("*.example.com").matches("a.b.example.com"));
        assert!(!pattern("*.example.com").matches("example.com"));
        assert!(!pattern("*.example.com").matches("badexample.com"));
    }

    #[test]
    fn refuses_ports_schemes_and_inner_stars() {
        for text in ["", "a..b", "a.*.b", "*", "http://a", "a:80", "[::1", "[nope]", "a b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
        }
    }
}
