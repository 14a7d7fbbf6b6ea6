use std::borrow::Cow;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::hooks::{EarlyBody, Facts, RequestView};

use crate::semantics::is_grpc;

use super::engine::Subject;

/// Tells the rules that a body is not all of it. A client's field of that name is not shown to them.
const PARTIAL: HeaderName = HeaderName::from_static("evener-partial-body");

/// The request as the rules are to see it: as the endpoint will, with the path and fields that earlier filters have left.
pub(super) fn subject(
    request: &RequestView<'_>,
    facts: &Facts,
    body: &EarlyBody,
    is_partial: bool,
) -> Subject {
    let target = target(request.path(), request.query());
    let mut fields = fields(request.headers());
    if is_partial {
        fields.push((PARTIAL.as_str().into(), b"1".to_vec()));
    }
    Subject {
        client: facts.client_ip.to_string(),
        method: request.method().as_str().to_owned(),
        target,
        version: version(request.version()),
        fields,
        body: body.bytes.to_vec(),
    }
}

/// Whether the body belongs to a call that may go on for as long as it likes.
pub(super) fn is_stream(request: &RequestView<'_>) -> bool {
    request.version() == Version::HTTP_2 && is_grpc(request.headers())
}

/// The engine decodes a path before it looks for the query, up to 3.0.11 (CVE-2024-1019), and then rules for paths would not see
/// what follows a question mark that was encoded: it is encoded once more.
fn target(path: &str, query: Option<&str>) -> String {
    let path = match path.contains("%3F") || path.contains("%3f") {
        true => Cow::Owned(path.replace("%3F", "%253F").replace("%3f", "%253f")),
        false => Cow::Borrowed(path),
    };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    }
}

/// The fields, cookies as one: so they are forwarded.
fn fields(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let others = headers.iter().filter(|(name, _)| *name != COOKIE && *name != PARTIAL);
    let mut fields: Vec<_> =
        others.map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())).collect();
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if !cookies.is_empty() {
        fields.push((COOKIE.as_str().into(), cookies.join(&b"; "[..])));
    }
    fields
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_of_the_path_stays_one() {
        assert_eq!(target("/a%3Fb%3f", Some("c=%3F")), "/a%253Fb%253f?c=%3F");
        assert_eq!(target("/a%253F", None), "/a%253F");
    }

    #[test]
    fn cookies_are_shown_as_they_are_forwarded() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        headers.append(PARTIAL, HeaderValue::from_static("1"));
        assert_eq!(fields(&headers), [(b"cookie".to_vec(), b"a=1; b=2".to_vec())]);
    }
}
