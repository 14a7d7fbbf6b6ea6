use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::Cache;
use super::key::Asked;

/// What operators have removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purge {
    /// What was asked for by this URL, in all its variants.
    Url(String),
    /// What was asked for by URLs that begin so.
    Prefix(String),
    /// What has this tag in `Cache-Tag`.
    Tag(String),
    All,
}

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

impl Purge {
    pub(super) fn is_for(&self, key: &[u8], headers: &HeaderMap) -> bool {
        match self {
            Self::Url(url) => url_of(key).is_some_and(|known| known == plain(url)),
            Self::Prefix(prefix) => url_of(key).is_some_and(|known| known.starts_with(&plain(prefix))),
            Self::Tag(tag) => {
                let lines = headers.get_all(CACHE_TAG).iter();
                let mut tags =
                    lines.flat_map(|line| line.as_bytes().split(|&byte| matches!(byte, b',' | b' ')));
                tags.any(|known| known == tag.as_bytes())
            }
            Self::All => true,
        }
    }
}

fn url_of(key: &[u8]) -> Option<Vec<u8>> {
    let Asked { scheme, host, path, query } = Asked::of(key)?;
    let mut url = [scheme, b"://", without_default_port(scheme, host), path].concat();
    if let Some(query) = query {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    Some(url)
}

fn without_default_port<'h>(scheme: &[u8], host: &'h [u8]) -> &'h [u8] {
    let port: &[u8] = if scheme == b"https" { b":443" } else { b":80" };
    host.strip_suffix(port).unwrap_or(host)
}

/// A URL as keys have it: scheme and host in lower case, no port where it is the usual one, and a path.
fn plain(url: &str) -> Vec<u8> {
    let Some((scheme, rest)) = url.split_once("://") else { return url.as_bytes().to_vec() };
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let host = without_default_port(scheme.as_bytes(), host.as_bytes());
    let path = if target.starts_with('/') { "" } else { "/" };
    [scheme.as_bytes(), b"://", host, path.as_bytes(), target.as_bytes()].concat()
}

/// What came of a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Purged {
    pub(crate) answers: usize,
    /// Whether all files have been looked through. If not, that goes on; what is meant is not given any more in any case.
    pub(crate) is_complete: bool,
}

impl Purged {
    /// Removes from these caches what operators mean.
    pub(crate) async fn from_all(caches: impl IntoIterator<Item = &Arc<Cache>>, purge: &Purge) -> Self {
        let mut purged = Self { answers: 0, is_complete: true };
        for cache in caches {
            let Self { answers, is_complete } = cache.purge(purge).await;
            log::info!("stored answers were removed cache={} what={purge:?} answers={answers}", cache.name);
            purged.answers += answers;
            purged.is_complete &= is_complete;
        }
        purged
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::cache::{Plan, Target};

    #[test]
    fn what_is_meant_is_found() {
        let of = |host: &str, path: &str, query| {
            let host = host.as_bytes();
            Target { route: "r", pool: "p", scheme: "http", asked_host: host, host, path, query }.key(
                &HeaderMap::new(),
                |_| None,
                &Plan::default(),
            )
        };
        let key = of("Example.com:80", "/a/b", Some("c=d"));
        let mut headers = HeaderMap::new();
        headers.append(CACHE_TAG, HeaderValue::from_static("one, two"));
        headers.append(CACHE_TAG, HeaderValue::from_static("three"));
        for (purge, expected) in [
            (Purge::Url("http://example.com/a/b?c=d".to_owned()), true),
            (Purge::Url("HTTP://EXAMPLE.com:80/a/b?c=d".to_owned()), true),
            (Purge::Url("http://example.com/a/b".to_owned()), false),
            (Purge::Url("https://example.com/a/b?c=d".to_owned()), false),
            (Purge::Url("http://example.com/A/b?c=d".to_owned()), false),
            (Purge::Url("/a/b?c=d".to_owned()), false),
            (Purge::Prefix("http://example.com/a".to_owned()), true),
            (Purge::Prefix("http://example.com".to_owned()), true),
            (Purge::Prefix("http://example.com/b".to_owned()), false),
            (Purge::Prefix("http://example.co".to_owned()), false),
            (Purge::Tag("two".to_owned()), true),
            (Purge::Tag("three".to_owned()), true),
            (Purge::Tag("tw".to_owned()), false),
            (Purge::All, true),
        ] {
            assert_eq!(purge.is_for(&key, &headers), expected, "{purge:?}");
        }
        assert!(Purge::Url("http://example.com".to_owned()).is_for(&of("example.com", "/", None), &headers));
    }
}
