//! Trailers of endpoints that speak HTTP/2, for clients of HTTP/1.1.

use bytes::{Bytes, BytesMut};
use http::header::TE;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use crate::runtime::LastTrailers;

use super::downstream::Downstream;

/// So many bytes trailers may have.
const MOST: usize = 8 * 1024;

/// Tells an endpoint of HTTP/2 that the client understands trailers; `None` when the head has no room for it.
pub(super) fn tell_endpoint(client: &RequestHeader, request: &mut RequestHeader) -> Option<()> {
    if request.version != Version::HTTP_2 || !are_understood(client) {
        return Some(());
    }
    request.insert_header(TE, HeaderValue::from_static("trailers")).ok()
}

/// Leaves the trailers for the stream to write: Pingora ends the chunks of HTTP/1 without any. Clients of HTTP/2 get theirs
/// from their session, to which they are left as well where Pingora ends the body with the bytes that filters have made.
/// Those that do not understand trailers get none (RFC 9110 §6.5.1).
pub(super) fn hand_on(session: &mut Session, trailers: &HeaderMap, follow_bytes: bool) {
    if session.as_downstream().as_http1().is_none() {
        if follow_bytes && !trailers.is_empty() {
            session.req_header_mut().extensions_mut().insert(LastTrailers(trailers.clone()));
        }
        return;
    }
    let request = session.req_header();
    if request.version != Version::HTTP_11 || !are_understood(request) {
        return;
    }
    if let (Some(connection), Some(lines)) = (session.connection(), lines(trailers)) {
        connection.leave_trailers(lines);
    }
}

/// Whether the client says that it understands trailers.
fn are_understood(request: &RequestHeader) -> bool {
    let fields = request.headers.get_all(TE).iter();
    let mut codings = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The trailers as lines; `None` when there are none, or more than anybody needs.
fn lines(trailers: &HeaderMap) -> Option<Bytes> {
    let mut lines = BytesMut::new();
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
        // Neither names nor values can hold a line end.
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
        if lines.len() > MOST {
            return None;
        }
    }
    (!lines.is_empty()).then(|| lines.freeze())
}

/// Whether a field has its meaning still after the body: not what frames, routes, modifies, authenticates or describes the
/// message (RFC 9110 §6.5.1), and nothing of a connection.
fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [&str; 37] = [
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "proxy-status",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "warning",
        "www-authenticate",
    ];
    NEVER.binary_search(&name.as_str()).is_err()
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

    use super::*;

    #[test]
    fn only_what_may_trail_does() {
        let digest = HeaderName::from_static("digest");
        let fields = [
            (CONTENT_LENGTH, "5"),
            (digest.clone(), "a"),
            (TRANSFER_ENCODING, "chunked"),
            (digest, "b"),
            (HeaderName::from_static("www-authenticate"), "Basic"),
        ];
        let trailers: HeaderMap =
            fields.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        assert_eq!(lines(&trailers).unwrap(), "digest: a\r\ndigest: b\r\n");
    }

    #[test]
    fn none_and_too_many_are_left_out() {
        assert_eq!(lines(&HeaderMap::new()), None);
        let mut large = HeaderMap::new();
        large.insert("x", HeaderValue::try_from("y".repeat(MOST)).unwrap());
        assert_eq!(lines(&large), None);
    }
}
