//! Changes of the process as a whole, and who has made any.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::admin::Sight;
use crate::admin::json::Json;
use crate::admin::problem::Problem;
use crate::cache::{Purge, Purged};
use crate::config::spec::LogLevel;
use crate::runtime::{Applied, AuditEntry, ControlError, Probation, Refused, Report};
use crate::types::{Percent, Span};

use super::look::generation;
use super::named::Named;
use super::order::{CHANGED, NO_VERSION, Order, word};
use super::tag::Tag;
use super::version;

/// How the configuration is to be served.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadOrder {
    /// Has it be taken back where requests fare worse with it. Default: it is served for good.
    probation: Option<ProbationOrder>,
}

/// How a configuration is watched.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbationOrder {
    /// So long.
    #[schema(value_type = String, example = "60s")]
    lasts: Span,
    /// So much more of the requests may be answered with 5xx than before, in points of percent. Default: 5%.
    #[serde(default = "most_errors")]
    #[schema(value_type = String, example = "5%")]
    max_errors: Percent,
    /// So much longer the slowest hundredth may take than before. Default: 100%.
    #[serde(default = "most_p99")]
    #[schema(value_type = String, example = "100%")]
    max_p99: Percent,
}

/// Which configuration is to be served again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackOrder {
    /// That of this generation. Default: of the one before.
    to: Option<u64>,
}

/// What is to be removed: one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeOrder {
    /// What was asked for by this URL, in all variants.
    url: Option<String>,
    /// What was asked for by URLs that begin so.
    prefix: Option<String>,
    /// What has this tag in its `Cache-Tag`.
    tag: Option<String>,
    /// Everything, if it is `true`.
    #[serde(default)]
    all: bool,
}

/// What is to be written of messages.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelOrder {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(deserialize_with = "word")]
    #[schema(example = "debug")]
    level: LogLevel,
}

/// The least important messages that are written, as far as `RUST_LOG` does not say more.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Level {
    #[schema(example = "info")]
    level: LogLevel,
    /// What it was before a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<LogLevel>,
}

fn most_errors() -> Percent {
    Percent::new(5)
}

fn most_p99() -> Percent {
    Percent::new(100)
}

/// Read the configuration again
///
/// Serves it from then on, or not at all; what operators have changed of endpoints stays. On probation the answer does not
/// wait for the end: what came of it stands in `/v1/history`.
#[utoipa::path(
    post,
    path = "/v1/reload",
    tag = "steering",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that `/v1/history` has to have.")),
    request_body = ReloadOrder,
    responses(
        (status = 200, body = Report, description = "It is served."),
        (status = 202, body = Report, description = "It is served on probation."),
        (status = 422, body = Problem, description = "It is refused, and what was served still is."),
        (status = 503, body = Problem, description = "Too many others have to wait already."),
    )
)]
pub(super) async fn reload(
    State(sight): State<Arc<Sight>>,
    order: Order<ReloadOrder>,
) -> Result<Response, Problem> {
    let _place = sight.long_work.try_acquire().map_err(|_| BUSY)?;
    let instead_of = looked_at(&sight, &order)?;
    let terms = order.body.probation.as_ref();
    let terms =
        terms.map(|&ProbationOrder { lasts, max_errors, max_p99 }| Probation { lasts, max_errors, max_p99 });
    if terms.is_some_and(|terms| terms.lasts < SHORTEST_PROBATION) {
        return Err(TOO_SHORT);
    }
    Ok(told(sight.control.changes().reload(&order.by, terms, instead_of).await?))
}

/// Serve an earlier configuration again
#[utoipa::path(
    post,
    path = "/v1/rollback",
    tag = "steering",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that `/v1/history` has to have.")),
    request_body = RollbackOrder,
    responses(
        (status = 200, body = Report, description = "It is served."),
        (status = 422, body = Problem, description = "It is refused, or not kept, and what was served still is."),
        (status = 503, body = Problem, description = "Too many others have to wait already."),
    )
)]
pub(super) async fn roll_back(
    State(sight): State<Arc<Sight>>,
    order: Order<RollbackOrder>,
) -> Result<Response, Problem> {
    let _place = sight.long_work.try_acquire().map_err(|_| BUSY)?;
    let instead_of = looked_at(&sight, &order)?;
    Ok(told(sight.control.changes().roll_back(&order.by, order.body.to, instead_of).await?))
}

/// Remove stored answers from all caches
#[utoipa::path(
    post,
    path = "/v1/purge",
    tag = "steering",
    request_body = PurgeOrder,
    responses(
        (status = 200, body = Purged, description = "How many were removed."),
        (status = 412, body = Problem, description = "It has an `If-Match`, and stored answers have no version."),
        (status = 503, body = Problem, description = "Too many others have to wait already."),
    )
)]
pub(super) async fn purge_all(
    State(sight): State<Arc<Sight>>,
    order: Order<PurgeOrder>,
) -> Result<Json<Purged>, Problem> {
    purge(&sight, None, order).await
}

/// Remove stored answers from a cache
#[utoipa::path(
    post,
    path = "/v1/caches/{cache}/purge",
    tag = "steering",
    params(("cache" = String, Path, description = "The name of the cache.")),
    request_body = PurgeOrder,
    responses(
        (status = 200, body = Purged, description = "How many were removed."),
        (status = 404, body = Problem, description = "There is no cache of that name."),
        (status = 412, body = Problem, description = "It has an `If-Match`, and stored answers have no version."),
        (status = 503, body = Problem, description = "Too many others have to wait already."),
    )
)]
pub(super) async fn purge_one(
    State(sight): State<Arc<Sight>>,
    Named(cache): Named<String>,
    order: Order<PurgeOrder>,
) -> Result<Json<Purged>, Problem> {
    purge(&sight, Some(&cache), order).await
}

async fn purge(
    sight: &Sight,
    cache: Option<&str>,
    order: Order<PurgeOrder>,
) -> Result<Json<Purged>, Problem> {
    if order.names_version() {
        return Err(NO_VERSION);
    }
    let _place = sight.long_work.try_acquire().map_err(|_| BUSY)?;
    let what = order.body.meant()?;
    Ok(Json(sight.control.purge(cache, &what, &order.by, Instant::now()).await?))
}

/// The level of messages
#[utoipa::path(
    get,
    path = "/v1/log",
    tag = "process",
    responses(
        (status = 200, body = Level, headers(("ETag" = String, description = "For `If-Match` of a change."))),
        (status = 409, body = Problem, description = "The program that this process belongs to writes the messages."),
    )
)]
pub(super) async fn level(State(sight): State<Arc<Sight>>) -> Result<Response, Problem> {
    let level = sight.control.log_level().ok_or(ControlError::NoMessages)?;
    Ok(version::of_level(generation(&sight.control), level).add_to(Json(Level { level, was: None })))
}

/// Change the level of messages
///
/// Holds until the configuration is read again.
#[utoipa::path(
    put,
    path = "/v1/log",
    tag = "steering",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that `/v1/log` has to have.")),
    request_body = LevelOrder,
    responses(
        (status = 200, body = Level, description = "What it is and was."),
        (status = 409, body = Problem, description = "The program that this process belongs to writes the messages."),
    )
)]
pub(super) async fn set_level(
    State(sight): State<Arc<Sight>>,
    order: Order<LevelOrder>,
) -> Result<Response, Problem> {
    let (control, level) = (&*sight.control, order.body.level);
    control.alone(|| {
        // Where it is not this library's the change tells, too.
        if let Some(current) = control.log_level() {
            order.check_version(&[version::of_level(generation(control), current)])?;
        }
        let was = control.set_log_level(level, &order.by, Instant::now())?;
        Ok(version::of_level(generation(control), level).add_to(Json(Level { level, was: Some(was) })))
    })
}

/// Who has changed what
///
/// The last 200 changes, made or refused, and the last 50 denied attempts since the start, the oldest first, whatever they came
/// through.
#[utoipa::path(get, path = "/v1/audit", tag = "process", responses((status = 200, body = [AuditEntry])))]
pub(super) async fn audit(State(sight): State<Arc<Sight>>) -> Json<Vec<AuditEntry>> {
    Json(sight.control.changes().audit().recent())
}

impl PurgeOrder {
    fn meant(&self) -> Result<Purge, Problem> {
        match self {
            Self { url: Some(url), prefix: None, tag: None, all: false } => {
                Purge::url(url).map_err(|_| NO_URL)
            }
            Self { url: None, prefix: Some(prefix), tag: None, all: false } => {
                Purge::prefix(prefix).map_err(|_| NO_URL)
            }
            Self { url: None, prefix: None, tag: Some(tag), all: false } => Ok(Purge::Tag(tag.clone())),
            Self { url: None, prefix: None, tag: None, all: true } => Ok(Purge::All),
            _ => Err(NOT_ONE),
        }
    }
}

fn told(Applied { report, verdict }: Applied) -> Response {
    match verdict {
        None => Json(report).into_response(),
        Some(_) => (StatusCode::ACCEPTED, [(LOCATION, "/v1/history")], Json(report)).into_response(),
    }
}

/// The generation that an order is to replace, where it says which it has looked at: another change may be on its way.
fn looked_at<T>(sight: &Sight, order: &Order<T>) -> Result<Option<u64>, Problem> {
    let history = sight.control.changes().history();
    let current = history.last().map(|generation| generation.number);
    order.check_version(&[Tag::of(Json(history).text().as_bytes())])?;
    Ok(current.filter(|_| order.names_version()))
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        if refused.is_overtaken() {
            return Self { is_noted: true, ..CHANGED };
        }
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            error: refused.into_text().trim_end().to_owned().into(),
            help: "what was served before still is".into(),
            is_noted: true,
            public: None,
        }
    }
}

/// The same as of `evener reload --probation`.
const SHORTEST_PROBATION: Span = Span::from_secs(1);

const BUSY: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "others wait for changes that take some time already",
    "try again in a moment",
);

const TOO_SHORT: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "a probation of less than a second shows nothing",
    "give 1s or more",
);

const NO_URL: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "this is no URL of a stored answer",
    "it begins with http:// or https:// and a host, and its path is sound",
);

const NOT_ONE: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "it is not clear what is to be removed",
    "give one of `url`, `prefix`, `tag` and `all: true`",
);
