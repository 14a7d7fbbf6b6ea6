//! Changes of endpoints and splits.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::admin::Sight;
use crate::admin::json::Json;
use crate::admin::problem::Problem;
use crate::runtime::{Actor, Control, ControlError, EjectionTime, EndpointStatus, SplitStatus, Target};
use crate::split::CanaryOrder;
use crate::types::Weight;

use super::look::generation;
use super::named::{EndpointPath, Named, SidePath};
use super::order::{Nothing, Order, word};
use super::version;

/// For how long an endpoint is left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EjectOrder {
    /// 1s to 1h, in the place of what was said before.
    #[serde(rename = "for")]
    #[schema(value_type = String, example = "5m")]
    time: EjectionTime,
}

/// A share relative to the others.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightOrder {
    /// 0 drains an endpoint, and any other ends a drain.
    #[schema(value_type = u16, maximum = 1000, example = 5)]
    weight: Weight,
}

/// What a canary is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CanaryOrderBody {
    /// `pause` keeps it from growing until `resume`, `restart` begins it anew, `promote` and `abort` end it.
    #[serde(deserialize_with = "word")]
    #[schema(example = "pause")]
    order: CanaryOrder,
}

/// Drain an endpoint
///
/// It gets no new work, and finishes the old. The answer does not wait for that: `state` is `draining` until then.
#[utoipa::path(
    post,
    path = "/v1/pools/{pool}/endpoints/{endpoint}/drain",
    tag = "steering",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the endpoint has to have, or its pool."),
    ),
    request_body = Nothing,
    responses(
        (status = 200, body = EndpointStatus, description = "How it is now."),
        (status = 404, body = Problem, description = "There is no such pool, or it has no such endpoint."),
    )
)]
pub(super) async fn drain(
    State(sight): State<Arc<Sight>>,
    Named(path): Named<EndpointPath>,
    order: Order<Nothing>,
) -> Result<Response, Problem> {
    on_endpoint(&sight, &path, &order, |control, target, by, now| control.drain(target, by, now).map(drop))
}

/// Take an endpoint in again
///
/// Ends a drain, and what `eject` has begun. What outlier detection has begun ends by itself.
#[utoipa::path(
    post,
    path = "/v1/pools/{pool}/endpoints/{endpoint}/undrain",
    tag = "steering",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the endpoint has to have, or its pool."),
    ),
    request_body = Nothing,
    responses(
        (status = 200, body = EndpointStatus, description = "How it is now."),
        (status = 404, body = Problem, description = "There is no such pool, or it has no such endpoint."),
    )
)]
pub(super) async fn undrain(
    State(sight): State<Arc<Sight>>,
    Named(path): Named<EndpointPath>,
    order: Order<Nothing>,
) -> Result<Response, Problem> {
    on_endpoint(&sight, &path, &order, |control, target, by, now| {
        control.undo_drain(target, by, now).map(drop)
    })
}

/// Leave an endpoint out for some time
///
/// It gets no work, and comes back by itself. Where too few others are fit it serves all the same, as in panic.
#[utoipa::path(
    post,
    path = "/v1/pools/{pool}/endpoints/{endpoint}/eject",
    tag = "steering",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the endpoint has to have, or its pool."),
    ),
    request_body = EjectOrder,
    responses(
        (status = 200, body = EndpointStatus, description = "How it is now."),
        (status = 404, body = Problem, description = "There is no such pool, or it has no such endpoint."),
    )
)]
pub(super) async fn eject(
    State(sight): State<Arc<Sight>>,
    Named(path): Named<EndpointPath>,
    order: Order<EjectOrder>,
) -> Result<Response, Problem> {
    let time = order.body.time;
    on_endpoint(&sight, &path, &order, |control, target, by, now| {
        control.eject(target, time, by, now).map(drop)
    })
}

/// Change the weight of an endpoint
#[utoipa::path(
    put,
    path = "/v1/pools/{pool}/endpoints/{endpoint}/weight",
    tag = "steering",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the endpoint has to have, or its pool."),
    ),
    request_body = WeightOrder,
    responses(
        (status = 200, body = EndpointStatus, description = "How it is now."),
        (status = 404, body = Problem, description = "There is no such pool, or it has no such endpoint."),
    )
)]
pub(super) async fn weigh(
    State(sight): State<Arc<Sight>>,
    Named(path): Named<EndpointPath>,
    order: Order<WeightOrder>,
) -> Result<Response, Problem> {
    let weight = order.body.weight;
    on_endpoint(&sight, &path, &order, |control, target, by, now| {
        control.set_endpoint_weight(target, weight, by, now).map(drop)
    })
}

/// Change the weight of a pool of a split
#[utoipa::path(
    put,
    path = "/v1/splits/{route}/pools/{pool}/weight",
    tag = "steering",
    params(
        SidePath,
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the split has to have."),
    ),
    request_body = WeightOrder,
    responses(
        (status = 200, body = SplitStatus, description = "How it is now."),
        (status = 404, body = Problem, description = "There is no such split, or it has no such pool."),
        (status = 409, body = Problem, description = "The pool has to keep its weight."),
    )
)]
pub(super) async fn weigh_side(
    State(sight): State<Arc<Sight>>,
    Named(SidePath { route, pool }): Named<SidePath>,
    order: Order<WeightOrder>,
) -> Result<Response, Problem> {
    let (target, weight) = (Target::new(&route, &pool), order.body.weight);
    on_split(&sight, &route, &order, |control, by, now| {
        control.set_side_weight(&target, weight, by, now).map(drop)
    })
}

/// Steer a canary
#[utoipa::path(
    post,
    path = "/v1/splits/{route}/canary",
    tag = "steering",
    params(
        ("route" = String, Path, description = "The name of the route."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the split has to have."),
    ),
    request_body = CanaryOrderBody,
    responses(
        (status = 200, body = SplitStatus, description = "How it is now."),
        (status = 404, body = Problem, description = "There is no route of that name with a split."),
        (status = 409, body = Problem, description = "It has no canary, or that has ended."),
    )
)]
pub(super) async fn steer_canary(
    State(sight): State<Arc<Sight>>,
    Named(route): Named<String>,
    order: Order<CanaryOrderBody>,
) -> Result<Response, Problem> {
    let wanted = order.body.order;
    on_split(&sight, &route, &order, |control, by, now| {
        control.canary(&route, Some(wanted), by, now).map(drop)
    })
}

/// Changes an endpoint if it is as the order says, and tells how it is then.
fn on_endpoint<T>(
    sight: &Sight,
    EndpointPath { pool, endpoint }: &EndpointPath,
    order: &Order<T>,
    change: impl FnOnce(&Control, &Target, &Actor, Instant) -> Result<(), ControlError>,
) -> Result<Response, Problem> {
    let (control, now) = (&*sight.control, Instant::now());
    let look = || {
        let found = control.endpoint(pool, endpoint, now)?;
        Ok::<_, ControlError>((version::of_endpoint(generation(control), pool, &found), found))
    };
    control.alone(|| {
        // What is not there the change tells, too.
        if let (Ok((version, _)), Ok(pool)) = (look(), control.pool(pool, now)) {
            order.check_version(&[version, version::of_pool(generation(control), &pool)])?;
        }
        change(control, &Target::new(pool, endpoint), &order.by, now)?;
        let (version, found) = look()?;
        Ok(version.add_to(Json(found)))
    })
}

/// The same for a split.
fn on_split<T>(
    sight: &Sight,
    route: &str,
    order: &Order<T>,
    change: impl FnOnce(&Control, &Actor, Instant) -> Result<(), ControlError>,
) -> Result<Response, Problem> {
    let (control, now) = (&*sight.control, Instant::now());
    let look = || {
        let found = control.split(route, now)?;
        Ok::<_, ControlError>((version::of_split(generation(control), &found), found))
    };
    control.alone(|| {
        if let Ok((version, _)) = look() {
            order.check_version(&[version])?;
        }
        change(control, &order.by, now)?;
        let (version, found) = look()?;
        Ok(version.add_to(Json(found)))
    })
}
