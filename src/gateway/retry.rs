//! Whether a request that failed at an endpoint is sent again, and what the failure tells about the endpoint.

use std::time::Duration;

use http::{Method, StatusCode};
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::config::spec::{RetryOn, UpstreamProtocol};
use crate::pools::{
    Fault, is_break, is_ended_politely, is_gone, is_our_own_fault, is_refused_stream, retry_after,
};
use crate::runtime::{Cause, GrpcStatus};

use super::cx::{Noted, RequestCx};
use super::deadline::Watchdog;
use super::failure;
use super::grpc;
use super::hedge;
use super::recording;
use super::reply::is_final;
use super::upstream::{self, is_overdue, left_of_total};

/// A kept connection that turns out to be closed is no fault of the request's: it is sent again, so often at
/// most, if it may be sent twice.
const STALE_RETRIES: usize = 2;
/// The most retries that a configuration can ask for.
const MOST_RETRIES: usize = 10;
/// How many attempts Pingora has to allow for that.
pub(crate) const MAX_ATTEMPTS: usize = 1 + MOST_RETRIES + STALE_RETRIES;

/// After a connection that could not be made: nothing was sent, so that any request may be repeated.
pub(super) fn after_connect_failure(cx: &mut RequestCx, mut error: Box<Error>) -> Box<Error> {
    if is_gone(&error) && cx.stale_retries < STALE_RETRIES {
        cx.stale_retries += 1;
        error.set_retry(true);
        return error;
    }
    let cause = match failure::cause_of(&error) {
        // The limit was what was left of the total.
        Cause::ConnectTimeout if is_overdue(cx) => Cause::TotalTimeout,
        cause => cause,
    };
    if matches!(cause, Cause::TlsFailed(_)) {
        tell(cx, &error);
    }
    if !is_our_own_fault(&error) && is_the_endpoints_fault(cx, &cause) {
        note_failure(cx, Fault::from(&cause), None, Instant::now());
    }
    let repeats = is_wanted_on(cx, |on| on == RetryOn::Connect) && begin_retry(cx, &cause);
    if !repeats {
        cx.cause.get_or_insert(cause);
    }
    error.set_retry(repeats);
    error
}

/// Tells operators why no handshake could be done: certificates are theirs to put right.
fn tell(cx: &RequestCx, error: &Error) {
    let Some((pool, lease)) = cx.pool().zip(cx.lease.as_ref()) else { return };
    let endpoint = lease.endpoint();
    if endpoint.may_tell(Instant::now()) {
        let (pool, address) = (pool.name(), endpoint.address());
        let reason = error.to_string();
        log::warn!("no TLS with endpoint pool={pool} endpoint={address} error={reason:?}");
    }
}

/// After a failure on a connection.
pub(super) fn after_failure(
    session: &Session,
    cx: &mut RequestCx,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    hedge::settle(cx);
    // The answer's status was the reason, and leave to retry was given with it.
    if cx.repeats.is_some() {
        error.set_retry(true);
        return error;
    }
    if failure::is_after_answer(&error) {
        error.set_retry(false);
        return error;
    }
    if let Some(unanswered) = hedge::take_failure(cx) {
        error = unanswered.error;
        if unanswered.is_connect {
            return after_connect_failure(cx, error);
        }
    }
    if let Some(cause) = cx.watchdog.as_ref().and_then(Watchdog::expired) {
        let cause = blame(cx, cause);
        return after_silence(session, cx, cause);
    }
    if let Some(cause) = expired(cx, &error) {
        return after_silence(session, cx, cause);
    }
    // Ours, before anything was sent.
    if *error.etype() == ErrorType::TLSHandshakeFailure {
        return after_connect_failure(cx, error);
    }
    if grpc::is_over(cx) && failure::cause_of(&error) == Cause::ClientGone {
        // It has what it asked for, and breaks off what nobody wants any more.
        error.set_retry(false);
        return error;
    }
    let is_stale = reused && is_stale(cx, &error);
    if may_begin_anew(session, cx, &error, is_stale) {
        cx.stale_retries += 1;
        error.set_retry(true);
        return error;
    }
    after_break(session, cx, error, is_stale)
}

/// After a failure for which there is another attempt only if the pool's settings want one. It tells nothing of the endpoint
/// where the connection was a stale one.
fn after_break(session: &Session, cx: &mut RequestCx, mut error: Box<Error>, is_stale: bool) -> Box<Error> {
    error.set_retry(false);
    let is_upstream = is_upstream(&error);
    let cause = match error.etype() {
        // The endpoint does not read what the client has sent.
        ErrorType::WriteTimedout if is_upstream && !is_overdue(cx) => Cause::ResponseTimeout,
        _ => blame(cx, failure::cause_of(&error)),
    };
    if matches!(cause, Cause::TlsFailed(_)) {
        tell(cx, &error);
    }
    let is_over = cause == Cause::TotalTimeout;
    if (is_upstream || is_over) && !is_stale && is_the_endpoints_fault(cx, &cause) {
        note_failure(cx, Fault::from(&cause), None, Instant::now());
    }
    // Of such a request nothing was done, whatever its method (RFC 9113 §8.7).
    let is_refused = is_refused_stream(&error) && is_whole(session, cx);
    let is_wanted = is_wanted_on(cx, |on| match on {
        RetryOn::RefusedStream => is_refused,
        RetryOn::Reset => matches!(cause, Cause::UpstreamClosed),
        RetryOn::Timeout => cause == Cause::ResponseTimeout,
        RetryOn::Connect | RetryOn::GrpcUnavailable | RetryOn::Status(_) => false,
    });
    let is_repeatable = is_upstream && is_repeatable(session, cx) && cx.cause.is_none();
    if (is_repeatable || is_refused) && is_wanted && begin_counted_retry(cx, &cause) {
        error.set_retry(true);
    } else {
        cx.cause.get_or_insert(cause);
    }
    error
}

/// After a limit of ours ended the attempt.
fn after_silence(session: &Session, cx: &mut RequestCx, cause: Cause) -> Box<Error> {
    if is_the_endpoints_fault(cx, &cause) {
        note_failure(cx, Fault::from(&cause), None, Instant::now());
    }
    let is_timeout = cause == Cause::ResponseTimeout && may_follow_timeout(session, cx, Instant::now());
    if is_timeout && begin_counted_retry(cx, &cause) {
        let mut error = Error::new_up(ErrorType::ReadTimedout);
        error.set_retry(true);
        return error;
    }
    cx.fail(cause)
}

/// Which limit of an HTTP/2 client's exchange ended the wait on its session, if one did.
fn expired(cx: &RequestCx, error: &Error) -> Option<Cause> {
    let is_wait = *error.esource() == ErrorSource::Downstream && *error.etype() == ErrorType::ReadTimedout;
    cx.clock.as_ref().filter(|_| is_wait)?.expired(Instant::now())
}

/// Notes the head of an answer. Where its status is one to retry on, and an endpoint is there for it, the error that
/// leads to the next attempt is returned.
pub(super) fn judge_answer(
    session: &Session,
    response: &ResponseHeader,
    cx: &mut RequestCx,
    now: Instant,
) -> Option<Box<Error>> {
    let status = response.status;
    if status.is_server_error() || grpc::is_failure(cx) {
        note_failure(cx, Fault::UpstreamStatus, retry_after(response), now);
    } else {
        note_answer(cx, now);
    }
    // Nearly all answers end here.
    let is_failure = status.as_u16() >= 400 || cx.grpc_status == Some(GrpcStatus::UNAVAILABLE);
    if is_failure && is_to_be_repeated(session, cx, status) {
        let another = cx.pool().zip(cx.lease.as_ref());
        let is_there = another.is_some_and(|(pool, lease)| pool.has_another(&cx.tried, lease));
        if is_there && begin_counted_retry(cx, &Cause::UpstreamStatus) {
            let mut error = Error::new_up(ErrorType::HTTPStatus(status.as_u16()));
            error.set_retry(true);
            return Some(error);
        }
    }
    // The answer goes on for however long; the budget is for those that may multiply.
    cx.retry_permit = None;
    None
}

/// At the end of a request: what was answered and did not break, also by its client's leaving, succeeded.
pub(super) fn note_end(cx: &RequestCx, now: Instant) {
    if cx.noted == Noted::Answered
        && let (Some(pool), Some(lease)) = (cx.pool(), &cx.lease)
    {
        pool.succeeded(lease, now);
    }
}

/// After a whole answer. The endpoint has nothing in flight any more, however long the client takes to end its request.
pub(super) fn let_go(cx: &mut RequestCx) {
    if let Some(unfinished) = &mut cx.unfinished {
        unfinished.is_answered = true;
    }
    if cx.body_ended || cx.is_upgrade_req {
        return;
    }
    note_end(cx, Instant::now());
    recording::end_attempt(cx, None);
    cx.retry_permit = None;
    give_back(cx);
}

// === What an attempt tells of the endpoint ===

/// The time of the answer is the endpoint's from the last byte of the request on.
fn note_answer(cx: &mut RequestCx, now: Instant) {
    let began = cx.attempt_began.max(cx.body_ended_at);
    let took = began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
    if let (Some(pool), Some(lease)) = (cx.pool(), &cx.lease) {
        pool.answered(lease, took, now);
    }
    hedge::note_head_time(cx, now);
    cx.noted = Noted::Answered;
}

/// Once for each attempt, however it fails further.
pub(super) fn note_failure(cx: &mut RequestCx, fault: Fault, retry_after: Option<Duration>, now: Instant) {
    if cx.noted != Noted::Failed
        && let (Some(pool), Some(lease)) = (cx.pool(), &cx.lease)
    {
        pool.failed(lease, fault, retry_after, now);
    }
    cx.noted = Noted::Failed;
}

/// Whose time is up: the request's as a whole, that of the client whose body the endpoint waits for, or the
/// endpoint's.
fn blame(cx: &RequestCx, cause: Cause) -> Cause {
    match cause {
        Cause::ResponseTimeout if is_overdue(cx) => Cause::TotalTimeout,
        Cause::ResponseTimeout if !cx.body_ended && !cx.is_upgrade_req => Cause::BodyTimeout,
        Cause::ClientGone if has_run_out(cx) => Cause::TotalTimeout,
        cause => cause,
    }
}

fn has_run_out(cx: &RequestCx) -> bool {
    cx.call.as_ref().is_some_and(|call| call.has_run_out(cx.received.elapsed()))
}

/// Whether a limit or a broken connection tells of the endpoint: not when the client's body was waited for, nor when
/// earlier attempts or the client left this one little of the request's total.
fn is_the_endpoints_fault(cx: &RequestCx, cause: &Cause) -> bool {
    match cause {
        Cause::BodyTimeout => false,
        Cause::TotalTimeout => {
            let began = cx.attempt_began.max(cx.body_ended_at);
            let waits_for_client = cx.timings.connected.is_some() && !cx.body_ended;
            !waits_for_client
                && !is_the_clients_limit(cx)
                && began.is_some_and(|began| began.elapsed() * 2 >= cx.total())
        }
        _ => true,
    }
}

/// Whether the total that is over is a call's deadline of which nothing follows for the endpoint: a very short one, or
/// that of a stream, which may be meant to go on until then.
pub(super) fn is_the_clients_limit(cx: &RequestCx) -> bool {
    cx.call.as_ref().is_some_and(|call| call.is_hasty() || cx.noted == Noted::Answered)
}

// === Whether to repeat ===

fn is_wanted_on(cx: &RequestCx, is_meant: impl Fn(RetryOn) -> bool) -> bool {
    cx.pool().is_some_and(|pool| pool.config().retry.on.as_slice().iter().any(|&on| is_meant(on)))
}

/// Whether the request may be sent again although it has been sent: its method says so (RFC 9110 §9.2.2).
fn is_repeatable(session: &Session, cx: &RequestCx) -> bool {
    let method = &session.req_header().method;
    method.is_idempotent() && *method != Method::CONNECT && is_whole(session, cx)
}

/// Whether all of the request is still there, and its client has not got anything of a final answer.
fn is_whole(session: &Session, cx: &RequestCx) -> bool {
    let is_answered = session.response_written().is_some_and(|head| is_final(head.status));
    !session.retry_buffer_truncated() && !is_answered && !cx.asks_upgrade
}

/// Whether the attempt began only now. A kept connection that its endpoint had closed breaks at once; one that breaks later
/// breaks under the request, and on HTTP/2 nearly all are kept ones.
fn is_young(cx: &RequestCx) -> bool {
    const YOUNG: Duration = Duration::from_secs(1);
    cx.timings.connected.is_some_and(|connected| connected.elapsed() < YOUNG)
}

fn is_upstream(error: &Error) -> bool {
    *error.esource() == ErrorSource::Upstream
}

/// Whether a kept connection broke since its endpoint had closed it.
fn is_stale(cx: &RequestCx, error: &Error) -> bool {
    is_upstream(error) && is_young(cx) && is_break(error) && cx.noted == Noted::Nothing
}

/// Whether the endpoint has not begun with the request, which is sent again then whatever the pool's settings say.
fn may_begin_anew(session: &Session, cx: &RequestCx, error: &Error, is_stale: bool) -> bool {
    let is_unserved = || is_unserved(error, cx) && is_whole(session, cx);
    let is_meant = is_upstream(error) && cx.cause.is_none() && cx.stale_retries < STALE_RETRIES;
    is_meant && ((is_stale && is_repeatable(session, cx)) || is_unserved())
}

/// Whether the endpoint ended a connection of HTTP/2 politely before it began with the request (RFC 9113 §6.8), or asks
/// for it over HTTP/1, which Pingora speaks to it from now on.
fn is_unserved(error: &Error, cx: &RequestCx) -> bool {
    let is_ended = is_ended_politely(error);
    let is_auto = || upstream::protocol(cx) == Some(UpstreamProtocol::Auto);
    (is_ended && cx.noted == Noted::Nothing) || (*error.etype() == ErrorType::H2Downgrade && is_auto())
}

/// Whether an answer is one to repeat the request after. A call of gRPC is repeated by its status whatever its method,
/// which is always the same.
fn is_to_be_repeated(session: &Session, cx: &RequestCx, status: StatusCode) -> bool {
    let is_unavailable = cx.grpc_status == Some(GrpcStatus::UNAVAILABLE);
    let is_in = |on| matches!(on, RetryOn::Status(range) if range.contains(status.as_u16()));
    (is_wanted_on(cx, is_in) && is_repeatable(session, cx))
        || (is_unavailable && is_wanted_on(cx, |on| on == RetryOn::GrpcUnavailable) && is_whole(session, cx))
}

/// Whether there is a retry left for the request, with time for it.
fn has_retry_left(cx: &RequestCx, now: Instant) -> bool {
    let Some(pool) = cx.pool() else { return false };
    cx.retries < pool.config().retry.attempts && left_of_total(cx, now).is_none_or(|left| !left.is_zero())
}

/// Whether another attempt could follow if no connection could be made in time.
pub(super) fn may_follow_connect(cx: &RequestCx, now: Instant) -> bool {
    has_retry_left(cx, now) && is_wanted_on(cx, |on| on == RetryOn::Connect)
}

/// Whether another attempt could follow if this one were ended for its silence.
pub(super) fn may_follow_timeout(session: &Session, cx: &RequestCx, now: Instant) -> bool {
    has_retry_left(cx, now)
        && is_wanted_on(cx, |on| on == RetryOn::Timeout)
        && is_repeatable(session, cx)
        && (cx.retry_permit.is_some() || cx.pool().is_some_and(|pool| pool.has_budget()))
}

/// Begins another attempt, if the request has one left.
fn begin_retry(cx: &mut RequestCx, cause: &Cause) -> bool {
    let is_left = has_retry_left(cx, Instant::now());
    if is_left {
        repeat(cx, cause);
    }
    is_left
}

/// The same with leave from the pool's budget, for a request that has been sent.
fn begin_counted_retry(cx: &mut RequestCx, cause: &Cause) -> bool {
    if !has_retry_left(cx, Instant::now()) {
        return false;
    }
    // That of the failed attempt first, or it would stand in the way of its own successor.
    cx.retry_permit = None;
    cx.retry_permit = cx.pool().and_then(|pool| pool.permit_retry());
    let is_permitted = cx.retry_permit.is_some();
    if is_permitted {
        repeat(cx, cause);
    }
    is_permitted
}

/// Gives up the endpoint of the failed attempt, and counts the retry.
fn repeat(cx: &mut RequestCx, cause: &Cause) {
    // An answer that is retried for its status was one for all that.
    note_end(cx, Instant::now());
    recording::end_attempt(cx, Some(cause));
    // First, so that the request is in flight without a gap.
    cx.between_attempts = cx.pool().map(|pool| pool.between_attempts());
    give_back(cx);
    cx.retries += 1;
    cx.repeats = Some(cause.clone());
}

/// Lets the endpoint of an attempt that is over go.
fn give_back(cx: &mut RequestCx) {
    cx.count_bytes();
    if let Some(lease) = cx.lease.take() {
        cx.tried.push(lease.endpoint().clone());
    }
}
