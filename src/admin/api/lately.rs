use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Sight;
use crate::admin::caller::Caller;
use crate::admin::json::Json;
use crate::admin::problem::Problem;
use crate::admin::stream::{self, Connection};
use crate::runtime::{Sample, TransitionStatus};

/// How the process did in the last quarter of an hour.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SeriesAnswer {
    /// A sample for each second, the oldest first.
    samples: Vec<Sample>,
}

/// What has changed lately.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransitionsAnswer {
    /// The last 256, the oldest first.
    transitions: Vec<TransitionStatus>,
}

/// The last 15 minutes
///
/// What clients were given in each second, and how long they waited for it. Reloads do not end it.
#[utoipa::path(get, path = "/v1/series", tag = "traffic", responses((status = 200, body = SeriesAnswer)))]
pub(super) async fn series(State(sight): State<Arc<Sight>>) -> Json<SeriesAnswer> {
    Json(SeriesAnswer { samples: sight.control.recent(0, u64::MAX).samples })
}

/// What has changed lately
///
/// The last changes of endpoints' states, of panics and of configurations, with their reasons.
#[utoipa::path(get, path = "/v1/transitions", tag = "process", responses((status = 200, body = TransitionsAnswer)))]
pub(super) async fn transitions(State(sight): State<Arc<Sight>>) -> Json<TransitionsAnswer> {
    Json(TransitionsAnswer { transitions: sight.control.recent(u64::MAX, 0).transitions })
}

/// What goes on
///
/// Server-sent events, of which the data are JSON. At first `status`: that of `/v1/status` with lists as maps by name, and without
/// probes, bytes and connections of endpoints, and what follows from the time. Then, each second, a `patch` of it (RFC 7396) if
/// something has changed, a `transition` for each of `/v1/transitions` that is new, and the `sample` of `/v1/series`. Half of
/// the connections may listen, 32 at most. It ends where a reload takes from whoever listens what it takes to read.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "process",
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 503, body = Problem, description = "Too many listen already."),
    )
)]
pub(super) async fn events(
    State(sight): State<Arc<Sight>>,
    Extension(connection): Extension<Connection>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let listened = stream::events(&sight.control, (&sight.feed, &sight.listeners), connection, caller);
    listened.map(IntoResponse::into_response).map_err(|stream::TooMany| TOO_MANY)
}

const TOO_MANY: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "too many listen already",
    "close other pages, or allow more with admin.limits.connections: half of them may listen, and 32 at most",
);
