//! Which trace a request is of, and what endpoints are told of it.

use pingora_http::RequestHeader;

use crate::telemetry::{SpanId, TRACEPARENT, TRACESTATE, TraceContext};
use crate::tracing::Traced;
use crate::types::with_random;

use super::cx::RequestCx;

/// Takes a request into its trace, if traces are wanted at all; else what it says of one passes as it came. What nobody believes
/// is gone after this.
pub(super) fn take(head: &mut RequestHeader, cx: &mut RequestCx) {
    let Some(tracing) = &cx.snapshot.tracing else { return };
    let is_believed = tracing.believes(cx.way.is_by_proxy());
    let found = is_believed.then(|| TraceContext::parse(&head.headers)).flatten();
    let traced = with_random(|random| tracing.take(found, random));
    head.remove_header(&TRACEPARENT);
    head.remove_header(&TRACESTATE);
    cx.traced = Some(Box::new(traced));
}

/// Writes the trace into the request, for filters and for whoever the request is sent to.
pub(super) fn tell(head: &mut RequestHeader, cx: &RequestCx) -> Option<()> {
    let Some(traced) = &cx.traced else { return Some(()) };
    let Traced { context, .. } = &**traced;
    head.insert_header(TRACEPARENT, context.traceparent()).ok()?;
    match &context.state {
        Some(state) => head.insert_header(TRACESTATE, state.clone()).ok(),
        None => Some(()),
    }
}

/// Names the span of an attempt as the one that its request comes from, unless a filter has taken the trace out.
pub(super) fn tell_endpoint(request: &mut RequestHeader, traced: &Traced, attempt: SpanId) -> Option<()> {
    if !request.headers.contains_key(TRACEPARENT) {
        return Some(());
    }
    request.insert_header(TRACEPARENT, traced.context.in_span(attempt).traceparent()).ok()
}
