use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

/// The directives of a response, as a shared cache understands them (RFC 9111 §5.2.2, RFC 5861).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// Whether the directives came in a field for caches like this one (RFC 9213), so that `Expires` is of no account.
    pub(crate) is_targeted: bool,
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    /// The fields that may not be reused without being validated.
    pub(crate) no_cache_fields: Vec<HeaderName>,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
}

/// Longer times are as good as this (RFC 9111 §1.2.2).
const LONGEST: u64 = 1 << 31;

impl Control {
    /// The directives of the first field of `targeted` that there is, or of `Cache-Control`.
    pub(crate) fn of(headers: &HeaderMap, targeted: &[HeaderName]) -> Self {
        let is_said = |name: &&HeaderName| headers.get_all(*name).iter().any(|line| !line.is_empty());
        match targeted.iter().find(is_said) {
            Some(name) => Self { is_targeted: true, ..Self::of_field(headers, name) },
            None => Self::of_field(headers, &CACHE_CONTROL),
        }
    }

    fn of_field(headers: &HeaderMap, name: &HeaderName) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(name) {
            for (name, value) in directives(line.as_bytes()) {
                control.add(name, value);
            }
        }
        control
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            match value.and_then(field_names) {
                Some(names) => self.no_cache_fields.extend(names),
                None => self.no_cache = true,
            }
        } else if is("private") {
            // With the names of fields, the rest could be stored; which is not worth the risk.
            self.private = true;
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("max-age") {
            lower(&mut self.max_age, value);
        } else if is("s-maxage") {
            lower(&mut self.s_maxage, value);
        } else if is("stale-while-revalidate") {
            lower(&mut self.stale_while_revalidate, value);
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, value);
        }
    }

    /// Whether the origin forbids that a stale answer is ever given.
    pub(crate) fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some() || self.no_cache
    }
}

/// Of several values the shortest counts, and one that cannot be read is none at all (RFC 9111 §4.2.1).
fn lower(known: &mut Option<u64>, value: Option<&[u8]>) {
    let seconds = value.and_then(seconds).unwrap_or(0);
    *known = Some(known.map_or(seconds, |known| known.min(seconds)));
}

/// Digits, in quotation marks or without (RFC 9111 §5.2).
pub(super) fn seconds(value: &[u8]) -> Option<u64> {
    let value = unquoted(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: Option<u64> = std::str::from_utf8(value).ok()?.parse().ok();
    Some(number.map_or(LONGEST, |number| number.min(LONGEST)))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The names in the value of `no-cache`; `None` where they are none, so that all of the answer is meant.
fn field_names(value: &[u8]) -> Option<Vec<HeaderName>> {
    let names = unquoted(value).split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let names = names.filter(|name| !name.is_empty()).map(HeaderName::from_bytes);
    names.collect::<Result<Vec<_>, _>>().ok().filter(|names| !names.is_empty())
}

/// The directives of a line, with their values. Parameters after a `;`, which structured fields have, mean nothing.
pub(super) fn directives(line: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    members(line).map(|member| {
        let end = outside_quotes(member, b';').unwrap_or(member.len());
        let member = member[..end].trim_ascii();
        match outside_quotes(member, b'=') {
            Some(at) => (&member[..at], Some(&member[at + 1..])),
            None => (member, None),
        }
    })
}

/// The members of a list, split at commas outside of quotation marks.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (member, after) = match outside_quotes(line, b',') {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        rest = after;
        Some(member.trim_ascii())
    })
    .filter(|member| !member.is_empty())
}

fn outside_quotes(text: &[u8], wanted: u8) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.iter().position(|&byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            _ if was_escaped => {}
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            byte => return byte == wanted && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[&'static str]) -> Control {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        Control::of(&headers, &[])
    }

    #[test]
    fn times_are_read_strictly() {
        for (line, expected) in [
            ("max-age=3600", Some(3600)),
            ("max-age=\"3600\"", Some(3600)),
            ("MaX-aGe=003600", Some(3600)),
            ("max-age=99999999999999999999999", Some(LONGEST)),
            ("max-age='3600'", Some(0)),
            ("max-age=3600.0", Some(0)),
            ("max-age=-1", Some(0)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("max-age= 3600", Some(0)),
            ("max-age =3600", None),
            ("extension=\"max-age=3600\"", None),
            ("extension=\"max-age=3600, max-age=100\"", None),
            ("extension=\"max-age=3600\", max-age=1", Some(1)),
            ("e=\"\\\", max-age=9\", max-age=1", Some(1)),
            ("max-age=3600;p=1, foo", Some(3600)),
            ("max-age=1800, max-age=1", Some(1)),
            (",, ,max-age=5,", Some(5)),
        ] {
            assert_eq!(of(&[line]).max_age, expected, "{line}");
        }
        assert_eq!(of(&["max-age=1800", "max-age=5"]).max_age, Some(5));
    }

    #[test]
    fn directives_are_found_in_any_case_and_place() {
        let control = of(&["foo, No-StOrE", "private=\"a\", public", "must-understand, proxy-revalidate"]);
        assert!(control.no_store && control.private && control.public);
        assert!(control.must_understand && control.proxy_revalidate && control.forbids_stale());
        assert!(!control.no_cache && !control.must_revalidate);
        assert!(!of(&["max-age=5"]).forbids_stale());
        for line in ["s-maxage=5", "no-cache", "must-revalidate"] {
            assert!(of(&[line]).forbids_stale(), "{line}");
        }
    }

    #[test]
    fn no_cache_may_name_fields() {
        let control = of(&["no-cache=\"a, B\", max-age=5"]);
        assert_eq!(control.no_cache_fields, ["a", "b"]);
        assert!(!control.no_cache && control.max_age == Some(5));
        for line in ["no-cache", "no-cache=\"\"", "no-cache=\"a b\""] {
            assert!(of(&[line]).no_cache, "{line}");
        }
    }

    #[test]
    fn a_field_for_caches_like_this_one_stands_for_all() {
        let targeted = [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("other")];
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        assert!(Control::of(&headers, &targeted).no_store);
        headers.insert("other", HeaderValue::from_static("max-age=60"));
        let control = Control::of(&headers, &targeted);
        assert_eq!((control.no_store, control.max_age, control.is_targeted), (false, Some(60), true));
        headers.insert("cdn-cache-control", HeaderValue::from_static("max-age=5"));
        assert_eq!(Control::of(&headers, &targeted).max_age, Some(5));
        headers.insert("cdn-cache-control", HeaderValue::from_static(""));
        assert_eq!(Control::of(&headers, &targeted).max_age, Some(60));
    }
}
