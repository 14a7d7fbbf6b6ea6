use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Cache;
use super::key::Asked;
use super::purges::Names;
use crate::types::{RequestHost, normalise_path, shown_url};

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

/// For audits and messages: values of queries may be credentials.
impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "url {}", shown_url(url)),
            Self::Prefix(prefix) => write!(f, "prefix {}", shown_url(prefix)),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::All => f.write_str("all"),
        }
    }
}

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// What stands where a URL should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no URL of a stored answer; it begins with http:// or https:// and a host, and its path is sound"
)]
pub(crate) struct InvalidUrl;

impl Purge {
    /// What was asked for by this URL.
    ///
    /// # Errors
    /// When it is none by which anything could have been asked for.
    pub(crate) fn url(url: &str) -> Result<Self, InvalidUrl> {
        plain(url).map(Self::Url).ok_or(InvalidUrl)
    }

    /// What was asked for by URLs that begin so.
    ///
    /// # Errors
    /// When none could.
    pub(crate) fn prefix(prefix: &str) -> Result<Self, InvalidUrl> {
        plain(prefix).map(Self::Prefix).ok_or(InvalidUrl)
    }

    pub(super) fn is_for(&self, key: &[u8], headers: &HeaderMap) -> bool {
        match self {
            Self::Url(url) => urls_of(key).any(|known| known == url.as_bytes()),
            Self::Prefix(prefix) => urls_of(key).any(|known| known.starts_with(prefix.as_bytes())),
            Self::Tag(tag) => tags_of(headers).any(|known| known == tag.as_bytes()),
            Self::All => true,
        }
    }
}

/// What operators may know an answer by.
pub(super) fn names(key: &[u8], headers: &HeaderMap) -> Names {
    Names::new(urls_of(key).collect(), tags_of(headers))
}

fn tags_of(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(CACHE_TAG).iter();
    lines.flat_map(|line| line.as_bytes().split(|&byte| matches!(byte, b',' | b' ')))
}

/// The URL as clients ask for it, and as endpoints see it.
fn urls_of(key: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let asked = Asked::of(key);
    let urls = asked.map(|Asked { scheme, host, path, query, asked }| {
        let scheme = scheme.to_ascii_lowercase();
        let host = without_default_port(&scheme, host);
        let url = |target: &[&[u8]]| [&*scheme, b"://", host, &target.concat()].concat();
        let forwarded = match query {
            Some(query) => url(&[path, b"?", query]),
            None => url(&[path]),
        };
        [Some(forwarded), asked.map(|asked| url(&[asked]))]
    });
    urls.into_iter().flatten().flatten()
}

fn without_default_port<'h>(scheme: &[u8], host: &'h [u8]) -> &'h [u8] {
    let port: &[u8] = if scheme == b"https" { b":443" } else { b":80" };
    host.strip_suffix(port).unwrap_or(host)
}

/// A URL as keys have it: scheme and host in lower case, no port where it is the usual one, a path in the form in which the
/// edge forwards it, and nothing for the client alone. `None` when nobody could ask for it.
fn plain(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.split('#').next()?);
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_sound = matches!(&*scheme, "http" | "https")
        && RequestHost::parse(host.as_bytes()).is_some()
        && target.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_sound || host.is_empty() {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(&host);
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let path = if path.is_empty() { "/" } else { path };
    let path = normalise_path(path).ok()?.map_or(Cow::Borrowed(path), Cow::Owned);
    Some(format!("{scheme}://{host}{path}{query}"))
}

/// What came of a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

    fn of(scheme: &str, host: &str, path: &str, query: Option<&str>, asked: Option<&str>) -> Vec<u8> {
        let (scheme, host) = (scheme.as_bytes(), host.as_bytes());
        Target { route: "r", pool: "p", scheme, asked_host: host, host, path, query, asked, told: b"" }.key(
            &HeaderMap::new(),
            |_| None,
            &Plan::default(),
        )
    }

    #[test]
    fn what_is_meant_is_told_without_what_its_query_says() {
        for purge in
            [Purge::url("http://a.example/b?key=SECRET"), Purge::prefix("http://a.example/b?key=SECRET")]
        {
            let told = purge.unwrap().to_string();
            assert!(told.ends_with(" http://a.example/b?key=…"), "{told}");
        }
    }

    #[test]
    fn what_is_meant_is_found() {
        let key = of("http", "Example.com:80", "/a/~b", Some("c=d"), None);
        let mut headers = HeaderMap::new();
        headers.append(CACHE_TAG, HeaderValue::from_static("one, two"));
        headers.append(CACHE_TAG, HeaderValue::from_static("three"));
        let (url, prefix) = (|url| Purge::url(url).unwrap(), |url| Purge::prefix(url).unwrap());
        for (purge, expected) in [
            (url("http://example.com/a/~b?c=d"), true),
            (url("HTTP://EXAMPLE.com:80/a/%7eb?c=d#top"), true),
            (url("http://example.com/x/../a/~b?c=d"), true),
            (url("http://example.com/a/~b"), false),
            (url("https://example.com/a/~b?c=d"), false),
            (url("http://example.com/A/~b?c=d"), false),
            (prefix("http://example.com/a"), true),
            (prefix("http://example.com"), true),
            (prefix("http://example.com/b"), false),
            (prefix("http://example.co"), false),
            (Purge::Tag("two".to_owned()), true),
            (Purge::Tag("three".to_owned()), true),
            (Purge::Tag("tw".to_owned()), false),
            (Purge::All, true),
        ] {
            assert_eq!(purge.is_for(&key, &headers), expected, "{purge:?}");
        }
        assert!(url("http://example.com").is_for(&of("http", "example.com", "/", None, None), &headers));
        assert!(url("https://a").is_for(&of("HTTPS", "a:443", "/", None, None), &headers));
    }

    #[test]
    fn what_was_asked_for_is_found_under_both_its_names() {
        let key = of("http", "a", "/new", None, Some("/old?b"));
        for (purge, expected) in [
            (Purge::url("http://a/old?b"), true),
            (Purge::url("http://a/new"), true),
            (Purge::prefix("http://a/old"), true),
            (Purge::url("http://a/old"), false),
            (Purge::prefix("http://a/other"), false),
        ] {
            assert_eq!(purge.unwrap().is_for(&key, &HeaderMap::new()), expected);
        }
    }

    #[test]
    fn what_is_no_url_means_nothing() {
        for text in [
            "",
            "/a",
            "a",
            "example.com/a",
            "ftp://a/",
            "http://",
            "http:///a",
            "http://a b/",
            "http://a/%zz",
        ] {
            assert_eq!((Purge::url(text), Purge::prefix(text)), (Err(InvalidUrl), Err(InvalidUrl)), "{text}");
        }
    }
}
