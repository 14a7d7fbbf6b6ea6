//! Which keys a request shows, and how they are taken off it.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use crate::filters::headers::{are_alike, strip_claims};
use crate::hooks::{HookError, RequestView};

use crate::types::escaped_byte;

use super::KeySource;
use super::keys::Digest;

/// The keys that a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    One(Digest),
    /// Several that differ: which of them counts, the edge and an endpoint could see in different ways.
    Several,
}

impl Shown {
    fn with(self, key: &[u8]) -> Self {
        let key = Digest::of(key);
        match self {
            Self::Nothing => Self::One(key),
            Self::One(known) if known == key => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// What the request shows in these places.
pub(super) fn shown(sources: &[KeySource], request: &RequestView<'_>) -> Shown {
    let mut shown = Shown::Nothing;
    for source in sources {
        match source {
            KeySource::Header(name) => {
                let fields = request.headers().get_all(&name.0).iter();
                shown = fields.fold(shown, |shown, field| shown.with(key_in(&name.0, field)));
            }
            KeySource::Query(name) => {
                let parameters = parameters(request.query().unwrap_or_default());
                let named = parameters.filter(|(found, _)| *decoded(found) == *name.as_bytes());
                shown = named.fold(shown, |shown, (_, value)| shown.with(&decoded(value)));
            }
        }
        // What follows cannot make one of several.
        if shown == Shown::Several {
            break;
        }
    }
    match shown {
        Shown::One(_) => beside_imitations(shown, sources, request),
        Shown::Nothing | Shown::Several => shown,
    }
}

/// A key under a name that an endpoint may take for that of a header lets nobody in, and may be no other than the one that does.
fn beside_imitations(shown: Shown, sources: &[KeySource], request: &RequestView<'_>) -> Shown {
    let imitates = |found: &HeaderName| {
        let is_of = |source: &KeySource| match source {
            KeySource::Header(name) => name.0 != *found && are_alike(&name.0, found),
            KeySource::Query(_) => false,
        };
        sources.iter().any(is_of)
    };
    let fields = request.headers().iter().filter(|(found, _)| imitates(found));
    fields.fold(shown, |shown, (_, field)| shown.with(field.as_bytes()))
}

/// Takes what the request shows in these places off it.
///
/// # Errors
/// When what is left is no target any more.
pub(super) fn strip(sources: &[KeySource], request: &mut RequestView<'_>) -> Result<(), HookError> {
    for source in sources {
        match source {
            KeySource::Header(name) => strip_claims(std::slice::from_ref(&name.0), request),
            KeySource::Query(name) => strip_parameter(name, request)?,
        }
    }
    Ok(())
}

fn strip_parameter(name: &str, request: &mut RequestView<'_>) -> Result<(), HookError> {
    let Some(query) = request.query() else { return Ok(()) };
    let is_named = |pair: &&str| *decoded(split_pair(pair).0) == *name.as_bytes();
    if !query.split('&').any(|pair| is_named(&pair)) {
        return Ok(());
    }
    let kept: Vec<_> = query.split('&').filter(|pair| !is_named(pair)).collect();
    let target = match kept.is_empty() {
        true => request.path().to_owned(),
        false => format!("{}?{}", request.path(), kept.join("&")),
    };
    request.set_path_and_query(&target)
}

/// The key in a header; in `Authorization`, after its scheme (RFC 6750 §2.1). Another scheme's credentials are no key.
fn key_in<'f>(name: &HeaderName, field: &'f HeaderValue) -> &'f [u8] {
    let field = field.as_bytes();
    if name != AUTHORIZATION {
        return field;
    }
    const SCHEME: &[u8] = b"bearer ";
    match field.split_at_checked(SCHEME.len()) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(SCHEME) => key.trim_ascii_start(),
        _ => b"",
    }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(split_pair)
}

fn split_pair(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// The bytes that a text with percent signs stands for. A plus is a plus: keys have some, and URLs that are not made by a
/// form mean no space by it.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.split_at_checked(2).filter(|_| byte == b'%');
        let escaped = digits.and_then(|(digits, behind)| Some((escaped_byte(digits[0], digits[1])?, behind)));
        let (byte, behind) = escaped.unwrap_or((byte, behind));
        bytes.push(byte);
        rest = behind;
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::Exchange;

    fn sources() -> Vec<KeySource> {
        serde_yaml::from_str("[{ header: X-Key }, { header: Authorization }, { query: key }]").unwrap()
    }

    /// What a request shows, and its target without it.
    fn read(mut exchange: Exchange) -> (Shown, String) {
        let shown = exchange.with_request(|request, _| {
            let shown = shown(&sources(), request);
            strip(&sources(), request).unwrap();
            shown
        });
        assert!(exchange.request_headers().get("x-key").is_none());
        assert!(exchange.request_headers().get("x_key").is_none());
        assert!(exchange.request_headers().get("authorization").is_none());
        (shown, exchange.target().to_owned())
    }

    fn get(target: &str) -> Exchange {
        Exchange::get(target, Instant::now())
    }

    #[test]
    fn is_found_in_each_place_and_taken_off() {
        let one = Shown::One(Digest::of(b"a+b/c"));
        for (exchange, target) in [
            (get("/x?y=1").with_header("x-key", "a+b/c"), "/x?y=1"),
            (get("/x").with_header("authorization", "bEaReR  a+b/c"), "/x"),
            (get("/x?key=a+b/c").with_header("x_key", "a+b/c"), "/x"),
            (get("/x?y=1&key=a%2bb%2Fc&z"), "/x?y=1&z"),
            (get("/x?y=%41&%6Bey=a+b/c"), "/x?y=%41"),
            (get("/x?key=a+b/c&key=a%2Bb/c").with_header("x-key", "a+b/c"), "/x"),
        ] {
            assert_eq!(read(exchange), (one, target.to_owned()));
        }
    }

    #[test]
    fn several_that_differ_are_none() {
        for exchange in [
            get("/?key=a&key=b"),
            get("/?key=a").with_header("x-key", "b"),
            get("/").with_header("x-key", "a").with_header("X_Key", "b"),
            get("/?key=a").with_header("X_Key", "b"),
            get("/").with_header("x-key", "a").with_header("x-key", "b"),
            get("/?key=a").with_header("authorization", "Basic a"),
        ] {
            assert_eq!(read(exchange), (Shown::Several, "/".to_owned()));
        }
    }

    #[test]
    fn other_parameters_are_not_taken_for_it() {
        for target in ["/", "/?", "/?Key=a", "/?keys=a", "/?a=key=b", "/key=a", "/?%ff=a&%=b&%4=c"] {
            assert_eq!(read(get(target)), (Shown::Nothing, target.to_owned()));
        }
        assert_eq!(read(get("/").with_header("x_key", "a")).0, Shown::Nothing);
        assert_eq!(read(get("/?key")), (Shown::One(Digest::of(b"")), "/".to_owned()));
        assert_eq!(read(get("/?key=%zz%4")).0, Shown::One(Digest::of(b"%zz%4")));
    }
}
