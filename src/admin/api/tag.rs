use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use twox_hash::XxHash3_128;

/// What tells one version of something from another: an entity tag (RFC 9110, 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::admin) struct Tag(String);

impl Tag {
    /// That of a text: another for every other text.
    pub(in crate::admin) fn of(text: &[u8]) -> Self {
        Self(format!("\"{:032x}\"", XxHash3_128::oneshot(text)))
    }

    /// Whether a list of `If-Match` or `If-None-Match` names it. A weak one is not the same.
    pub(in crate::admin) fn is_named_by(&self, list: &str) -> bool {
        list.split(',').map(str::trim).any(|tag| tag == "*" || tag == self.0)
    }

    /// Answers with what has this tag, or with 304 where the client has it.
    pub(super) fn answer(&self, request: &HeaderMap, response: impl IntoResponse) -> Response {
        let known = request.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
        // A cache on the way may have made it weak.
        let mut known = known.map(|list| list.replace("W/", ""));
        if known.any(|list| self.is_named_by(&list)) {
            self.add_to(StatusCode::NOT_MODIFIED)
        } else {
            self.add_to(response)
        }
    }

    pub(super) fn add_to(&self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        // A tag is made of quotes and hexadecimal digits.
        let tag = HeaderValue::from_str(&self.0);
        response.headers_mut().extend(tag.ok().map(|tag| (ETAG, tag)));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_already_gets_nothing() {
        let tag = Tag::of(b"text");
        let status = |list: &str| {
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(list).unwrap())]);
            let answer = tag.answer(&request, "text");
            assert_eq!(answer.headers()[ETAG], tag.0.as_str());
            answer.status().as_u16()
        };
        let Tag(known) = &tag;
        assert_eq!(known.len(), 34);
        for list in [known.clone(), "*".to_owned(), format!("\"a\", {known}"), format!("W/{known}")] {
            assert_eq!(status(&list), 304, "{list}");
        }
        for list in ["\"a\"".to_owned(), known.trim_matches('"').to_owned(), Tag::of(b"other").0] {
            assert_eq!(status(&list), 200, "{list}");
        }
        assert!(!tag.is_named_by(&format!("W/{known}")), "what is weak is no match for a change");
    }
}
