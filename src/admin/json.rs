use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;

/// An answer in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> Json<T> {
    /// The text of it, with a line end for those who read it in a terminal.
    pub(super) fn text(&self) -> String {
        // Plain structures with text keys always serialise.
        serde_json::to_string(&self.0).unwrap_or_default() + "\n"
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.text()).into_response()
    }
}
