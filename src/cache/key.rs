use http::HeaderMap;

use super::Plan;
use super::rules::normalised;
use crate::types::{VarName, cookies};

/// What a request asks for, in the words of the edge and of whom it asks: nothing that a client can say without being
/// believed stands in for any of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) route: &'a str,
    pub(crate) pool: &'a str,
    /// As endpoints are told it.
    pub(crate) scheme: &'a [u8],
    /// The `Host` that the client asked for, as endpoints are told it, and the one that is forwarded.
    pub(crate) asked_host: &'a [u8],
    pub(crate) host: &'a [u8],
    /// As they are forwarded.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The path and query that the client asked for, where filters have changed them.
    pub(crate) asked: Option<&'a str>,
    /// What else a trusted proxy tells endpoints.
    pub(crate) told: &'a [u8],
}

impl Target<'_> {
    /// All that answers depend on, each part with its length before it, so that no two targets look alike. `var` tells the
    /// values of variables.
    pub(crate) fn key<'v>(
        &self,
        headers: &HeaderMap,
        var: impl Fn(&VarName) -> Option<&'v [u8]>,
        plan: &Plan,
    ) -> Vec<u8> {
        let mut key = Vec::with_capacity(160);
        // What stands first is what `target_of` gives.
        for part in [self.route.as_bytes(), self.scheme] {
            add(&mut key, Some(part));
        }
        add_host(&mut key, self.asked_host);
        add(&mut key, Some(self.path.as_bytes()));
        add(&mut key, self.query.filter(|_| !plan.ignores_query).map(str::as_bytes));
        add(&mut key, Some(self.pool.as_bytes()));
        add_host(&mut key, self.host);
        let asked = self.asked.map(|asked| match asked.split_once('?') {
            Some((path, _)) if plan.ignores_query => path,
            _ => asked,
        });
        add(&mut key, asked.map(str::as_bytes));
        add(&mut key, Some(self.told));
        for name in &plan.key_headers {
            add(&mut key, normalised(headers, name).as_deref());
        }
        for name in &plan.key_cookies {
            // Which of several an endpoint reads is its own affair.
            let values: Vec<&[u8]> = cookies(headers, name).collect();
            add(&mut key, (!values.is_empty()).then(|| values.join(&b';')).as_deref());
        }
        for name in &plan.key_vars {
            add(&mut key, var(name));
        }
        key
    }
}

/// The parts of a key that operators know answers by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'k> {
    pub(super) scheme: &'k [u8],
    pub(super) host: &'k [u8],
    pub(super) path: &'k [u8],
    pub(super) query: Option<&'k [u8]>,
    /// The path and query as clients ask for them, where they are others.
    pub(super) asked: Option<&'k [u8]>,
}

/// How many parts of a key tell the target within the store: route, scheme, host, path and query.
const OF_TARGET: usize = 5;

/// The parts of a key that all answers for a target share, whatever else they depend on: what removes one of them removes them
/// all. Of what is no key it is the whole.
pub(super) fn target_of(key: &[u8]) -> &[u8] {
    let mut rest = key;
    let is_key = (0..OF_TARGET).all(|_| next_part(&mut rest).is_some());
    if is_key { &key[..key.len() - rest.len()] } else { key }
}

/// Takes the next part of a key off it, which may be that there is none.
fn next_part<'k>(rest: &mut &'k [u8]) -> Option<Option<&'k [u8]>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let length = if length == u32::MAX { None } else { Some(usize::try_from(length).ok()?) };
    let (part, after) = after.split_at_checked(length.unwrap_or(0))?;
    *rest = after;
    Some(length.map(|_| part))
}

impl<'k> Asked<'k> {
    pub(super) fn of(key: &'k [u8]) -> Option<Self> {
        let mut rest = key;
        let mut part = || next_part(&mut rest);
        let _route = part()??;
        let (scheme, host, path, query) = (part()??, part()??, part()??, part()?);
        let [_pool, _forwarded_host] = [part()??, part()??];
        let asked = Self { scheme, host, path, query, asked: part()? };
        let _told = part()??;
        Some(asked)
    }
}

fn add_host(key: &mut Vec<u8>, host: &[u8]) {
    let start = add(key, Some(host));
    key[start..].make_ascii_lowercase();
}

/// Adds a part, or that there is none; where it begins.
fn add(key: &mut Vec<u8>, part: Option<&[u8]>) -> usize {
    let length = part.map_or(u32::MAX, |part| part.len() as u32);
    key.extend_from_slice(&length.to_be_bytes());
    let start = key.len();
    key.extend_from_slice(part.unwrap_or_default());
    start
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, HOST};
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn target() -> Target<'static> {
        Target {
            route: "r",
            pool: "p",
            scheme: b"http",
            asked_host: b"Example.com",
            host: b"example.com",
            path: "/a",
            query: Some("b"),
            asked: None,
            told: b"",
        }
    }

    #[test]
    fn targets_differ_in_every_part() {
        let headers = HeaderMap::new();
        let of = |target: Target<'_>| target.key(&headers, |_| None, &Plan::default());
        let known = of(target());
        assert_eq!(of(Target { asked_host: b"EXAMPLE.COM", ..target() }), known);
        let asked =
            Asked { scheme: b"http", host: b"example.com", path: b"/a", query: Some(b"b"), asked: None };
        assert_eq!(Asked::of(&known), Some(asked));
        assert_eq!(Asked::of(&known[..known.len() - 1]), None);
        for other in [
            Target { route: "x", ..target() },
            Target { pool: "x", ..target() },
            Target { scheme: b"https", ..target() },
            Target { asked_host: b"example.com:81", ..target() },
            Target { host: b"other.example", ..target() },
            Target { path: "/A", ..target() },
            Target { path: "/ab", query: None, ..target() },
            Target { query: None, ..target() },
            Target { query: Some(""), ..target() },
            Target { route: "rp", pool: "", ..target() },
            Target { asked: Some("/b"), ..target() },
            Target { told: b"x-forwarded-port 81", ..target() },
        ] {
            assert_ne!(of(other), known, "{other:?}");
        }
    }

    #[test]
    fn a_target_is_the_same_for_all_its_variants() {
        let headers: HeaderMap = [(ACCEPT, HeaderValue::from_static("a"))].into_iter().collect();
        let plan = Plan { key_headers: vec![ACCEPT], ..Plan::default() };
        let plain = target().key(&HeaderMap::new(), |_| None, &Plan::default());
        let of = |target: Target<'_>| target.key(&headers, |_| None, &plan);
        for same in [
            target(),
            Target { pool: "x", ..target() },
            Target { host: b"other.example", ..target() },
            Target { asked: Some("/b"), ..target() },
            Target { told: b"x-forwarded-port 81", ..target() },
        ] {
            let key = of(same);
            assert_ne!(key, plain);
            assert_eq!(target_of(&key), target_of(&plain), "{same:?}");
        }
        for other in [
            Target { route: "x", ..target() },
            Target { scheme: b"https", ..target() },
            Target { asked_host: b"other.example", ..target() },
            Target { path: "/ab", ..target() },
            Target { query: None, ..target() },
        ] {
            assert_ne!(target_of(&of(other)), target_of(&plain), "{other:?}");
        }
        assert_eq!(target_of(b"no key"), b"no key");
    }

    #[test]
    fn only_what_is_listed_counts_besides() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("spoofed.example"));
        headers.insert(ACCEPT, HeaderValue::from_static("a , b"));
        headers.insert(COOKIE, HeaderValue::from_static("x=1; lang=de"));
        let none = HeaderMap::new();
        let plain = Plan::default();
        assert_eq!(target().key(&headers, |_| None, &plain), target().key(&none, |_| None, &plain));
        let plan = Plan { key_headers: vec![ACCEPT], key_cookies: vec!["lang".to_owned()], ..plain };
        let with = target().key(&headers, |_| None, &plan);
        assert_ne!(with, target().key(&none, |_| None, &plan));
        headers.insert(COOKIE, HeaderValue::from_static("x=2; lang=de"));
        headers.insert(ACCEPT, HeaderValue::from_static("a,b"));
        assert_eq!(target().key(&headers, |_| None, &plan), with);
        headers.insert(COOKIE, HeaderValue::from_static("lang=en"));
        assert_ne!(target().key(&headers, |_| None, &plan), with);
        // All of that name: endpoints may read the last.
        headers.insert(COOKIE, HeaderValue::from_static("lang=de; lang=en"));
        assert_ne!(target().key(&headers, |_| None, &plan), with);
        let bytes = HeaderValue::from_bytes(b"lang=\xff").unwrap();
        headers.insert(COOKIE, bytes);
        headers.remove(ACCEPT);
        assert_ne!(target().key(&headers, |_| None, &plan), target().key(&none, |_| None, &plan));
        let by_name = Plan { key_vars: vec!["user".parse().unwrap()], ..Plan::default() };
        let of = |user: Option<&'static str>| target().key(&none, |_| user.map(str::as_bytes), &by_name);
        assert!(
            of(Some("ada")) != of(Some("bob")) && of(None) != of(Some("")) && of(None) != of(Some("ada"))
        );
        let anything = Plan { ignores_query: true, ..Plan::default() };
        assert_eq!(
            target().key(&none, |_| None, &anything),
            Target { query: None, ..target() }.key(&none, |_| None, &anything)
        );
    }
}
