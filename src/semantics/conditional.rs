use std::time::{Duration, SystemTime};

use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, Method};

use crate::types::http_date;

/// What tells one state of a representation from another (RFC 9110 §8.8).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// With its quotes, and `W/` before them for a weak one.
    pub(crate) etag: Option<&'a [u8]>,
    pub(crate) modified: Option<SystemTime>,
}

/// What becomes of a request for something that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// It is served.
    Holds,
    /// The client has it already: 304.
    NotModified,
    /// It is not what the client takes it for: 412.
    Failed,
}

impl<'a> Validators<'a> {
    /// Those of a response.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let etag = headers.get(ETAG).map(|etag| etag.as_bytes().trim_ascii());
        Self { etag, modified: http_date(headers, &LAST_MODIFIED) }
    }

    /// Judges the conditions of a request in the order of RFC 9110 §13.2.2.
    pub(crate) fn judge(&self, method: &Method, headers: &HeaderMap) -> Precondition {
        if headers.contains_key(IF_MATCH) {
            if !self.matches(headers, &IF_MATCH, Comparison::Strong) {
                return Precondition::Failed;
            }
        } else if let (Some(date), Some(modified)) =
            (http_date(headers, &IF_UNMODIFIED_SINCE), self.modified_second())
            && modified > date
        {
            return Precondition::Failed;
        }
        let is_read = *method == Method::GET || *method == Method::HEAD;
        if headers.contains_key(IF_NONE_MATCH) {
            return match self.matches(headers, &IF_NONE_MATCH, Comparison::Weak) {
                false => Precondition::Holds,
                true if is_read => Precondition::NotModified,
                true => Precondition::Failed,
            };
        }
        match (http_date(headers, &IF_MODIFIED_SINCE), self.modified_second()) {
            (Some(date), Some(modified)) if is_read && modified <= date => Precondition::NotModified,
            _ => Precondition::Holds,
        }
    }

    /// Whether parts may be served: there is no `If-Range`, or it names just this state, and for certain (RFC 9110
    /// §13.1.5).
    pub(crate) fn allows_ranges(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let mut fields = headers.get_all(IF_RANGE).into_iter();
        let Some(field) = fields.next() else { return true };
        if fields.next().is_some() {
            return false;
        }
        let field = field.as_bytes().trim_ascii();
        if field.contains(&b'"') {
            let mut named = entity_tags(field);
            let is_it = self.etag.is_some_and(|etag| Comparison::Strong.is_equal(named.next(), etag));
            return is_it && named.next().is_none();
        }
        // A date is certain only once no other change can bear it (RFC 9110 §8.8.2.2).
        let is_settled = |modified: &SystemTime| now >= *modified + Duration::from_secs(1);
        match (http_date(headers, &IF_RANGE), self.modified_second().filter(is_settled)) {
            (Some(date), Some(modified)) => date == modified,
            _ => false,
        }
    }

    fn matches(&self, headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> bool {
        let mut fields = headers.get_all(name).into_iter().map(|field| field.as_bytes().trim_ascii());
        fields.any(|field| {
            field == b"*"
                || self
                    .etag
                    .is_some_and(|etag| entity_tags(field).any(|tag| comparison.is_equal(Some(tag), etag)))
        })
    }

    /// Dates of HTTP have whole seconds.
    fn modified_second(&self) -> Option<SystemTime> {
        let since = self.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()))
    }
}

/// How two entity tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

impl Comparison {
    fn is_equal(self, one: Option<&[u8]>, other: &[u8]) -> bool {
        let Some(one) = one else { return false };
        match self {
            Self::Strong => one == other && !other.starts_with(b"W/"),
            Self::Weak => opaque(one) == opaque(other),
        }
    }
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The entity tags of a list, which may hold commas. The rest of a list that is broken is left out.
pub(crate) fn entity_tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        rest = &rest[start..];
        let quote = if rest.starts_with(b"W/") { 2 } else { 0 };
        if rest.get(quote) != Some(&b'"') {
            rest = &[];
            return None;
        }
        let opaque = rest[quote + 1..].iter().position(|&byte| byte == b'"')?;
        let (tag, after) = rest.split_at(quote + opaque + 2);
        rest = after;
        Some(tag)
    })
}

/// When a response was made.
pub(crate) fn made_at(headers: &HeaderMap) -> Option<SystemTime> {
    http_date(headers, &DATE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, and a bit.
    fn modified() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_400)
    }

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const OBSOLETE: &str = "Sunday, 06-Nov-94 08:49:37 GMT";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn judge(fields: &[(&'static str, &str)]) -> Precondition {
        let validators = Validators { etag: Some(b"\"a,b\""), modified: Some(modified()) };
        validators.judge(&Method::GET, &headers(fields))
    }

    #[test]
    fn a_client_that_has_it_gets_it_not_again() {
        for field in ["\"a,b\"", "W/\"a,b\"", "*", "\"x\", W/\"a,b\"", " ,, \"x\" ,\"a,b\","] {
            assert_eq!(judge(&[("if-none-match", field)]), Precondition::NotModified, "{field}");
        }
        assert_eq!(
            judge(&[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")]),
            Precondition::NotModified
        );
        for field in ["\"a\"", "a,b", "\"a", "", "\"x\", a, \"a,b\"", "w/\"a,b\""] {
            assert_eq!(judge(&[("if-none-match", field)]), Precondition::Holds, "{field}");
        }
        assert_eq!(judge(&[("if-modified-since", THEN)]), Precondition::NotModified);
        assert_eq!(judge(&[("if-modified-since", OBSOLETE)]), Precondition::NotModified);
        assert_eq!(judge(&[("if-modified-since", BEFORE)]), Precondition::Holds);
        assert_eq!(judge(&[("if-modified-since", "yesterday")]), Precondition::Holds);
        assert_eq!(judge(&[("if-modified-since", THEN), ("if-modified-since", THEN)]), Precondition::Holds);
    }

    #[test]
    fn the_tag_counts_more_than_the_date() {
        assert_eq!(judge(&[("if-none-match", "\"x\""), ("if-modified-since", THEN)]), Precondition::Holds);
        assert_eq!(judge(&[("if-match", "\"a,b\""), ("if-unmodified-since", BEFORE)]), Precondition::Holds);
    }

    #[test]
    fn a_condition_that_does_not_hold_fails() {
        for field in ["\"x\"", "W/\"a,b\"", "a,b", ""] {
            assert_eq!(judge(&[("if-match", field)]), Precondition::Failed, "{field}");
        }
        assert_eq!(judge(&[("if-match", "*")]), Precondition::Holds);
        assert_eq!(judge(&[("if-unmodified-since", BEFORE)]), Precondition::Failed);
        assert_eq!(judge(&[("if-unmodified-since", THEN)]), Precondition::Holds);
        let both = [("if-match", "\"x\""), ("if-none-match", "\"a,b\"")];
        assert_eq!(judge(&both), Precondition::Failed);
        let validators = Validators { etag: Some(b"\"a,b\""), modified: None };
        let fields = headers(&[("if-none-match", "*")]);
        assert_eq!(validators.judge(&Method::PUT, &fields), Precondition::Failed);
    }

    #[test]
    fn parts_are_of_the_very_same_state() {
        let validators = Validators { etag: Some(b"\"a\""), modified: Some(modified()) };
        let later = modified() + Duration::from_secs(5);
        let allows = |fields: &[(&'static str, &str)], now| validators.allows_ranges(&headers(fields), now);
        assert!(allows(&[], later));
        assert!(allows(&[("if-range", "\"a\"")], later));
        assert!(allows(&[("if-range", THEN)], later));
        for field in ["\"b\"", "W/\"a\"", "\"a\", \"b\"", "\"b\", \"a\"", "*", BEFORE, "", "a"] {
            assert!(!allows(&[("if-range", field)], later), "{field}");
        }
        assert!(!allows(&[("if-range", THEN)], modified()));
        assert!(!allows(&[("if-range", "\"a\""), ("if-range", "\"a\"")], later));
        let weak = Validators { etag: Some(b"W/\"a\""), modified: None };
        assert!(!weak.allows_ranges(&headers(&[("if-range", "W/\"a\"")]), later));
    }
}
