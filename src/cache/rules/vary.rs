use std::borrow::Cow;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// What of a request its answer depends on (RFC 9111 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VaryOf {
    /// These fields, in order and once each; none where it depends on nothing.
    Fields(SmallVec<[HeaderName; 4]>),
    /// More than a cache can see.
    Everything,
}

/// What an answer says that it depends on.
pub(crate) fn vary_of(headers: &HeaderMap) -> VaryOf {
    let mut fields = SmallVec::new();
    for line in headers.get_all(VARY) {
        let names = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        for name in names.filter(|name| !name.is_empty()) {
            match HeaderName::from_bytes(name) {
                Ok(name) if name.as_str() != "*" => fields.push(name),
                _ => return VaryOf::Everything,
            }
        }
    }
    fields.sort_unstable_by(|one: &HeaderName, other| one.as_str().cmp(other.as_str()));
    fields.dedup();
    VaryOf::Fields(fields)
}

/// What a request says in a field, in a form that is the same for requests that mean the same: lines are united, space
/// around commas goes, and what is known not to depend on case is lower case. `None` where it says nothing.
pub(crate) fn normalised<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, [u8]>> {
    let ignores_case = *name == ACCEPT_ENCODING || *name == ACCEPT_LANGUAGE;
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let has_upper = |line: &[u8]| line.iter().any(u8::is_ascii_uppercase);
    let is_plain = |line: &[u8]| !(line.contains(&b',') || ignores_case && has_upper(line));
    let mut rest = lines.peekable();
    if rest.peek().is_none() && is_plain(first) {
        return Some(Cow::Borrowed(first.trim_ascii()));
    }
    let mut united = Vec::with_capacity(first.len());
    let lines = std::iter::once(first).chain(rest.map(http::HeaderValue::as_bytes));
    for (number, member) in lines.flat_map(|line| line.split(|&byte| byte == b',')).enumerate() {
        if number > 0 {
            united.push(b',');
        }
        united.extend_from_slice(member.trim_ascii());
    }
    if ignores_case {
        united.make_ascii_lowercase();
    }
    Some(Cow::Owned(united))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn fields_are_named_once_and_in_order() {
        for (lines, expected) in [
            (&["Foo"][..], &["foo"][..]),
            (&["foo,  Bar ,foo", "", "baz"], &["bar", "baz", "foo"]),
            (&[""], &[]),
        ] {
            let VaryOf::Fields(fields) = vary_of(&headers("vary", lines)) else { panic!("{lines:?}") };
            assert_eq!(fields.as_slice(), expected, "{lines:?}");
        }
        for lines in
            [&["*"][..], &["*, *"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["Foo", "*"], &["a b"]]
        {
            assert_eq!(vary_of(&headers("vary", lines)), VaryOf::Everything, "{lines:?}");
        }
    }

    #[test]
    fn what_means_the_same_looks_the_same() {
        let of = |name: &'static str, lines| {
            normalised(&headers(name, lines), &HeaderName::from_static(name)).map(Cow::into_owned)
        };
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(of("foo", &["1 , 2"]), text("1,2"));
        assert_eq!(of("foo", &["1", "2"]), text("1,2"));
        assert_eq!(of("foo", &["A"]), text("A"));
        assert_eq!(of("accept-encoding", &["GZIP,Br"]), text("gzip,br"));
        assert_eq!(of("accept-language", &["EN"]), text("en"));
        assert_eq!(of("foo", &[""]), text(""));
        assert_eq!(of("foo", &["", "1"]), text(",1"));
        assert_eq!(of("foo", &["1", ""]), text("1,"));
        assert_eq!(of("foo", &[]), None);
    }
}
