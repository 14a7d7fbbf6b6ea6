use http::{HeaderMap, HeaderValue};

use crate::config::spec::SplitCookieSpec;
use crate::hooks::Scheme;
use crate::types::cookies;

/// A cookie with the number that a client's pool is chosen by.
#[derive(Debug)]
pub(super) struct SplitCookie {
    name: String,
    /// What follows the value.
    attributes: String,
}

/// Hexadecimal digits of a number.
const DIGITS: usize = 16;

impl SplitCookie {
    pub(super) fn new(spec: &SplitCookieSpec) -> Self {
        let age = spec.ttl.map(|ttl| format!("; Max-Age={}", ttl.get().as_secs())).unwrap_or_default();
        Self { name: spec.name.to_string(), attributes: format!("; Path=/{age}; HttpOnly; SameSite=Lax") }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number of a client that has one; what is none was not given by an edge.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<u64> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let mut numbers = cookies(headers, &self.name)
            .filter(|value| value.len() == DIGITS && value.iter().all(is_digit))
            .filter_map(|value| u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok());
        numbers.next()
    }

    /// The `Set-Cookie` of a number.
    pub(super) fn set(&self, number: u64, scheme: Scheme) -> Option<HeaderValue> {
        let Self { name, attributes } = self;
        let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
        HeaderValue::try_from(format!("{name}={number:0DIGITS$x}{attributes}{secure}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn cookie(ttl: &str) -> SplitCookie {
        SplitCookie::new(&serde_yaml::from_str(&format!("{{ name: side, {ttl} }}")).unwrap())
    }

    fn find(value: &str) -> Option<u64> {
        let value = HeaderValue::from_str(value).unwrap();
        cookie("").find(&HeaderMap::from_iter([(COOKIE, value)]))
    }

    #[test]
    fn a_number_comes_back() {
        let set = cookie("ttl: 1h").set(0xab, Scheme::Https).unwrap();
        assert_eq!(set, "side=00000000000000ab; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
        let set = cookie("").set(u64::MAX, Scheme::Http).unwrap();
        assert_eq!(set, "side=ffffffffffffffff; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(find("a=b; side=00000000000000ab"), Some(0xab));
        assert_eq!(find("side=x; side=ffffffffffffffff"), Some(u64::MAX));
    }

    #[test]
    fn what_no_edge_has_given_is_none() {
        for value in [
            "",
            "side=",
            "side=ab",
            "side=00000000000000AB",
            "side=+0000000000000ab",
            "other=00000000000000ab",
        ] {
            assert_eq!(find(value), None, "{value}");
        }
    }
}
