use std::time::{Duration, SystemTime};

use http::header::{
    CACHE_CONTROL, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, PRAGMA,
};
use http::{HeaderMap, StatusCode};

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

/// Whether a part of the answer may be sent: the client has no other part, or one of the very same answer (RFC 9110
/// §13.1.5). Weak validators do not tell.
pub(crate) fn is_range_fit(request: &HeaderMap, response: &HeaderMap) -> bool {
    let mut conditions = request.get_all(IF_RANGE).iter();
    let Some(condition) = conditions.next() else { return true };
    if conditions.next().is_some() {
        return false;
    }
    let condition = condition.as_bytes();
    if condition.starts_with(b"\"") {
        return response.get(ETAG).is_some_and(|etag| etag.as_bytes() == condition);
    }
    let date = |name| httpdate::parse_http_date(response.get(name)?.to_str().ok()?).ok();
    let is_strong = |modified: SystemTime| {
        // RFC 9110 §8.8.2.2.
        date(DATE)
            .is_some_and(|made: SystemTime| made.duration_since(modified).is_ok_and(|gap| gap.as_secs() >= 1))
    };
    let is_same = response.get(LAST_MODIFIED).is_some_and(|modified| modified.as_bytes() == condition);
    is_same && date(LAST_MODIFIED).is_some_and(is_strong)
}

/// Whether an answer that does not say when it was changed was made no later than the client knows of it (RFC 9111
/// §4.3.2).
pub(crate) fn is_known_by_date(request: &HeaderMap, status: StatusCode, response: &HeaderMap) -> bool {
    let is_asked_by_date = !request.contains_key(IF_NONE_MATCH) && !response.contains_key(LAST_MODIFIED);
    let date = |headers: &HeaderMap, name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let known = date(request, IF_MODIFIED_SINCE).filter(|_| is_asked_by_date && status == StatusCode::OK);
    known.is_some_and(|known| date(response, DATE).is_some_and(|made| made <= known))
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

    #[test]
    fn an_answer_without_a_date_of_change_is_known_by_its_own() {
        let (older, newer) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        let since = |date| headers(&[("if-modified-since", date)]);
        let (made, ok) = (headers(&[("date", older)]), StatusCode::OK);
        assert!(is_known_by_date(&since(older), ok, &made) && is_known_by_date(&since(newer), ok, &made));
        assert!(!is_known_by_date(&since(older), ok, &headers(&[("date", newer)])));
        assert!(!is_known_by_date(&since(newer), StatusCode::NOT_FOUND, &made));
        assert!(!is_known_by_date(&since(newer), ok, &headers(&[("date", older), ("last-modified", newer)])));
        assert!(!is_known_by_date(
            &headers(&[("if-none-match", "\"a\""), ("if-modified-since", newer)]),
            ok,
            &made
        ));
        assert!(!is_known_by_date(&HeaderMap::new(), ok, &made));
    }

    #[test]
    fn parts_are_of_one_answer() {
        let (older, newer) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        let stored = headers(&[("etag", "\"a\""), ("last-modified", older), ("date", newer)]);
        let is_fit = |value| is_range_fit(&headers(&[("if-range", value)]), &stored);
        assert!(is_fit("\"a\"") && is_fit(older));
        assert!(!is_fit("\"b\"") && !is_fit("W/\"a\"") && !is_fit(newer) && !is_fit("a"));
        assert!(is_range_fit(&HeaderMap::new(), &stored));
        let weak = headers(&[("etag", "W/\"a\""), ("last-modified", older), ("date", older)]);
        for value in ["W/\"a\"", "\"a\"", older] {
            assert!(!is_range_fit(&headers(&[("if-range", value)]), &weak), "{value}");
        }
    }
}
