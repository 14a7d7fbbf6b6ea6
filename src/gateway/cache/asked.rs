//! What a request asks for, as far as its answer depends on it.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_http::RequestHeader;
use smallvec::SmallVec;

use crate::cache::rules::{VaryOf, normalised, vary_of};
use crate::cache::{Caching, Target};
use crate::hooks::Personal;
use crate::types::has_cookie;

use super::super::cx::RequestCx;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Names of fields.
pub(super) type Names = SmallVec<[HeaderName; 8]>;

/// The key of what the request asks for.
pub(super) fn key_of(head: &RequestHeader, cx: &RequestCx, caching: &Caching) -> Option<Vec<u8>> {
    let forwarded = head.uri.path_and_query()?.as_str();
    let asked = cx.asked_target.as_ref().and_then(|asked| asked.path_and_query()).map(|asked| asked.as_str());
    key_of_other(head, cx, caching, forwarded, asked.filter(|asked| *asked != forwarded))
}

/// The key of another target that is asked for in the same way; `asked` is the one of its client, where it is not that.
pub(super) fn key_of_other(
    head: &RequestHeader,
    cx: &RequestCx,
    caching: &Caching,
    forwarded: &str,
    asked: Option<&str>,
) -> Option<Vec<u8>> {
    let (path, query) = match forwarded.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (forwarded, None),
    };
    let target = Target {
        route: cx.route()?.name.as_str(),
        pool: cx.snapshot.pool_names[cx.pool?.0].as_str(),
        scheme: &told_scheme(head, cx)?,
        asked_host: &told_host(head, cx),
        host: head.headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes),
        path,
        query,
        asked,
        told: &told_besides(head, cx),
    };
    Some(target.key(&head.headers, |name| cx.variables.get(name.as_str()), &caching.plan))
}

/// Whether the settings say that the request is not for the cache.
pub(super) fn is_passed_by(head: &RequestHeader, caching: &Caching) -> bool {
    let plan = &caching.plan;
    plan.bypass_headers.iter().any(|name| head.headers.contains_key(name))
        || plan.bypass_cookies.iter().any(|name| has_cookie(&head.headers, name))
}

/// Whether the answer may depend on whose the request is: it came with credentials, which filters may have taken off since, or
/// a filter has found out.
pub(super) fn is_personal(head: &RequestHeader, cx: &RequestCx) -> bool {
    let shows_cert = |tls: &crate::hooks::TlsSession| tls.client_cert.is_some();
    cx.came_authorized
        || cx.extensions.get::<Personal>().is_some()
        || cx.facts.as_ref().and_then(|facts| facts.tls.as_deref()).is_some_and(shows_cert)
        || head.headers.contains_key(AUTHORIZATION)
}

// === What endpoints are told ===

fn told_scheme<'a>(head: &'a RequestHeader, cx: &'a RequestCx) -> Option<Cow<'a, [u8]>> {
    let own = || Some(Cow::Borrowed(cx.facts.as_ref()?.scheme.as_str().as_bytes()));
    said_by_proxy(head, cx, &X_FORWARDED_PROTO).or_else(own)
}

fn told_host<'a>(head: &'a RequestHeader, cx: &'a RequestCx) -> Cow<'a, [u8]> {
    let own = || Cow::Borrowed(cx.way.host.as_ref().map_or(&b""[..], HeaderValue::as_bytes));
    said_by_proxy(head, cx, &X_FORWARDED_HOST).unwrap_or_else(own)
}

/// What a trusted proxy says stays.
fn said_by_proxy<'a>(head: &'a RequestHeader, cx: &RequestCx, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    if cx.way.is_by_proxy() { normalised(&head.headers, name) } else { None }
}

/// What a trusted proxy tells besides, other than of the client itself, in an order of its own.
fn told_besides(head: &RequestHeader, cx: &RequestCx) -> Vec<u8> {
    if !cx.way.is_by_proxy() {
        return Vec::new();
    }
    let mut names: SmallVec<[&HeaderName; 4]> = head.headers.keys().filter(|name| is_told(name)).collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    let mut told = Vec::new();
    for name in names {
        told.extend_from_slice(name.as_str().as_bytes());
        for value in head.headers.get_all(name) {
            told.push(b'\n');
            if name.as_str() == "forwarded" {
                add_forwarded(&mut told, value.as_bytes());
            } else {
                told.extend_from_slice(value.as_bytes());
            }
        }
        // No value has one.
        told.push(b'\r');
    }
    told
}

fn is_told(name: &HeaderName) -> bool {
    let of_client_or_known = matches!(
        name.as_str(),
        "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-client-cert"
    );
    let is_forwarding = name.as_str().starts_with("x-forwarded-") || name.as_str() == "forwarded";
    is_forwarding && !of_client_or_known || is_overruling(name)
}

/// `Forwarded` (RFC 7239) without who is served and by whom.
fn add_forwarded(told: &mut Vec<u8>, value: &[u8]) {
    let pairs = value.split(|byte| matches!(byte, b',' | b';')).map(<[u8]>::trim_ascii);
    let tells_who = |pair: &[u8]| {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"for") || name.eq_ignore_ascii_case(b"by")
    };
    for pair in pairs.filter(|pair| !tells_who(pair)) {
        told.extend_from_slice(pair);
        told.push(b';');
    }
}

/// Whether endpoints let a field of this name overrule what the request line and `Host` say, or how they were asked for. To
/// many of them `_` and `-` are one.
pub(super) fn is_overruling(name: &HeaderName) -> bool {
    const NAMES: [&str; 18] = [
        "front-end-https",
        "x-forward-for",
        "x-forward-host",
        "x-forward-proto",
        "x-forwarded",
        "x-host",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-override-url",
        "x-rewrite-url",
        "x-scheme",
        "x-url-scheme",
    ];
    let name = name.as_str();
    if !name.starts_with("x-") && !name.starts_with("x_") && !name.starts_with("front") {
        return false;
    }
    let is_same = |known: &str| {
        let dashed = name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
        known.len() == name.len() && dashed.eq(known.bytes())
    };
    NAMES.iter().any(|known| is_same(known))
}

/// The fields of which the endpoint is told other than what is known when an answer is looked for: what depends on them is found
/// by nobody whom it is for alone.
pub(super) fn told_otherwise(asked: &RequestHeader, forwarded: &RequestHeader, cx: &RequestCx) -> Names {
    let is_same = |name: &HeaderName| {
        let told = normalised(&forwarded.headers, name);
        if *name == X_FORWARDED_PROTO {
            return told == told_scheme(asked, cx);
        }
        if *name == X_FORWARDED_HOST {
            return told == Some(told_host(asked, cx));
        }
        if *name == COOKIE {
            return crumbs(&forwarded.headers) == crumbs(&asked.headers);
        }
        told == normalised(&asked.headers, name)
    };
    let lost = asked.headers.keys().filter(|name| !forwarded.headers.contains_key(*name));
    forwarded.headers.keys().chain(lost).filter(|name| !is_same(name)).cloned().collect()
}

/// Cookies in one field, as servers of HTTP/1 get them.
fn crumbs(headers: &HeaderMap) -> Vec<u8> {
    headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..])
}

/// Whether an answer depends on one of these fields.
pub(super) fn depends_on(answer: &HeaderMap, names: &Names) -> bool {
    match vary_of(answer) {
        VaryOf::Fields(fields) => fields.iter().any(|field| names.contains(field)),
        VaryOf::Everything => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_overrule_the_request_are_known_in_disguise() {
        for (name, expected) in [
            ("x-original-url", true),
            ("x_original_url", true),
            ("x-http_method-override", true),
            ("front-end-https", true),
            ("front_end_https", true),
            ("x-scheme", true),
            ("x-original", false),
            ("x-schemes", false),
            ("accept", false),
        ] {
            assert_eq!(is_overruling(&HeaderName::from_static(name)), expected, "{name}");
        }
    }

    #[test]
    fn of_a_forwarded_element_only_what_it_says_of_the_request_counts() {
        let mut told = Vec::new();
        add_forwarded(&mut told, b"for=192.0.2.1;proto=https, For=\"[::1]\" ; by=a;host=b");
        assert_eq!(told, b"proto=https;host=b;");
    }
}
