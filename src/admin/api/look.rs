use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::admin::Sight;
use crate::admin::json::Json;
use crate::admin::problem::Problem;
use crate::runtime::{
    CacheStatus, CertificateStatus, Control, Drift, EndpointStatus, Generation, ListenerStatus, PoolStatus,
    RouteStatus, SplitStatus, Status,
};

use super::named::{EndpointPath, Named};
use super::tag::Tag;
use super::version;

/// Everything at once
///
/// What the process does at this moment, with all parts that have paths of their own.
#[utoipa::path(get, path = "/v1/status", tag = "process", responses((status = 200, body = Status)))]
pub(super) async fn status(State(sight): State<Arc<Sight>>) -> Result<Json<Status>, Problem> {
    Ok(Json(sight.control.status(None, Instant::now())?))
}

/// Listeners
///
/// In the order of the configuration.
#[utoipa::path(get, path = "/v1/listeners", tag = "traffic", responses((status = 200, body = [ListenerStatus])))]
pub(super) async fn listeners(State(sight): State<Arc<Sight>>) -> Json<Vec<ListenerStatus>> {
    Json(sight.control.listeners())
}

/// Routes
///
/// In the order of the configuration, each with what its requests come to.
#[utoipa::path(get, path = "/v1/routes", tag = "traffic", responses((status = 200, body = [RouteStatus])))]
pub(super) async fn routes(State(sight): State<Arc<Sight>>) -> Json<Vec<RouteStatus>> {
    Json(sight.control.routes())
}

/// Pools
///
/// In the order of the configuration, each with its endpoints.
#[utoipa::path(get, path = "/v1/pools", tag = "traffic", responses((status = 200, body = [PoolStatus])))]
pub(super) async fn pools(State(sight): State<Arc<Sight>>) -> Json<Vec<PoolStatus>> {
    Json(sight.control.pools(Instant::now()))
}

/// A pool
///
/// `ETag` is the version of all that can be changed there: weights, drains and ejections. Counts do not change it.
#[utoipa::path(
    get,
    path = "/v1/pools/{pool}",
    tag = "traffic",
    params(("pool" = String, Path, description = "The name of the pool.")),
    responses(
        (status = 200, body = PoolStatus, headers(("ETag" = String, description = "For `If-Match` of a change."))),
        (status = 404, body = Problem, description = "There is no pool of that name."),
    )
)]
pub(super) async fn pool(
    State(sight): State<Arc<Sight>>,
    Named(pool): Named<String>,
) -> Result<Response, Problem> {
    let pool = sight.control.pool(&pool, Instant::now())?;
    Ok(version::of_pool(generation(&sight.control), &pool).add_to(Json(pool)))
}

/// An endpoint
///
/// `ETag` is the version of all that can be changed there: its weight, drain and ejection. Counts do not change it.
#[utoipa::path(
    get,
    path = "/v1/pools/{pool}/endpoints/{endpoint}",
    tag = "traffic",
    params(EndpointPath),
    responses(
        (status = 200, body = EndpointStatus, headers(("ETag" = String, description = "For `If-Match` of a change."))),
        (status = 404, body = Problem, description = "There is no such pool, or it has no such endpoint."),
    )
)]
pub(super) async fn endpoint(
    State(sight): State<Arc<Sight>>,
    Named(EndpointPath { pool, endpoint }): Named<EndpointPath>,
) -> Result<Response, Problem> {
    let found = sight.control.endpoint(&pool, &endpoint, Instant::now())?;
    Ok(version::of_endpoint(generation(&sight.control), &pool, &found).add_to(Json(found)))
}

/// Splits
///
/// How routes spread their requests over several pools, and what their canaries do.
#[utoipa::path(get, path = "/v1/splits", tag = "traffic", responses((status = 200, body = [SplitStatus])))]
pub(super) async fn splits(State(sight): State<Arc<Sight>>) -> Json<Vec<SplitStatus>> {
    Json(sight.control.splits(Instant::now()))
}

/// A split
///
/// `ETag` is the version of its weights and of the course of its canary.
#[utoipa::path(
    get,
    path = "/v1/splits/{route}",
    tag = "traffic",
    params(("route" = String, Path, description = "The name of the route.")),
    responses(
        (status = 200, body = SplitStatus, headers(("ETag" = String, description = "For `If-Match` of a change."))),
        (status = 404, body = Problem, description = "There is no route of that name with a split."),
    )
)]
pub(super) async fn split(
    State(sight): State<Arc<Sight>>,
    Named(route): Named<String>,
) -> Result<Response, Problem> {
    let split = sight.control.split(&route, Instant::now())?;
    Ok(version::of_split(generation(&sight.control), &split).add_to(Json(split)))
}

/// Certificates
///
/// Those of all listeners, in the order of the configuration.
#[utoipa::path(get, path = "/v1/certificates", tag = "traffic", responses((status = 200, body = [CertificateStatus])))]
pub(super) async fn certificates(State(sight): State<Arc<Sight>>) -> Json<Vec<CertificateStatus>> {
    Json(sight.control.certificates(SystemTime::now()))
}

/// Caches
///
/// Stores of answers, in the order of the configuration.
#[utoipa::path(get, path = "/v1/caches", tag = "traffic", responses((status = 200, body = [CacheStatus])))]
pub(super) async fn caches(State(sight): State<Arc<Sight>>) -> Json<Vec<CacheStatus>> {
    Json(sight.control.caches(Instant::now()))
}

/// What was served
///
/// The last generations of the configuration, the oldest first, each with what differs from the one before. The last one is
/// served. No value of a secret is told.
#[utoipa::path(
    get,
    path = "/v1/history",
    tag = "configuration",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer that is known.")),
    responses(
        (status = 200, body = [Generation], headers(("ETag" = String, description = "Another for every other answer."))),
        (status = 304, description = "It is what is known."),
    )
)]
pub(super) async fn history(State(sight): State<Arc<Sight>>, headers: HeaderMap) -> Response {
    let history = Json(sight.control.changes().history());
    Tag::of(history.text().as_bytes()).answer(&headers, history)
}

/// What is served
///
/// The configuration as it was read, with all that it includes and without comments. Secrets are left out: a `…` stands
/// in their place.
#[utoipa::path(
    get,
    path = "/v1/config",
    tag = "configuration",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer that is known.")),
    responses(
        (
            status = 200,
            body = String,
            content_type = "application/yaml",
            headers(("ETag" = String, description = "Another for every other answer."))
        ),
        (status = 304, description = "It is what is known."),
        (status = 500, body = Problem, description = "It cannot be read any more."),
    )
)]
pub(super) async fn config(State(sight): State<Arc<Sight>>, headers: HeaderMap) -> Result<Response, Problem> {
    let text = sight.control.changes().served().redacted().ok_or(UNREADABLE)?;
    let media = (CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    Ok(Tag::of(text.as_bytes()).answer(&headers, ([media], text)))
}

/// What differs from the file
///
/// What was changed while the process runs and does not stand in its file, and what the file says by now of something else
/// than what is served. The file is read for each answer.
#[utoipa::path(
    get,
    path = "/v1/drift",
    tag = "configuration",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer that is known.")),
    responses(
        (status = 200, body = Drift, headers(("ETag" = String, description = "Another for every other answer."))),
        (status = 304, description = "It is what is known."),
        (status = 409, body = Problem, description = "What is served cannot be read again."),
        (status = 500, body = Problem, description = "It cannot be compared."),
    )
)]
pub(super) async fn drift(State(sight): State<Arc<Sight>>, headers: HeaderMap) -> Result<Response, Problem> {
    let control = sight.control.clone();
    // Files are read.
    let compared = spawn_blocking(move || control.drift(Instant::now())).await;
    let (drift, _) = compared.map_err(|_| UNREADABLE)??;
    let drift = Json(drift.redacted());
    Ok(Tag::of(drift.text().as_bytes()).answer(&headers, drift))
}

/// This document
///
/// The API by OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "process",
    responses((status = 200, content_type = "application/json", body = serde_json::Value))
)]
pub(super) async fn document(State(sight): State<Arc<Sight>>) -> Response {
    let media = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([media], sight.document.clone()).into_response()
}

pub(super) fn generation(control: &Control) -> u64 {
    control.changes().counts().generation
}

const UNREADABLE: Problem = Problem::new(
    http::StatusCode::INTERNAL_SERVER_ERROR,
    "what is served cannot be written",
    "this is an error in evener; please report it",
);
