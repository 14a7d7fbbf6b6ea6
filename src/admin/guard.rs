//! What is refused whoever asks: what may mean two things, and what a browser was led here to ask.

use http::header::{HOST, ORIGIN};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use crate::types::{HostPattern, RequestHost};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a request says once which host it asks, and for what (RFC 9112, 3.2). Only HTTP/1.0 knows requests without a host.
pub(super) fn is_sound<B>(request: &Request<B>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    let has_host = hosts == 1 || hosts == 0 && request.version() == Version::HTTP_10;
    let uri = request.uri();
    let is_web = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    has_host && is_web && uri.path().starts_with('/') && request.method() != Method::CONNECT
}

/// Whether a browser says that somebody else's page has made it ask. What is no browser says nothing of that. To follow a link
/// to the dashboard is everybody's own choice, and that page tells nothing of the process.
pub(super) fn is_foreign<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let is_own = |origin: &HeaderValue| {
        let origin = origin.as_bytes();
        let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    };
    let is_asked_here = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    let is_of_own_page = headers.get_all(SEC_FETCH_SITE).iter().all(is_asked_here);
    !headers.get_all(ORIGIN).iter().all(is_own) || !(is_of_own_page || is_visit(request))
}

/// Whether a browser is to show the dashboard in a window of its own.
fn is_visit<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && request.uri().path() == "/"
        && says_only(headers, &SEC_FETCH_MODE, b"navigate")
        && says_only(headers, &SEC_FETCH_DEST, b"document")
}

fn says_only(headers: &HeaderMap, name: &HeaderName, value: &[u8]) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|only| only.as_bytes() == value) && values.next().is_none()
}

/// Whether a request is for this process by its own name. A page that a browser shows may have its own name lead here (DNS
/// rebinding), and would read what comes back; but the browser says that name. Who says none is no browser.
pub(super) fn is_asked_for_itself<B>(request: &Request<B>, hosts: &[HostPattern]) -> bool {
    let in_target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let in_fields = request.headers().get_all(HOST).iter().map(|value| value.as_bytes());
    in_target.into_iter().chain(in_fields).all(|authority| is_own(authority, hosts))
}

fn is_own(authority: &[u8], hosts: &[HostPattern]) -> bool {
    let Some(host) = RequestHost::parse(authority) else { return false };
    let host = host.as_str();
    // The brackets are those of an IPv6 address, as it was read.
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    is_address || host == "localhost" || hosts.iter().any(|pattern| pattern.matches(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, version: Version, fields: &[(&str, &str)]) -> Request<()> {
        let (method, target) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_request_names_one_host_and_a_target() {
        let host = ("host", "localhost");
        let is_sound = |line, version, fields: &[_]| is_sound(&request(line, version, fields));
        for line in ["GET /metrics", "GET http://localhost/metrics", "GET http://localhost", "BREW /pot"] {
            assert!(is_sound(line, Version::HTTP_11, &[host]), "{line}");
            assert!(is_sound(line, Version::HTTP_10, &[]), "{line}");
            assert!(!is_sound(line, Version::HTTP_11, &[]), "{line}");
            assert!(!is_sound(line, Version::HTTP_11, &[host, host]), "{line}");
            assert!(!is_sound(line, Version::HTTP_10, &[host, host]), "{line}");
        }
        for line in
            ["GET *", "OPTIONS *", "CONNECT localhost:80", "GET localhost:80", "GET ftp://localhost/a"]
        {
            assert!(!is_sound(line, Version::HTTP_11, &[host]), "{line}");
        }
    }

    #[test]
    fn a_page_of_another_origin_gets_nothing_but_the_dashboard_in_a_window() {
        let is_foreign = |line: &str, fields: &[(&str, &str)]| {
            let fields: Vec<_> = fields.iter().copied().chain([("host", "localhost:9901")]).collect();
            is_foreign(&request(line, Version::HTTP_11, &fields))
        };
        let (cross, same) = (("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"));
        let (mode, dest) = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"));
        for site in [cross, same] {
            assert!(!is_foreign("GET /", &[site, mode, dest]));
            for line in ["GET /metrics", "GET /healthz", "GET /v1/status", "GET /dashboard/app.js", "POST /"]
            {
                assert!(is_foreign(line, &[site, mode, dest]), "{line}");
            }
            assert!(is_foreign("GET /", &[site]));
            assert!(is_foreign("GET /", &[site, mode, ("sec-fetch-dest", "iframe")]));
            assert!(is_foreign("GET /", &[site, mode, dest, ("sec-fetch-dest", "iframe")]));
            assert!(is_foreign("GET /", &[site, ("sec-fetch-mode", "cors"), dest]));
            assert!(is_foreign("GET /", &[site, mode, dest, ("origin", "null")]));
        }
        let own = ("sec-fetch-site", "same-origin");
        assert!(!is_foreign("GET /metrics", &[own]) && !is_foreign("GET /metrics", &[]));
        assert!(is_foreign("GET /metrics", &[own, cross]));
        assert!(is_foreign("GET /metrics", &[("origin", "http://localhost:3000")]));
        assert!(!is_foreign("GET /metrics", &[("origin", "http://localhost:9901")]));
    }

    fn is_taken(target: &str, fields: &[&str]) -> bool {
        let hosts = ["edge.internal", "*.ops.example"].map(|host| host.parse().unwrap());
        let mut request = Request::builder().uri(target);
        for field in fields {
            request = request.header(HOST, *field);
        }
        is_asked_for_itself(&request.body(()).unwrap(), &hosts)
    }

    #[test]
    fn addresses_and_own_names_are_taken() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9901",
            "10.0.0.7:80",
            "[::1]:9901",
            "localhost",
            "LOCALHOST:9901",
            "edge.internal:9901",
            "a.ops.example",
        ] {
            assert!(is_taken("/metrics", &[host]), "{host}");
        }
        assert!(is_taken("/metrics", &[]));
        assert!(is_taken("http://localhost/metrics", &["localhost"]));
    }

    #[test]
    fn the_name_of_somebody_else_is_refused_wherever_it_stands() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "ops.example",
            "0x7f000001",
            "",
        ] {
            assert!(!is_taken("/metrics", &[host]), "{host}");
        }
        assert!(!is_taken("/metrics", &["localhost", "evil.example"]));
        assert!(!is_taken("http://evil.example/metrics", &["localhost"]));
        assert!(!is_taken("http://evil.example/metrics", &[]));
    }
}
