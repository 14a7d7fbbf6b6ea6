use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::control::{directives, seconds};

/// What a client asks of caches (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
}

impl Wishes {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut wishes = Self::default();
        let says_nothing = !headers.contains_key(CACHE_CONTROL);
        for line in headers.get_all(CACHE_CONTROL) {
            for (name, value) in directives(line.as_bytes()) {
                wishes.add(name, value);
            }
        }
        // RFC 9111 §5.4.
        let pragma = headers.get(PRAGMA).filter(|_| says_nothing);
        wishes.no_cache |= pragma.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
        wishes
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            self.max_age = Some(value.and_then(seconds).unwrap_or(0));
        } else if is("min-fresh") {
            self.min_fresh = value.and_then(seconds);
        }
    }

    /// Whether a fresh answer of this age, with so much left, is one that the client takes.
    pub(crate) fn accept(self, age: Duration, left: Duration) -> bool {
        !self.no_cache
            && self.max_age.is_none_or(|most| age <= Duration::from_secs(most))
            && self.min_fresh.is_none_or(|least| left >= Duration::from_secs(least))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn wishes_are_read_from_cache_control_and_pragma() {
        let of = |fields| Wishes::of(&headers(fields));
        assert_eq!(of(&[]), Wishes::default());
        assert!(of(&[("cache-control", "No-Store, only-if-cached")]).no_store);
        assert!(of(&[("cache-control", "only-if-cached")]).only_if_cached);
        assert!(of(&[("pragma", "no-cache")]).no_cache);
        assert!(!of(&[("pragma", "no-cache"), ("cache-control", "max-age=5")]).no_cache);
        assert_eq!(of(&[("cache-control", "max-age=x")]).max_age, Some(0));
    }

    #[test]
    fn a_fresh_answer_may_be_too_old_for_a_client() {
        let of = |value| Wishes::of(&headers(&[("cache-control", value)]));
        let secs = Duration::from_secs;
        for (wish, expected) in [
            ("max-age=10", true),
            ("max-age=9", false),
            ("min-fresh=50", true),
            ("min-fresh=51", false),
            ("no-cache", false),
            ("no-store", true),
        ] {
            assert_eq!(of(wish).accept(secs(10), secs(50)), expected, "{wish}");
        }
    }
}
