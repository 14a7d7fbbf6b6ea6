//! Which part of a stored answer a client gets.

use std::ops::Range;
use std::time::SystemTime;

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LAST_MODIFIED,
};
use http::{HeaderValue, Method, StatusCode};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{MultiRangeInfo, RangeType};

use crate::semantics::{Precondition, Ranges, Validators, content_range, made_at};
use crate::types::content_length;

/// Whether the client has the answer already.
pub(super) fn is_not_modified(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let mut validators = Validators::of(&response.headers);
    if !response.headers.contains_key(LAST_MODIFIED) {
        // It was made no earlier than it was changed (RFC 9111 §4.3.2).
        validators.modified = made_at(&response.headers);
    }
    response.status == StatusCode::OK
        && validators.judge(&request.method, &request.headers) == Precondition::NotModified
}

/// The part that the client gets, which the head tells from now on.
pub(super) fn choose(request: &RequestHeader, response: &mut ResponseHeader) -> RangeType {
    let length = content_length(&response.headers).filter(|_| response.status == StatusCode::OK);
    let Some(length) = length.filter(|_| request.method == Method::GET) else { return RangeType::None };
    let made = made_at(&response.headers).unwrap_or(SystemTime::UNIX_EPOCH);
    let ranges = if Validators::of(&response.headers).allows_ranges(&request.headers, made) {
        Ranges::of(&request.headers, length)
    } else {
        Ranges::Whole
    };
    // A head without room tells of the whole.
    tell(ranges, length, response).unwrap_or(RangeType::None)
}

fn tell(ranges: Ranges, length: u64, response: &mut ResponseHeader) -> Result<RangeType> {
    let parts: Vec<Range<usize>> = match ranges {
        Ranges::Whole => {
            response.insert_header(ACCEPT_RANGES, "bytes")?;
            return Ok(RangeType::None);
        }
        Ranges::Unsatisfiable => {
            response.insert_header(CONTENT_RANGE, content_range(None, length))?;
            response.insert_header(CONTENT_LENGTH, HeaderValue::from_static("0"))?;
            response.set_status(StatusCode::RANGE_NOT_SATISFIABLE)?;
            for name in [ACCEPT_RANGES, CONTENT_TYPE, CONTENT_ENCODING] {
                response.remove_header(&name);
            }
            return Ok(RangeType::Invalid);
        }
        // What is stored has a length of this machine.
        Ranges::Parts(parts) => parts.iter().map(|part| part.start as usize..part.end as usize).collect(),
    };
    let range = if let [part] = &*parts {
        let told = part.start as u64..part.end as u64;
        response.insert_header(CONTENT_RANGE, content_range(Some(&told), length))?;
        response.insert_header(CONTENT_LENGTH, part.len())?;
        RangeType::Single(part.clone())
    } else {
        RangeType::Multi(tell_parts(parts, length, response)?)
    };
    response.set_status(StatusCode::PARTIAL_CONTENT)?;
    response.remove_header(&ACCEPT_RANGES);
    Ok(range)
}

fn tell_parts(
    parts: Vec<Range<usize>>,
    length: u64,
    response: &mut ResponseHeader,
) -> Result<MultiRangeInfo> {
    let media = response.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let media = media.unwrap_or("application/octet-stream").to_owned();
    let mut parts = MultiRangeInfo::new(parts);
    parts.set_total_length(length as usize);
    parts.set_content_type(media);
    let media = format!("multipart/byteranges; boundary={}", parts.boundary);
    response.insert_header(CONTENT_TYPE, media)?;
    response.insert_header(CONTENT_LENGTH, parts.calculate_multipart_length())?;
    response.remove_header(&CONTENT_RANGE);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEWER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build(Method::GET, b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn response(fields: &[(&'static str, &str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(StatusCode::OK, None).unwrap();
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        response
    }

    #[test]
    fn an_answer_without_a_date_of_change_is_known_by_its_own() {
        let is_known = |since, fields: &[(&'static str, &str)]| {
            is_not_modified(&request(&[("if-modified-since", since)]), &response(fields))
        };
        let made = [("date", OLDER)];
        assert!(is_known(OLDER, &made) && is_known(NEWER, &made));
        assert!(!is_known(OLDER, &[("date", NEWER)]) && !is_known(NEWER, &[]));
        assert!(!is_known(OLDER, &[("date", OLDER), ("last-modified", NEWER)]));
        let tagged = request(&[("if-none-match", "\"a\""), ("if-modified-since", NEWER)]);
        assert!(!is_not_modified(&tagged, &response(&made)));
        let mut gone = response(&made);
        gone.set_status(StatusCode::NOT_FOUND).unwrap();
        assert!(!is_not_modified(&request(&[("if-modified-since", NEWER)]), &gone));
    }

    #[test]
    fn parts_are_of_one_answer_and_told_of() {
        let fields =
            [("content-length", "100"), ("etag", "\"a\""), ("last-modified", OLDER), ("date", NEWER)];
        let given = |asked: &[(&'static str, &str)]| {
            let mut response = response(&fields);
            let range = choose(&request(asked), &mut response);
            let field = |name| response.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            (response.status.as_u16(), range, field("content-range"), field("content-length").unwrap())
        };
        let part = |first: usize, last: usize| {
            let told = Some(format!("bytes {first}-{last}/100"));
            (206, RangeType::Single(first..last + 1), told, (last + 1 - first).to_string())
        };
        let whole = (200, RangeType::None, None, "100".to_owned());
        assert_eq!(given(&[]), whole);
        assert_eq!(given(&[("range", "bytes=10-19")]), part(10, 19));
        for condition in ["\"a\"", OLDER] {
            assert_eq!(given(&[("range", "bytes=-5"), ("if-range", condition)]), part(95, 99), "{condition}");
        }
        for condition in ["\"b\"", "W/\"a\"", NEWER, "a"] {
            assert_eq!(given(&[("range", "bytes=-5"), ("if-range", condition)]), whole, "{condition}");
        }
        let beyond = (416, RangeType::Invalid, Some("bytes */100".to_owned()), "0".to_owned());
        assert_eq!(given(&[("range", "bytes=100-")]), beyond);
        assert!(matches!(given(&[("range", "bytes=0-1,5-6")]), (206, RangeType::Multi(_), None, _)));
        let mut unsure = response(&[("content-length", "100"), ("last-modified", OLDER), ("date", OLDER)]);
        let asked = request(&[("range", "bytes=0-1"), ("if-range", OLDER)]);
        assert_eq!(choose(&asked, &mut unsure), RangeType::None);
    }
}
