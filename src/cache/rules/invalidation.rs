use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};

/// Whether what is stored for the target may be out of date after this exchange (RFC 9111 §4.4): the method is not known
/// to be safe, and it did something.
pub(crate) fn invalidates(method: &Method, status: StatusCode) -> bool {
    let is_error = status.is_client_error() || status.is_server_error();
    !method.is_safe() && !is_error && !status.is_informational()
}

/// The targets of the same origin that the answer names besides: paths with queries. Others would let one origin remove
/// what another has made.
pub(crate) fn targets(host: &str, path: &str, answer: &HeaderMap) -> impl Iterator<Item = String> {
    let fields = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| answer.get(name)?.to_str().ok());
    fields.filter_map(|reference| resolve(host, path, reference))
}

/// A reference as a path with its query, if it is one of this origin.
fn resolve(host: &str, path: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().filter(|reference| !reference.is_empty())?;
    if reference.starts_with('/') && !reference.starts_with("//") {
        return Some(reference.to_owned());
    }
    if reference.starts_with("//") || reference.split(['/', '?']).next()?.contains(':') {
        let absolute = reference.strip_prefix("//").map(|rest| format!("http://{rest}"));
        let uri: Uri = absolute.as_deref().unwrap_or(reference).parse().ok()?;
        let is_same = uri.host().is_some_and(|named| named.eq_ignore_ascii_case(host));
        return uri.path_and_query().filter(|_| is_same).map(ToString::to_string);
    }
    if reference.starts_with('?') {
        return Some(format!("{path}{reference}"));
    }
    let folder = &path[..=path.rfind('/')?];
    Some(format!("{folder}{reference}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_may_have_changed_something_invalidates() {
        let search = Method::from_bytes(b"M-SEARCH").unwrap();
        for (method, status, expected) in [
            (&Method::POST, 200, true),
            (&Method::PUT, 201, true),
            (&Method::DELETE, 204, true),
            (&search, 302, true),
            (&Method::POST, 500, false),
            (&Method::POST, 404, false),
            (&Method::GET, 200, false),
            (&Method::OPTIONS, 200, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(invalidates(method, status), expected, "{method} {status}");
        }
    }

    #[test]
    fn references_are_of_the_same_origin_or_nothing() {
        for (reference, expected) in [
            ("/foo?a=b#c", Some("/foo?a=b")),
            ("http://Example.com/x", Some("/x")),
            ("https://example.com:8443/x?y", Some("/x?y")),
            ("//example.com/x", Some("/x")),
            ("http://other.example/x", None),
            ("//other.example/x", None),
            ("other", Some("/a/other")),
            ("other:8", None),
            ("?q", Some("/a/b?q")),
            ("#f", None),
            ("", None),
        ] {
            let mut answer = HeaderMap::new();
            answer.insert(LOCATION, HeaderValue::from_static(reference));
            let found: Vec<_> = targets("example.com", "/a/b", &answer).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{reference}");
        }
    }
}
