use std::io::{self, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::metrics::Exposition;
use crate::semantics::takes_coding;

use super::Sight;
use super::problem::Problem;

/// All counts, in the form that the scraper takes.
pub(super) async fn metrics(State(sight): State<Arc<Sight>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let exposition = Exposition::accepted(accept);
    let Ok(text) = sight.metrics.expose(exposition) else { return UNTOLD.into_response() };
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static(exposition.media_type())),
        (VARY, HeaderValue::from_static("accept, accept-encoding")),
    ];
    if !takes_coding(&headers, "gzip") {
        return (fields, text).into_response();
    }
    match packed(&text) {
        Ok(packed) => {
            (fields, [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))], packed).into_response()
        }
        Err(_) => (fields, text).into_response(),
    }
}

/// The same with gzip. What is repeated that often shrinks at any level.
fn packed(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

const UNTOLD: Problem = Problem::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "the counts cannot be written",
    "this is an error in evener; please report it",
);
