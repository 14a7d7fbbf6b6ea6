use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::runtime::{Ending, Sample, TransitionStatus};

use super::Sight;
use super::problem::Problem;
use super::stream;

/// How the process did in the last quarter of an hour.
#[derive(Debug, Serialize)]
pub(super) struct SeriesAnswer {
    /// A sample for each second, the oldest first.
    samples: Vec<Sample>,
}

/// What has changed lately.
#[derive(Debug, Serialize)]
pub(super) struct TransitionsAnswer {
    /// The last 256, the oldest first.
    transitions: Vec<TransitionStatus>,
}

/// What clients were given in each second of the last quarter of an hour, and how long they waited for it.
pub(super) async fn series(State(sight): State<Arc<Sight>>) -> Response {
    json(&SeriesAnswer { samples: sight.live.series().samples() })
}

/// The last changes of endpoints' states, panics and configurations.
pub(super) async fn transitions(State(sight): State<Arc<Sight>>) -> Response {
    let noted = sight.live.snapshot().journal.since(0);
    json(&TransitionsAnswer { transitions: noted.into_iter().map(TransitionStatus::from).collect() })
}

/// What goes on, as server-sent events: `status` once, with lists as maps by name, then each second a `patch` of it
/// (RFC 7396) where something has changed, each new `transition`, and the `sample` of the second.
pub(super) async fn events(
    State(sight): State<Arc<Sight>>,
    Extension(ending): Extension<Ending>,
) -> Response {
    let listened = stream::events(&sight.control, &sight.live, (&sight.feed, &sight.listeners), ending);
    listened.unwrap_or_else(|stream::TooMany| TOO_MANY.into_response())
}

fn json(answer: &impl Serialize) -> Response {
    let media = HeaderValue::from_static("application/json");
    // Plain values can always be written.
    ([(CONTENT_TYPE, media)], serde_json::to_string(answer).unwrap_or_default() + "\n").into_response()
}

const TOO_MANY: Problem = Problem {
    status: StatusCode::SERVICE_UNAVAILABLE,
    error: "too many listen already",
    help: "close other pages, or allow more with admin.limits.connections: half of them may listen, and at most 32",
};
