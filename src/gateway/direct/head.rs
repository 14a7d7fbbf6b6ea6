//! The header of a request, without the case of its names: nobody asks for it but endpoints, and few requests come so far.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use memchr::memchr;
use pingora_http::RequestHeader;
use smallvec::SmallVec;

use crate::runtime::Cause;

/// The header of a request for a path, as Pingora would make it of these bytes; `None` for what it is better asked about.
/// The edge has checked each line.
pub(super) fn parse(head: &Bytes) -> Option<RequestHeader> {
    let (line, rest) = split_line(head)?;
    let method_end = memchr(b' ', line)?;
    let target = line[method_end + 1..].strip_suffix(b" HTTP/1.1")?;
    if !target.starts_with(b"/") {
        return None;
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(&line[..method_end]).ok()?;
    parts.uri = Uri::from_maybe_shared(head.slice_ref(target)).ok()?;
    parts.headers = fields(head, rest)?;
    Some(parts.into())
}

/// The fields of the lines up to the empty one, which are a part of the head.
fn fields(head: &Bytes, mut lines: &[u8]) -> Option<HeaderMap> {
    /// Few requests have more.
    const USUAL: usize = 12;

    let mut headers = HeaderMap::with_capacity(USUAL);
    loop {
        let (line, rest) = split_line(lines)?;
        if line.is_empty() {
            return Some(headers);
        }
        let colon = memchr(b':', line)?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = head.slice_ref(line[colon + 1..].trim_ascii());
        headers.try_append(name, HeaderValue::from_maybe_shared(value).ok()?).ok()?;
        lines = rest;
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    Some((bytes[..end].strip_suffix(b"\r")?, &bytes[end + 1..]))
}

/// Makes of the header that Pingora has read the one that was admitted. What is the same in both stays as its client wrote it.
pub(super) fn adopt(request: &mut RequestHeader, admitted: &RequestHeader) -> Result<(), Cause> {
    if request.method != admitted.method {
        request.set_method(admitted.method.clone());
    }
    if request.uri != admitted.uri {
        request.set_uri(admitted.uri.clone());
    }
    let is_other = |name: &&HeaderName| request.headers.get_all(*name) != admitted.headers.get_all(*name);
    let names = request.headers.keys().chain(admitted.headers.keys());
    let others: SmallVec<[HeaderName; 4]> = names.filter(is_other).cloned().collect();
    for name in &others {
        request.remove_header(name);
        for value in admitted.headers.get_all(name) {
            request.append_header(name, value.clone()).map_err(|_| Cause::HeaderTooLarge)?;
        }
    }
    Ok(())
}
