use http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PRAGMA, PROXY_AUTHORIZATION, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora_cache::filters::upstream::request_filter;
use pingora_http::RequestHeader;

use crate::cache::Plan;
use crate::cache::rules::{VaryOf, vary_of};
use crate::pools::connection_fields;
use crate::types::cookies;

use super::super::super::forward;
use super::super::store::strip_overruling;
use super::old::Old;
use super::{Failure, Refresh};

/// What is of a client alone: who it is, what it has and what it wants of caches.
const LEFT_OUT: [HeaderName; 11] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    CACHE_CONTROL,
    PRAGMA,
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
];

/// Whether a stored answer with these headers depends on nothing that is left out of the request for another.
pub(super) fn says_all(head: &RequestHeader, stored: &HeaderMap, plan: &Plan) -> bool {
    let VaryOf::Fields(varied) = vary_of(stored) else { return false };
    let mut named = varied.iter().chain(&plan.key_headers);
    named.all(|name| !LEFT_OUT.contains(name) || !head.headers.contains_key(name))
}

impl Refresh {
    /// The request for an answer in the place of the old one, as the endpoint of the lease gets it.
    pub(super) fn request(&mut self, old: &Old) -> Result<RequestHeader, Failure> {
        let mut request = self.asked.clone();
        let cookie = key_cookie(&request.headers, &self.cache.caching.plan);
        for name in connection_fields(&request.headers).iter().chain(&LEFT_OUT) {
            request.remove_header(name);
        }
        request.set_version(Version::HTTP_11);
        if let Some(cookie) = cookie {
            request.insert_header(COOKIE, cookie).map_err(|_| Failure::ours("header_too_large"))?;
        }
        request_filter(&mut request, old.meta());
        strip_overruling(&mut request, &self.cx);
        let finished = forward::finish(&self.asked, &mut request, &mut self.cx);
        finished.map(|()| request).map_err(|cause| Failure::ours(cause.word()))
    }
}

/// The cookies that the stored answer is known by, and none besides.
fn key_cookie(headers: &HeaderMap, plan: &Plan) -> Option<HeaderValue> {
    let mut text = Vec::new();
    for name in &plan.key_cookies {
        for value in cookies(headers, name) {
            if !text.is_empty() {
                text.extend_from_slice(b"; ");
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
    HeaderValue::try_from(text).ok().filter(|cookie| !cookie.is_empty())
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, VARY};

    use super::*;

    #[test]
    fn what_depends_on_the_client_alone_is_not_asked_for() {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        head.insert_header(ACCEPT, "a").unwrap();
        head.insert_header(COOKIE, "a=1").unwrap();
        let says = |vary: &'static str, plan: &Plan| {
            let stored = HeaderMap::from_iter([(VARY, HeaderValue::from_static(vary))]);
            says_all(&head, &stored, plan)
        };
        let plan = Plan::default();
        assert!(says("accept", &plan) && says("authorization, x-other", &plan) && says("", &plan));
        assert!(!says("accept, Cookie", &plan) && !says("*", &plan));
        let of = |name| Plan { key_headers: vec![name], ..Plan::default() };
        assert!(says("", &of(ACCEPT)) && !says("", &of(COOKIE)));
    }

    #[test]
    fn of_cookies_only_those_of_the_key_are_sent() {
        let cookie = |text: &'static str, names: &[&str]| {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(text))]);
            let key_cookies = names.iter().map(|name| (*name).to_owned()).collect();
            key_cookie(&headers, &Plan { key_cookies, ..Plan::default() })
        };
        assert_eq!(cookie("id=1; lang=de", &[]), None);
        assert_eq!(cookie("id=1", &["lang"]), None);
        assert_eq!(cookie("id=1; lang=de; a=b; lang=en", &["lang", "a"]).unwrap(), "lang=de; lang=en; a=b");
    }
}
