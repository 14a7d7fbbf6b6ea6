//! Which trace a request is of, and what endpoints are told of it.

use http::HeaderValue;
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
    cx.traced = Some(traced);
}

/// Writes the trace into the request, for filters and for whoever the request is sent to.
pub(super) fn tell(head: &mut RequestHeader, cx: &RequestCx) -> Option<()> {
    let Some(Traced { context, .. }) = &cx.traced else { return Some(()) };
    head.insert_header(TRACEPARENT, context.traceparent()).ok()?;
    match &context.state {
        Some(state) => head.insert_header(TRACESTATE, state.clone()).ok(),
        None => Some(()),
    }
}

/// Names a span of the attempt's own as the one that its request comes from, where the request is recorded.
pub(super) fn tell_endpoint(request: &mut RequestHeader, cx: &mut RequestCx) -> Option<()> {
    let Some(named) = name_attempt(request, cx) else { return Some(()) };
    if let Some(attempt) = cx.recording.as_mut().and_then(|recording| recording.serving_mut()) {
        attempt.span = Some(named.span);
    }
    named.tell(request)
}

/// The span of an attempt, for the endpoint that it goes to.
#[derive(Clone, Debug)]
pub(super) struct NamedAttempt {
    pub(super) span: SpanId,
    traceparent: HeaderValue,
}

/// A span for another attempt; `None` where requests are not recorded, or a filter has taken the trace out of this one.
pub(super) fn name_attempt(request: &RequestHeader, cx: &RequestCx) -> Option<NamedAttempt> {
    let traced = cx.traced.as_ref().filter(|traced| traced.is_recorded)?;
    if !request.headers.contains_key(TRACEPARENT) {
        return None;
    }
    let span = with_random(SpanId::random);
    Some(NamedAttempt { span, traceparent: traced.context.in_span(span).traceparent() })
}

impl NamedAttempt {
    /// Writes it into the request of the attempt.
    pub(super) fn tell(&self, request: &mut RequestHeader) -> Option<()> {
        request.insert_header(TRACEPARENT, self.traceparent.clone()).ok()
    }
}
