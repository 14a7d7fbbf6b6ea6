//! Which of several pools serves a request, and what it came to there.

use http::header::SET_COOKIE;
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::Instant;

use crate::runtime::{Action, Cause};
use crate::split::{Outcome, Split};
use crate::types::with_random;

use super::cx::{Noted, RequestCx};
use super::recording;

/// Chooses the pool of a request whose route has several, unless a filter has.
pub(super) fn choose(request: &RequestHeader, cx: &mut RequestCx) {
    if cx.pool.is_some() {
        return;
    }
    let Some(split) = split_of(cx) else { return };
    let pick_cx = cx.pick_cx(request, cx.received);
    let choice = with_random(|random| split.choose(&pick_cx, random));
    cx.pool = Some(choice.pool);
    // Filters see it from here on.
    cx.shown_pool = cx.pool;
    cx.choice = Some(choice);
    recording::note_split(cx);
}

/// Whether the answer has a cookie for its client.
pub(super) fn binds_client(cx: &RequestCx) -> bool {
    cx.choice.is_some_and(|choice| choice.issued.is_some())
}

/// Gives a client that has none the cookie that keeps it with its pool; `None` when the head has no room for it.
pub(super) fn bind_client(response: &mut ResponseHeader, cx: &RequestCx) -> Option<()> {
    let Some(issued) = cx.choice.and_then(|choice| choice.issued) else { return Some(()) };
    let cookie = split_of(cx)?.set_cookie(issued, cx.facts.as_ref()?.scheme)?;
    response.append_header(SET_COOKIE, cookie).ok().map(drop)
}

/// Notes what a request came to at the pool that was chosen for it, if it came to anything there: stored answers and clients
/// that leave tell nothing of a pool.
pub(super) fn record(cx: &RequestCx, now: Instant) {
    let (Some(choice), Some(split)) = (cx.choice, split_of(cx)) else { return };
    let is_failure = cx.noted == Noted::Failed || cx.cause.as_ref().is_some_and(is_without_endpoint);
    if !is_failure && cx.noted != Noted::Answered {
        return;
    }
    // The time of the pool: neither that of the filters, nor that of the client's body.
    let began = cx.timings.filtered.max(cx.body_ended_at);
    let first_byte =
        cx.timings.first_byte.zip(began).map(|(first, began)| first.saturating_duration_since(began));
    split.record(choice.side, Outcome { is_failure, first_byte }, now);
}

fn split_of(cx: &RequestCx) -> Option<&Split> {
    match &cx.route()?.action {
        Action::Split(split) => Some(split),
        _ => None,
    }
}

/// Whether the pool had nobody for the request.
fn is_without_endpoint(cause: &Cause) -> bool {
    matches!(cause, Cause::NoEndpointFit | Cause::QueueFull | Cause::QueueTimeout)
}
