use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use crate::runtime::{Deed, What};

use super::Sight;
use super::caller::Caller;
use super::gate::is_change;

/// Why a request went no further than the API, where nobody has noted that yet; an extension of its answer.
#[derive(Clone, Debug)]
pub(super) struct Unnoted(pub(super) Cow<'static, str>);

/// Notes changes that are refused before they come to what was to be changed: who wanted what, and what they were told.
pub(super) async fn note(
    State(sight): State<Arc<Sight>>,
    path: Option<MatchedPath>,
    names: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>().filter(|_| is_change(request.method()));
    let Some(by) = caller.map(Caller::actor) else { return next.run(request).await };
    let pattern = path.as_ref().map_or(request.uri().path(), MatchedPath::as_str);
    let asked = format!("{} {pattern}", request.method());
    let what = pattern.rsplit('/').next().filter(|_| path.is_some()).and_then(What::named);
    let names = names.iter().flat_map(RawPathParams::iter);
    // As commands name it: `app/10.0.0.1:8080`.
    let target = names.map(|(_, name)| name).collect::<Vec<_>>().join("/");
    let mut response = next.run(request).await;
    if let Some(Unnoted(reason)) = response.extensions_mut().remove() {
        let deed = Deed::refused(what.unwrap_or(What::Request), reason);
        let deed = deed.answered(asked, response.status().as_u16());
        let deed = if target.is_empty() { deed } else { deed.to(target) };
        sight.control.changes().audit().record(&by, deed, Instant::now());
    }
    response
}
