//! Whether a request that failed at an endpoint is sent again, and what the failure tells about the endpoint.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Method, StatusCode};
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::config::spec::RetryOn;
use crate::pools::Outcome;
use crate::runtime::Cause;
use crate::types::Random;

use super::cx::RequestCx;
use super::failure;
use super::upstream::{is_overdue, left_of_total};

/// A kept connection that turns out to be closed is no fault of the request's: it is sent again, so often at
/// most, if it may be sent twice.
const STALE_RETRIES: usize = 2;
/// The most retries that a configuration can ask for.
const MOST_RETRIES: usize = 10;
/// How many attempts Pingora has to allow for that.
pub(crate) const MAX_ATTEMPTS: usize = 1 + MOST_RETRIES + STALE_RETRIES;
/// The first retry waits for up to this, each further one for up to twice as long.
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(25);
const LONGEST_BACK_OFF: Duration = Duration::from_millis(250);

/// After a connection that could not be made: nothing was sent, so that any request may be repeated.
pub(super) fn after_connect_failure(cx: &mut RequestCx, mut error: Box<Error>) -> Box<Error> {
    let cause = failure::cause_of(&error);
    note_failure(cx);
    error.set_retry(is_wanted_on(cx, |on| on == RetryOn::Connect) && begin_retry(cx, &cause));
    error
}

/// After a failure on a connection.
pub(super) fn after_failure(
    session: &Session,
    cx: &mut RequestCx,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    // The answer's status was the reason, and leave to retry was given with it.
    if cx.repeats.is_some() {
        error.set_retry(true);
        return error;
    }
    if let Some(cause) = cx.watchdog.as_ref().and_then(super::deadline::Watchdog::expired) {
        return after_silence(session, cx, cause);
    }
    let is_upstream = *error.esource() == ErrorSource::Upstream;
    let is_repeatable = is_repeatable(session, cx) && is_upstream && cx.cause.is_none();
    if is_repeatable && is_stale(&mut error, reused) && cx.stale_retries < STALE_RETRIES {
        cx.stale_retries += 1;
        error.set_retry(true);
        return error;
    }
    error.set_retry(false);
    let cause = blame(cx, failure::cause_of(&error));
    if is_upstream && is_the_endpoints_fault(cx, &cause) {
        note_failure(cx);
    }
    // Of such a request nothing was done, whatever its method (RFC 9113 §8.7).
    let is_refused = is_refused_stream(&error) && is_whole(session, cx);
    let is_wanted = is_wanted_on(cx, |on| match on {
        RetryOn::RefusedStream => is_refused,
        RetryOn::Reset => matches!(cause, Cause::UpstreamClosed),
        RetryOn::Timeout => cause == Cause::ResponseTimeout,
        RetryOn::Connect | RetryOn::Status(_) => false,
    });
    if (is_repeatable || is_refused) && is_wanted && permit(cx) && begin_retry(cx, &cause) {
        error.set_retry(true);
    } else {
        cx.cause.get_or_insert(cause);
    }
    error
}

/// After a limit of ours ended the attempt.
fn after_silence(session: &Session, cx: &mut RequestCx, cause: Cause) -> Box<Error> {
    let cause = blame(cx, cause);
    if is_the_endpoints_fault(cx, &cause) {
        note_failure(cx);
    }
    let is_timeout = cause == Cause::ResponseTimeout && may_follow_timeout(session, cx, Instant::now());
    if is_timeout && permit(cx) && begin_retry(cx, &cause) {
        let mut error = Error::new_up(ErrorType::ReadTimedout);
        error.set_retry(true);
        return error;
    }
    cx.fail(cause)
}

/// Notes the head of an answer. Where its status is one to retry on, and that may be, the error that leads to the next
/// attempt is returned.
pub(super) fn judge_answer(
    session: &Session,
    response: &ResponseHeader,
    cx: &mut RequestCx,
    now: Instant,
) -> Option<Box<Error>> {
    let status = response.status;
    if status.is_server_error() {
        record(cx, &Outcome::Failed { retry_after: retry_after(response) }, now);
    } else {
        let took = cx.attempt_began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        record(cx, &Outcome::Answered(took), now);
    }
    // Nearly all answers end here.
    if status.as_u16() < 400 {
        return None;
    }
    let is_wanted =
        is_wanted_on(cx, |on| matches!(on, RetryOn::Status(range) if range.contains(status.as_u16())));
    let repeats =
        is_wanted && is_repeatable(session, cx) && permit(cx) && begin_retry(cx, &Cause::UpstreamStatus);
    repeats.then(|| {
        let mut error = Error::new_up(ErrorType::HTTPStatus(status.as_u16()));
        error.set_retry(true);
        error
    })
}

/// The seconds form of `Retry-After` (RFC 9110 §10.2.3); a date would need clocks that agree.
fn retry_after(response: &ResponseHeader) -> Option<Duration> {
    let is_meant = matches!(response.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    let value = response.headers.get(RETRY_AFTER).filter(|_| is_meant)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

// === What a failure tells of the endpoint ===

fn note_failure(cx: &RequestCx) {
    record(cx, &Outcome::Failed { retry_after: None }, Instant::now());
}

fn record(cx: &RequestCx, outcome: &Outcome, now: Instant) {
    if let (Some(pool), Some(lease)) = (cx.pool(), &cx.lease) {
        pool.record(lease.endpoint(), outcome, now);
    }
}

/// Whose time is up: the request's as a whole, that of the client whose body the endpoint waits for, or the
/// endpoint's.
fn blame(cx: &RequestCx, cause: Cause) -> Cause {
    match cause {
        Cause::ResponseTimeout if is_overdue(cx) => Cause::TotalTimeout,
        Cause::ResponseTimeout if !cx.body_ended && !cx.is_upgrade_req => Cause::BodyTimeout,
        cause => cause,
    }
}

/// Whether a limit or a broken connection tells of the endpoint: not when the client's body was waited for, nor when
/// earlier attempts left this one little of the request's total.
fn is_the_endpoints_fault(cx: &RequestCx, cause: &Cause) -> bool {
    match cause {
        Cause::BodyTimeout => false,
        Cause::TotalTimeout => {
            let total = cx.pool().map_or(Duration::ZERO, |pool| pool.timeouts().total.get());
            cx.attempt_began.is_some_and(|began| began.elapsed() * 2 >= total)
        }
        _ => true,
    }
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

/// Whether all of the request is still there, and its client has not got anything of an answer.
fn is_whole(session: &Session, cx: &RequestCx) -> bool {
    !session.retry_buffer_truncated() && session.response_written().is_none() && !cx.asks_upgrade
}

/// Whether a kept connection had been closed before the request was sent on it.
fn is_stale(error: &mut Error, reused: bool) -> bool {
    error.retry.decide_reuse(reused);
    error.retry()
}

fn is_refused_stream(error: &Error) -> bool {
    let h2 = error.root_cause().downcast_ref::<h2::Error>();
    h2.is_some_and(|h2| h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Whether there is a retry left for the request, with time for it.
fn has_retry_left(cx: &RequestCx, now: Instant) -> bool {
    let Some(pool) = cx.pool() else { return false };
    cx.retries < pool.config().retry.attempts && left_of_total(cx, now).is_none_or(|left| !left.is_zero())
}

/// Whether another attempt could follow if this one were ended for its silence.
pub(super) fn may_follow_timeout(session: &Session, cx: &RequestCx, now: Instant) -> bool {
    has_retry_left(cx, now) && is_wanted_on(cx, |on| on == RetryOn::Timeout) && is_repeatable(session, cx)
}

/// Leave from the pool's budget.
fn permit(cx: &mut RequestCx) -> bool {
    if !has_retry_left(cx, Instant::now()) {
        return false;
    }
    cx.retry_permit = None;
    cx.retry_permit = cx.pool().and_then(|pool| pool.permit_retry());
    cx.retry_permit.is_some()
}

/// Gives up the endpoint of the failed attempt, and counts the retry.
fn begin_retry(cx: &mut RequestCx, cause: &Cause) -> bool {
    if !has_retry_left(cx, Instant::now()) {
        return false;
    }
    // First, so that the request is in flight without a gap.
    cx.between_attempts = cx.pool().map(|pool| pool.between_attempts());
    if let Some(lease) = cx.lease.take() {
        cx.tried.push(lease.endpoint().clone());
    }
    cx.retries += 1;
    cx.repeats = Some(cause.clone());
    true
}

/// How long the next attempt waits, so that many that failed together do not come back together: anything up to a
/// bound that doubles ("full jitter"). An attempt that goes elsewhere after nothing was sent need not wait.
pub(super) fn back_off(retries: u8, random: &mut Random) -> Duration {
    let doubled = SHORTEST_BACK_OFF.saturating_mul(1 << u32::from(retries.clamp(1, 5) - 1));
    doubled.min(LONGEST_BACK_OFF).mul_f64(random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_bound() {
        let mut random = Random::with_seed(1);
        for (retries, bound) in [(1, 25), (2, 50), (4, 200), (5, 250), (10, 250)] {
            let waits: Vec<_> = (0..1000).map(|_| back_off(retries, &mut random).as_millis()).collect();
            let longest = *waits.iter().max().unwrap();
            assert!(longest < bound && longest > bound * 9 / 10, "{retries}: {longest}");
        }
    }
}
