use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// Why there is no answer, and what to do: `{"error": "...", "help": "..."}`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) help: &'static str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Two texts can always be written.
        let body = serde_json::to_string(&self).unwrap_or_default() + "\n";
        let media = HeaderValue::from_static("application/json");
        (self.status, [(CONTENT_TYPE, media)], body).into_response()
    }
}
