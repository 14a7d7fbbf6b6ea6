//! What a request shows to be let in, a key or a token, and how it is taken off the request.

mod source;

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};

use crate::filters::headers::{are_alike, strip_claims};
use crate::hooks::{HookError, RequestView};
use crate::types::{cookies, escaped_byte};

pub use source::{CredentialSource, InvalidCredentialSource};
pub(super) use source::{check_sources, credentials, is_shown_in};

/// The credentials that a request shows, as `T`s made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown<T> {
    Nothing,
    One(T),
    /// Several that differ: which of them counts, the edge and an endpoint could see in different ways.
    Several,
}

impl<T: PartialEq> Shown<T> {
    fn with(self, credential: T) -> Self {
        match self {
            Self::Nothing => Self::One(credential),
            Self::One(known) if known == credential => Self::One(known),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// What the request shows in these places.
pub(super) fn shown<T: PartialEq>(
    sources: &[CredentialSource],
    request: &RequestView<'_>,
    read: impl Fn(&[u8]) -> T,
) -> Shown<T> {
    let mut shown = Shown::Nothing;
    for source in sources {
        shown = match source {
            CredentialSource::Header(name) => {
                let fields = request.headers().get_all(&name.0).iter();
                fields.fold(shown, |shown, field| shown.with(read(key_in(&name.0, field))))
            }
            CredentialSource::Query(name) => {
                let named = parameters_named(name, request.query().unwrap_or_default());
                named.fold(shown, |shown, value| shown.with(read(&decoded(value))))
            }
            CredentialSource::Cookie(name) => {
                cookies(request.headers(), name).fold(shown, |shown, value| shown.with(read(value)))
            }
        };
        // What follows cannot make one of several.
        if shown == Shown::Several {
            break;
        }
    }
    match shown {
        Shown::One(_) => beside_imitations(shown, sources, request, read),
        Shown::Nothing | Shown::Several => shown,
    }
}

/// What stands under a name that an endpoint may take for that of a header lets nobody in, and may be no other than what does.
fn beside_imitations<T: PartialEq>(
    shown: Shown<T>,
    sources: &[CredentialSource],
    request: &RequestView<'_>,
    read: impl Fn(&[u8]) -> T,
) -> Shown<T> {
    let imitates = |found: &HeaderName| {
        let is_of = |source: &CredentialSource| match source {
            CredentialSource::Header(name) => name.0 != *found && are_alike(&name.0, found),
            CredentialSource::Query(_) | CredentialSource::Cookie(_) => false,
        };
        sources.iter().any(is_of)
    };
    let fields = request.headers().iter().filter(|(found, _)| imitates(found));
    fields.fold(shown, |shown, (_, field)| shown.with(read(field.as_bytes())))
}

/// Takes what the request shows in these places off it.
///
/// # Errors
/// When what is left is no target any more.
pub(super) fn strip(sources: &[CredentialSource], request: &mut RequestView<'_>) -> Result<(), HookError> {
    for source in sources {
        match source {
            CredentialSource::Header(name) => strip_claims(std::slice::from_ref(&name.0), request),
            CredentialSource::Query(name) => strip_parameter(name, request)?,
            CredentialSource::Cookie(name) => strip_cookie(name, request)?,
        }
    }
    Ok(())
}

fn strip_cookie(name: &str, request: &mut RequestView<'_>) -> Result<(), HookError> {
    if cookies(request.headers(), name).next().is_none() {
        return Ok(());
    }
    let fields = request.headers().get_all(COOKIE).iter();
    let all = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let is_named =
        |pair: &[u8]| pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='));
    let kept: Vec<_> = all.filter(|pair| !pair.is_empty() && !is_named(pair)).collect();
    if kept.is_empty() {
        request.remove_header(&COOKIE);
        return Ok(());
    }
    let kept = HeaderValue::try_from(kept.join(&b"; "[..]));
    request.set_header(COOKIE, kept.map_err(|_| HookError::new("the cookies that are left fit no header"))?)
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

/// The values of the parameters of that name, however it is escaped.
pub(super) fn parameters_named<'q>(name: &str, query: &'q str) -> impl Iterator<Item = &'q str> {
    let pairs = query.split('&').map(split_pair);
    pairs.filter(|(found, _)| *decoded(found) == *name.as_bytes()).map(|(_, value)| value)
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

    fn sources() -> Vec<CredentialSource> {
        let yaml = "[{ header: X-Key }, { header: Authorization }, { query: key }, { cookie: k }]";
        serde_yaml::from_str(yaml).unwrap()
    }

    /// What a request shows, and its target without it.
    fn read(mut exchange: Exchange) -> (Shown<Vec<u8>>, String) {
        let shown = exchange.with_request(|request, _| {
            let shown = shown(&sources(), request, <[u8]>::to_vec);
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
        let one = Shown::One(b"a+b/c".to_vec());
        for (exchange, target) in [
            (get("/x?y=1").with_header("x-key", "a+b/c"), "/x?y=1"),
            (get("/x").with_header("authorization", "bEaReR  a+b/c"), "/x"),
            (get("/x?key=a+b/c").with_header("x_key", "a+b/c"), "/x"),
            (get("/x?y=1&key=a%2bb%2Fc&z"), "/x?y=1&z"),
            (get("/x?y=%41&%6Bey=a+b/c"), "/x?y=%41"),
            (get("/x?key=a+b/c&key=a%2Bb/c").with_header("x-key", "a+b/c"), "/x"),
            (get("/x").with_header("cookie", "a=1;k=a+b/c; b=2"), "/x"),
            (get("/x").with_header("cookie", "k=a+b/c").with_header("cookie", "k=a+b/c"), "/x"),
        ] {
            assert_eq!(read(exchange), (one.clone(), target.to_owned()));
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
            get("/").with_header("x-key", "a").with_header("cookie", "k=b"),
            get("/").with_header("cookie", "k=a; k=b"),
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
        assert_eq!(read(get("/?key")), (Shown::One(vec![]), "/".to_owned()));
        assert_eq!(read(get("/?key=%zz%4")).0, Shown::One(b"%zz%4".to_vec()));
    }

    #[test]
    fn other_cookies_stay() {
        for (cookies, left) in [
            (&["a=1;k=x; b=2"][..], Some("a=1; b=2")),
            (&["k=x"], None),
            (&["k=x", "a=1", "k=y; b"], Some("a=1; b")),
            (&["K=x; kk=y; k"], Some("K=x; kk=y; k")),
        ] {
            let mut exchange = cookies.iter().fold(get("/"), |all, field| all.with_header("cookie", field));
            exchange.with_request(|request, _| strip(&sources(), request)).unwrap();
            let found = exchange.request_headers().get(COOKIE).map(|field| field.to_str().unwrap());
            assert_eq!(found, left, "{cookies:?}");
        }
    }
}
