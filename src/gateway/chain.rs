//! Runs the filters of a route. A filter that panics fails its request and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::HeaderMap;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::time::{Instant, sleep_until};

use crate::hooks::{End, Flow, HookError, Needs, PoolRef, RequestView, ResponseHead, ResponseView};
use crate::runtime::{Action, Cause, Connection, Decision, Route, Stage, Step};

use super::cx::{RequestCx, filter_parts};
use super::downstream::Downstream;
use super::early::Client;
use super::recording;

/// What all filters together may take before the request goes on, where its pool allows no less.
const LONGEST: Duration = Duration::from_secs(60);

/// Shows the request to the filters in their order until one answers.
pub(super) async fn on_request(session: &mut impl Downstream, cx: &mut RequestCx) -> Result<Flow, Cause> {
    if cx.route().is_some_and(|route| route.filters.is_empty()) {
        return Ok(Flow::Continue);
    }
    let Some(connection) = session.connection().cloned() else { return Err(Cause::Internal) };
    let count = cx.route().map_or(0, |route| route.filters.len());
    let mut now = cx.received;
    for number in 0..count {
        // It sees the answer, also if it never comes to an end.
        cx.entered = number + 1;
        let began = recording::filter_begins(cx);
        let called = call_filter(session, &connection, (number, now), cx).await;
        recording::note_filter(cx, number, began, called.as_ref().map(|called| &called.outcome));
        let Called { outcome: flow, has_waited } = called?;
        if has_waited {
            cx.has_waited = true;
            now = Instant::now();
        }
        if !matches!(flow, Flow::Continue) {
            return Ok(flow);
        }
    }
    Ok(Flow::Continue)
}

/// Shows the request to the filter of this number.
async fn call_filter(
    session: &mut impl Downstream,
    connection: &Connection,
    (number, now): (usize, Instant),
    cx: &mut RequestCx,
) -> Result<Called<Flow>, Cause> {
    let until = filtered_by(cx);
    let Some((mut filter_cx, route, host)) = filter_parts(cx, now) else {
        return Err(Cause::Internal);
    };
    let step = &route.filters[number];
    let mut client = Client::new(session);
    let mut request = RequestView::incoming(&mut client, host);
    let call = AssertUnwindSafe(step.filter.on_request(&mut request, &mut filter_cx)).catch_unwind();
    let Called { outcome, has_waited } = finish(call, until, connection).await?;
    if let Some(cause) = client.into_failure() {
        return Err(cause);
    }
    let outcome = settle(step, outcome)?;
    if let Some(decision) = decision(&outcome) {
        step.stats.count(decision);
    }
    Ok(Called { outcome, has_waited })
}

/// What the counts have of a filter's call; nothing where the request passed.
fn decision(flow: &Flow) -> Option<Decision> {
    match flow {
        Flow::Continue => None,
        Flow::Respond(_) => Some(Decision::Answered),
        Flow::Reject(_) => Some(Decision::Rejected),
    }
}

/// When the filters have to be through, by what those so far have made of the request.
fn filtered_by(cx: &RequestCx) -> Instant {
    let total_of = |pool: PoolRef| {
        let total = cx.snapshot.pools.get(pool.0).map(|pool| pool.timeouts().total.get());
        total.filter(|total| !total.is_zero()).unwrap_or(LONGEST)
    };
    let total = match cx.route().map(|route| &route.action) {
        // Which of them it will be is not known yet.
        Some(Action::Split(split)) if cx.shown_pool.is_none() => split.pools().map(total_of).max(),
        _ => cx.shown_pool.map(total_of),
    };
    cx.received + total.into_iter().chain(cx.bounds.total).fold(LONGEST, Duration::min)
}

/// What became of a filter's call.
struct Called<T> {
    outcome: T,
    has_waited: bool,
}

/// Waits for a filter's call, which most often need not be waited for.
async fn finish<T>(
    call: impl Future<Output = T>,
    until: Instant,
    connection: &Connection,
) -> Result<Called<T>, Cause> {
    tokio::pin!(call);
    if let Poll::Ready(outcome) = futures::poll!(&mut call) {
        return Ok(Called { outcome, has_waited: false });
    }
    tokio::select! {
        biased;
        outcome = call => Ok(Called { outcome, has_waited: true }),
        () = connection.ending().reached(Stage::RequestsCut) => Err(Cause::Cut),
        () = sleep_until(until) => Err(Cause::TotalTimeout),
    }
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
        settle(step, catch_unwind(AssertUnwindSafe(call)))?;
    }
    Ok(())
}

/// Shows a response's head to the filters that saw the request, last one first.
pub(super) fn on_response(
    request: &RequestHeader,
    response: ResponseHead<'_>,
    cx: &mut RequestCx,
) -> Result<(), Cause> {
    let entered = cx.entered;
    if entered == 0 {
        return Ok(());
    }
    let cause = cx.cause.clone();
    let is_from_endpoint = cx.timings.first_byte.is_some() && cause.is_none() && !cx.is_stored_answer();
    let Some((mut filter_cx, route, host)) = filter_parts(cx, Instant::now()) else { return Ok(()) };
    let mut response = ResponseView::new(response, request, host)
        .with_cause(cause.as_ref().map(Cause::word))
        .given_by_endpoint(is_from_endpoint);
    for step in route.filters[..entered].iter().rev() {
        let call = || step.filter.on_response(&mut response, &mut filter_cx);
        settle(step, catch_unwind(AssertUnwindSafe(call)))?;
    }
    Ok(())
}

/// What passes: the piece of a body, or of a tunnel after a 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    Body,
    Tunnel,
}

impl Passing {
    pub(super) fn of(session: &Session) -> Self {
        if session.was_upgraded() { Self::Tunnel } else { Self::Body }
    }

    /// Whether a filter wants to see it.
    fn is_wanted(self, needs: Needs) -> bool {
        match self {
            Self::Body => needs.bodies,
            Self::Tunnel => needs.tunnels,
        }
    }
}

/// Shows a piece of the request's body to the filters that want to see it.
pub(super) fn on_request_body(
    passing: Passing,
    body: &mut Option<Bytes>,
    end: bool,
    cx: &mut RequestCx,
) -> Result<(), Cause> {
    if !cx.route().is_some_and(|route| passing.is_wanted(route.needs)) {
        return Ok(());
    }
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return Ok(()) };
    for step in route.filters.iter().filter(|step| passing.is_wanted(step.needs)) {
        let call = || step.filter.on_request_body(body, end, &mut filter_cx);
        settle(step, catch_unwind(AssertUnwindSafe(call)))?;
    }
    // Pingora takes a piece that is none for the end of the body, and an empty last one for two ends.
    if body.as_ref().is_none_or(Bytes::is_empty) {
        *body = (!end).then(Bytes::new);
    }
    Ok(())
}

/// Whether any filter that saw the request wants to see the body of its answer.
pub(super) fn filters_response_body(cx: &RequestCx) -> bool {
    let saw = |route: &Route| route.filters[..cx.entered].iter().any(|step| step.needs.bodies);
    cx.entered > 0 && cx.route().is_some_and(|route| route.needs.bodies && saw(route))
}

/// Shows a piece of the response's body to the filters that want to see it and saw the request, last one first.
pub(super) fn on_response_body(
    passing: Passing,
    body: &mut Option<Bytes>,
    end: bool,
    cx: &mut RequestCx,
) -> Result<(), Cause> {
    if !cx.route().is_some_and(|route| passing.is_wanted(route.needs)) {
        return Ok(());
    }
    let entered = cx.entered;
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return Ok(()) };
    for step in route.filters[..entered].iter().rev().filter(|step| passing.is_wanted(step.needs)) {
        let call = || step.filter.on_response_body(body, end, &mut filter_cx);
        settle(step, catch_unwind(AssertUnwindSafe(call)))?;
    }
    body.take_if(|piece| piece.is_empty());
    Ok(())
}

/// Shows the trailers of a response to the filters that saw the request, last one first. Bytes that one of them ends the
/// body with are seen by the others as a piece of it, its last where no trailers are left; they are returned.
pub(super) fn on_response_trailers(
    trailers: &mut HeaderMap,
    cx: &mut RequestCx,
) -> Result<Option<Bytes>, Cause> {
    if !cx.route().is_some_and(|route| route.needs.bodies) {
        return Ok(None);
    }
    let entered = cx.entered;
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return Ok(None) };
    let mut last = None;
    for step in route.filters[..entered].iter().rev().filter(|step| step.needs.bodies) {
        let is_end = last.is_some() && trailers.is_empty();
        let call = || {
            if last.is_some() {
                step.filter.on_response_body(&mut last, is_end, &mut filter_cx)?;
                last.get_or_insert_default();
            }
            if is_end { Ok(None) } else { step.filter.on_response_trailers(trailers, &mut filter_cx) }
        };
        if let Some(more) = settle(step, catch_unwind(AssertUnwindSafe(call)))? {
            last = Some(match last {
                Some(last) => [last, more].concat().into(),
                None => more,
            });
        }
    }
    Ok(last)
}

/// Tells the filters that want to know that the request is over, last one first.
pub(super) fn on_end(end: &End<'_>, cx: &mut RequestCx) {
    let entered = cx.entered;
    let Some((mut filter_cx, route, _)) = filter_parts(cx, Instant::now()) else { return };
    for step in route.filters[..entered].iter().rev().filter(|step| step.needs.end) {
        let call = || step.filter.on_end(end, &mut filter_cx);
        // A panic is in the log, and nothing can fail any more.
        let _ = settle(step, catch_unwind(AssertUnwindSafe(call)).map(Ok));
    }
}

/// Turns what a filter's call came to into a flow or the cause of a failure, and logs the latter.
fn settle<T>(step: &Step, outcome: std::thread::Result<Result<T, HookError>>) -> Result<T, Cause> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            step.stats.count(Decision::Failed);
            let filter = &step.name;
            log::warn!("filter failed filter={filter} error={error} source={source:?}");
            Err(Cause::HookFailed(error.status(), error.cause()))
        }
        Err(_) => {
            step.stats.count(Decision::Failed);
            log::error!("filter panicked filter={}", step.name);
            Err(Cause::HookPanicked)
        }
    }
}
