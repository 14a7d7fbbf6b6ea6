use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::hooks::{HookError, ResponseView};

use super::tags::marked;

/// What is true of the bytes that came, and of no others.
pub(in crate::filters) const OF_THESE_BYTES: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Makes the head that of a body in this coding, or in none; `done` is what its tag says of that.
pub(in crate::filters) fn recode(
    response: &mut ResponseView<'_>,
    coding: Option<&'static str>,
    done: &str,
) -> Result<(), HookError> {
    for name in &OF_THESE_BYTES {
        response.remove_header(name);
    }
    match coding {
        Some(coding) => response.set_header(CONTENT_ENCODING, HeaderValue::from_static(coding))?,
        None => response.remove_header(&CONTENT_ENCODING),
    }
    match response.header(ETAG).and_then(|etag| marked(etag, done)) {
        Some(tag) => response.set_header(ETAG, tag),
        None => Ok(()),
    }
}

/// Whether the body is the whole of a representation, which can be coded; a part cannot.
pub(in crate::filters) fn is_whole_answer(response: &ResponseView<'_>) -> bool {
    const NONE_OR_A_PART: [StatusCode; 4] = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    let status = response.status();
    !status.is_informational()
        && !NONE_OR_A_PART.contains(&status)
        && response.header(CONTENT_RANGE).is_none()
}

/// Whether a message asks not to be changed on its way (RFC 9110 §7.7).
pub(in crate::filters) fn asks_no_change(headers: &HeaderMap) -> bool {
    members(headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Tells caches that the answer depends on which codings the client takes.
pub(in crate::filters) fn vary_by_coding(response: &mut ResponseView<'_>) -> Result<(), HookError> {
    let is_told = members(response.headers(), &VARY)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes()));
    if is_told {
        return Ok(());
    }
    response.add_header(VARY, HeaderValue::from_static("Accept-Encoding"))
}

fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let fields = headers.get_all(name).into_iter();
    fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn no_transform_is_found_among_others_and_in_any_case() {
        for (value, expected) in [
            ("no-transform", true),
            ("max-age=60, No-Transform", true),
            ("no-transformation", false),
            ("public", false),
        ] {
            assert_eq!(asks_no_change(&headers(&[(CACHE_CONTROL, value)])), expected, "{value}");
        }
    }
}
