//! Runs the filters of a route. A filter that panics fails its request and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use futures::FutureExt;
use http::HeaderMap;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::hooks::{Flow, HookError, RequestView, ResponseView};
use crate::runtime::Cause;

use super::cx::{RequestCx, filter_parts};

/// Shows the request to the filters in their order until one answers.
pub(super) async fn on_request(session: &mut Session, cx: &mut RequestCx) -> Result<Flow, Cause> {
    if cx.route().is_some_and(|route| route.filters.is_empty()) {
        return Ok(Flow::Continue);
    }
    let mut entered = 0;
    let flow = {
        let Some((mut filter_cx, route, host)) = filter_parts(cx, cx.received) else {
            return Err(Cause::Internal);
        };
        let mut request = RequestView::new(session.req_header_mut(), host);
        let mut outcome = Ok(Flow::Continue);
        for step in &route.filters {
            entered += 1;
            let call = AssertUnwindSafe(step.filter.on_request(&mut request, &mut filter_cx)).catch_unwind();
            outcome = settle(&step.name, call.await);
            if !matches!(outcome, Ok(Flow::Continue)) {
                break;
            }
        }
        outcome
    };
    cx.entered = entered;
    flow
}

/// Shows the request of one attempt to the filters.
pub(super) fn on_upstream_request(request: &mut RequestHeader, cx: &mut RequestCx) -> Result<(), Cause> {
    if cx.entered == 0 {
        return Ok(());
    }
    let Some((mut filter_cx, route, host)) = filter_parts(cx, Instant::now()) else {
        return Err(Cause::Internal);
    };
    let mut request = RequestView::new(request, host);
    for step in &route.filters {
        let call = || step.filter.on_upstream_request(&mut request, &mut filter_cx);
        settle(&step.name, catch_unwind(AssertUnwindSafe(call)))?;
    }
    Ok(())
}

/// Shows a response's head to the filters that saw the request, last one first.
pub(super) fn on_response(
    request: &RequestHeader,
    response: &mut ResponseHeader,
    cx: &mut RequestCx,
) -> Result<(), Cause> {
    let entered = cx.entered;
    if entered == 0 {
        return Ok(());
    }
    let Some((mut filter_cx, route, host)) = filter_parts(cx, Instant::now()) else { return Ok(()) };
    let mut response = ResponseView::new(response, request, host);
    for step in route.filters[..entered].iter().rev() {
        let call = || step.filter.on_response(&mut response, &mut filter_cx);
        settle(&step.name, catch_unwind(AssertUnwindSafe(call)))?;
    }
    Ok(())
}

pub(super) fn on_request_body(body: &mut Option<Bytes>, end: bool, cx: &mut RequestCx) -> Result<(), Cause> {
    if !cx.route().is_some_and(|route| route.filters_bodies) {
        return Ok(());
    }
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return Ok(()) };
    for step in &route.filters {
        let call = || step.filter.on_request_body(body, end, &mut filter_cx);
        settle(&step.name, catch_unwind(AssertUnwindSafe(call)))?;
    }
    // Pingora takes a piece that is none for the end of the body, and an empty last one for two ends.
    if body.as_ref().is_none_or(Bytes::is_empty) {
        *body = (!end).then(Bytes::new);
    }
    Ok(())
}

/// Whether any filter that saw the request wants to see the body of its answer.
pub(super) fn filters_response_body(cx: &RequestCx) -> bool {
    cx.entered > 0 && cx.route().is_some_and(|route| route.filters_bodies)
}

pub(super) fn on_response_body(body: &mut Option<Bytes>, end: bool, cx: &mut RequestCx) -> Result<(), Cause> {
    if !cx.route().is_some_and(|route| route.filters_bodies) {
        return Ok(());
    }
    let entered = cx.entered;
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return Ok(()) };
    for step in route.filters[..entered].iter().rev() {
        let call = || step.filter.on_response_body(body, end, &mut filter_cx);
        settle(&step.name, catch_unwind(AssertUnwindSafe(call)))?;
    }
    body.take_if(|piece| piece.is_empty());
    Ok(())
}

/// Shows the trailers of a response to the filters that saw the request, last one first. Once one of them has made
/// bytes of the trailers, the others see these as the last of the body; they are returned.
pub(super) fn on_response_trailers(
    trailers: &mut HeaderMap,
    cx: &mut RequestCx,
) -> Result<Option<Bytes>, Cause> {
    if !cx.route().is_some_and(|route| route.filters_bodies) {
        return Ok(None);
    }
    let entered = cx.entered;
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return Ok(None) };
    let mut last = None;
    for step in route.filters[..entered].iter().rev() {
        let call = || match &mut last {
            None => step.filter.on_response_trailers(trailers, &mut filter_cx),
            Some(bytes) => {
                let mut body = Some(std::mem::take(bytes));
                step.filter.on_response_body(&mut body, true, &mut filter_cx)?;
                Ok(Some(body.unwrap_or_default()))
            }
        };
        last = settle(&step.name, catch_unwind(AssertUnwindSafe(call)))?;
    }
    Ok(last)
}

/// Turns what a filter's call came to into a flow or the cause of a failure, and logs the latter.
fn settle<T>(filter: &str, outcome: std::thread::Result<Result<T, HookError>>) -> Result<T, Cause> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            log::warn!("filter failed filter={filter} error={error} source={source:?}");
            Err(Cause::HookFailed(error.status()))
        }
        Err(_) => {
            log::error!("filter panicked filter={filter}");
            Err(Cause::HookPanicked)
        }
    }
}
