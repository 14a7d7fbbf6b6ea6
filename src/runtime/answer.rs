use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use serde::Serialize;

use crate::filters::{Pages, Told};
use crate::hooks::Answer;
use crate::types::Vars;

use super::Cause;
use crate::semantics::is_grpc;

use super::grpc::{GRPC, grpc_trailers};

/// The form of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorBody {
    /// A body of text.
    Text,
    /// A body of JSON.
    Json,
    /// A status of gRPC in a 200 without a body, since clients of gRPC look at nothing else.
    Grpc,
}

impl ErrorBody {
    /// The form that a client understands: that of gRPC for a call, JSON for one that names JSON, text otherwise.
    pub(crate) fn accepted_by(headers: &HeaderMap) -> Self {
        if is_grpc(headers) {
            return Self::Grpc;
        }
        let names_json = |value: &HeaderValue| {
            let media_types = value.to_str().unwrap_or("").split(',');
            let mut names = media_types.map(|media| media.split(';').next().unwrap_or("").trim());
            names.any(|name| name.eq_ignore_ascii_case("application/json") || name.ends_with("+json"))
        };
        if headers.get_all(ACCEPT).iter().any(names_json) { Self::Json } else { Self::Text }
    }
}

/// The answer for an error, which is always short.
#[derive(Debug)]
pub(crate) struct ErrorAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl ErrorAnswer {
    /// The same with a page in the place of its body, where there is one for it that a client with these headers takes.
    pub(crate) fn on_page<V: Vars>(
        mut self,
        pages: &Pages,
        cause: &Cause,
        headers: &HeaderMap,
        vars: &V,
    ) -> Self {
        let Some(forms) = pages.of(self.status) else { return self };
        if forms.vary() {
            self.headers.push((VARY, HeaderValue::from_static("accept")));
        }
        let told = Told { status: self.status, cause: cause.word(), vars };
        if let Some((media_type, body)) = forms.fill(headers, &told) {
            self.headers.retain(|(name, _)| name != CONTENT_TYPE);
            self.headers.push((CONTENT_TYPE, media_type));
            self.body = body;
        }
        self
    }
}

impl From<ErrorAnswer> for Answer {
    fn from(error: ErrorAnswer) -> Self {
        Self { status: error.status, headers: error.headers, body: error.body.into() }
    }
}

#[derive(Serialize)]
struct JsonError<'a> {
    status: u16,
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The name of what ends a stream of an HTTP/2 client after its whole answer: no failure, whatever it is.
pub(crate) const ANSWERED: &str = "answered";

/// The answer for an error that the edge found. It tells the cause and the request's id, and nothing of what is
/// behind the edge.
pub(crate) fn error_answer(cause: &Cause, form: ErrorBody, request_id: Option<&str>) -> ErrorAnswer {
    let mut answer = match form {
        ErrorBody::Text => page(cause, "text/plain; charset=utf-8", text_body(cause, request_id)),
        ErrorBody::Json => page(cause, "application/json", json_body(cause, request_id)),
        ErrorBody::Grpc => {
            let mut headers = vec![(CONTENT_TYPE, GRPC)];
            headers.extend(grpc_trailers(cause, request_id));
            ErrorAnswer { status: StatusCode::OK, headers, body: Bytes::new() }
        }
    };
    let error = cause.proxy_error().map(|error| format!("error={error}; ")).unwrap_or_default();
    // The words of the table are tokens, which every header may hold.
    if let Ok(value) = HeaderValue::try_from(format!("evener; {error}details=\"{}\"", cause.word())) {
        answer.headers.push((PROXY_STATUS, value));
    }
    answer
}

fn page(cause: &Cause, media_type: &'static str, body: Bytes) -> ErrorAnswer {
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    if cause.passes_soon() {
        headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
    }
    ErrorAnswer { status: cause.status(), headers, body }
}

fn text_body(cause: &Cause, request_id: Option<&str>) -> Bytes {
    let status = cause.status();
    let mut body = format!("{status}: {}\n", cause.text());
    if let Some(id) = request_id {
        body.push_str(&format!("request id: {id}\n"));
    }
    body.into()
}

fn json_body(cause: &Cause, request_id: Option<&str>) -> Bytes {
    let error =
        JsonError { status: cause.status().as_u16(), error: cause.word(), message: cause.text(), request_id };
    // Plain strings and numbers always serialise.
    let mut body = serde_json::to_vec(&error).unwrap_or_default();
    body.push(b'\n');
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &'static str) -> ErrorBody {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(value));
        ErrorBody::accepted_by(&headers)
    }

    #[test]
    fn json_is_for_those_who_name_it() {
        assert_eq!(accepts("application/json"), ErrorBody::Json);
        assert_eq!(accepts("text/html, application/problem+json;q=0.5"), ErrorBody::Json);
        assert_eq!(accepts("*/*"), ErrorBody::Text);
        assert_eq!(ErrorBody::accepted_by(&HeaderMap::new()), ErrorBody::Text);
    }

    #[test]
    fn every_error_has_its_word_whatever_its_form() {
        let mine = Cause::Rejected(StatusCode::FORBIDDEN, "mine".into());
        for cause in [Cause::NotCached, Cause::BadRequest, mine] {
            for form in [ErrorBody::Text, ErrorBody::Json, ErrorBody::Grpc] {
                let answer = error_answer(&cause, form, None);
                let (_, status) = answer.headers.iter().find(|(name, _)| *name == PROXY_STATUS).unwrap();
                let details = format!("details=\"{}\"", cause.word());
                assert!(status.to_str().unwrap().ends_with(&details), "{status:?}");
            }
        }
    }

    #[test]
    fn an_error_tells_its_cause_and_its_id() {
        let answer = error_answer(&Cause::NoEndpointFit, ErrorBody::Text, Some("42"));
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.body,
            "503 Service Unavailable: no endpoint is fit to serve the request\nrequest id: 42\n"
        );
        let proxy_status = answer.headers.iter().find(|(name, _)| *name == PROXY_STATUS).unwrap();
        assert_eq!(proxy_status.1, "evener; error=destination_unavailable; details=\"no_endpoint_fit\"");
        let json = error_answer(&Cause::NoRoute, ErrorBody::Json, None).body;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["error"], "no_route");
        let call = error_answer(&Cause::NoRoute, ErrorBody::Grpc, None);
        assert_eq!((call.status, call.body.len()), (StatusCode::OK, 0));
        assert!(call.headers.contains(&("grpc-status".parse().unwrap(), "12".parse().unwrap())));
    }
}
