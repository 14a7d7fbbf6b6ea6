use std::sync::Arc;

use axum::extract::State as Extracted;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::pools::{Endpoint, Pool, State};
use crate::runtime::Live;

use super::Sight;

/// Answers as long as the process can.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether clients are to be sent here, and why not, a line for each reason.
pub(super) async fn readyz(Extracted(sight): Extracted<Arc<Sight>>) -> Response {
    let reasons = reasons(sight.control.live());
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

fn reasons(live: &Live) -> Vec<String> {
    let snapshot = live.snapshot();
    let draining = live.is_draining().then(|| "draining".to_owned());
    let lacking = snapshot
        .admin
        .iter()
        .flat_map(|admin| admin.relied_on(&snapshot).filter_map(|pool| what_lacks(pool, admin.min_fit)));
    draining.into_iter().chain(lacking).collect()
}

/// What keeps a pool from serving, if anything does.
fn what_lacks(pool: &Pool, wanted: usize) -> Option<String> {
    let gets_work = |endpoint: &&Arc<Endpoint>| endpoint.state() == State::Fit && endpoint.weight() > 0;
    let (fit, all) = (pool.endpoints().iter().filter(gets_work).count(), pool.endpoints().len());
    match fit {
        _ if fit >= wanted => None,
        0 => Some(format!("pool {}: no endpoint is fit", pool.name())),
        _ => Some(format!("pool {}: {fit} of {all} endpoints are fit, {wanted} are wanted", pool.name())),
    }
}
