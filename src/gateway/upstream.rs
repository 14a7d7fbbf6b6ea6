//! Which endpoint a request goes to, how long each step may take, and what happens when one fails.

use std::os::fd::RawFd;
use std::time::Duration;

use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, Result};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::config::spec::Timeouts;
use crate::pools::{Lease, Pick, Pool};
use crate::runtime::Cause;
use crate::types::with_random;

use super::cx::{RequestCx, connection};
use super::deadline::Watchdog;
use super::failure;

/// A connection that cannot be made is tried once more, at another endpoint.
const CONNECT_RETRIES: usize = 1;
/// A kept connection that turns out to be closed is no fault of the request's: it is sent again, so often at
/// most, if it may be sent twice.
const STALE_RETRIES: usize = 2;
/// How many attempts Pingora has to allow for that.
pub(crate) const MAX_ATTEMPTS: usize = 1 + CONNECT_RETRIES + STALE_RETRIES;

/// Takes an endpoint for the first attempt, while a failure to find one can still be answered on the connection.
pub(super) async fn reserve(session: &Session, cx: &mut RequestCx) -> Result<(), Cause> {
    cx.lease = Some(pick(session, cx).await?);
    Ok(())
}

/// Says how to reach the endpoint of the next attempt: the reserved one, or another after a failure.
pub(super) async fn choose(session: &Session, cx: &mut RequestCx) -> Result<Box<HttpPeer>> {
    cx.watchdog = None;
    cx.attempts += 1;
    if cx.attempts > 1 {
        cx.forget_body();
    }
    let lease = match cx.lease.take() {
        Some(reserved) => Ok(reserved),
        None => pick(session, cx).await,
    };
    let lease = match lease {
        Ok(lease) => lease,
        Err(cause) => return Err(cx.fail(cause)),
    };
    let mut peer = Box::new(lease.endpoint().peer().clone());
    cx.lease = Some(lease);
    let left = left_of_total(cx, attempt_began(cx));
    if left.is_some_and(|left| left.is_zero()) {
        return Err(cx.fail(Cause::TotalTimeout));
    }
    if let Some(pool) = cx.pool() {
        set_timeouts(&mut peer, pool.timeouts(), cx.is_upgrade_req, left);
    }
    Ok(peer)
}

/// What is left of all that the request may take; `None` without a limit.
fn left_of_total(cx: &RequestCx, now: Instant) -> Option<Duration> {
    let total = cx.pool().map_or(Duration::ZERO, |pool| pool.timeouts().total.get());
    (!total.is_zero()).then(|| total.saturating_sub(now.saturating_duration_since(cx.received)))
}

/// The first attempt begins when the filters have ended, which was noted; the clock is asked for later ones only.
fn attempt_began(cx: &RequestCx) -> Instant {
    match cx.timings.filtered {
        Some(filtered) if cx.attempts <= 1 => filtered,
        _ => Instant::now(),
    }
}

async fn pick(session: &Session, cx: &RequestCx) -> Result<Lease, Cause> {
    let pool = cx.pool().ok_or(Cause::Internal)?;
    let mut picked = pick_once(session, cx, pool);
    if matches!(picked, Pick::NobodyFit) && !pool.is_settled() {
        let patience = pool.health().map_or(Duration::ZERO, |health| health.timeout.get());
        pool.wait_until_settled(patience).await;
        picked = pick_once(session, cx, pool);
    }
    match picked {
        Pick::Endpoint(lease) => Ok(lease),
        Pick::NobodyFit => Err(Cause::NoEndpointFit),
        Pick::PolicyFailed => {
            log::error!("policy failed pool={} policy={}", pool.name(), pool.policy_name());
            Err(Cause::HookPanicked)
        }
    }
}

fn pick_once(session: &Session, cx: &RequestCx, pool: &Pool) -> Pick {
    let pick_cx = cx.pick_cx(session.req_header().uri.path(), attempt_began(cx));
    with_random(|random| pool.pick(&pick_cx, &cx.tried, random))
}

/// Sets what one attempt may take.
fn set_timeouts(peer: &mut HttpPeer, timeouts: &Timeouts, is_upgrade: bool, left: Option<Duration>) {
    let options = &mut peer.options;
    let connect = left.map_or(timeouts.connect.get(), |left| left.min(timeouts.connect.get()));
    options.connection_timeout = Some(connect);
    options.total_connection_timeout = Some(connect);
    // Pingora has one limit for each read. Where the first byte and those after it have different ones, the
    // longer is set here, and a watchdog keeps the other.
    options.read_timeout = (!is_upgrade).then(|| longest_read(timeouts));
}

fn longest_read(timeouts: &Timeouts) -> Duration {
    timeouts.first_byte.get().max(timeouts.idle.get())
}

/// A connection stands: from here on the clock of the answer runs.
pub(super) fn connected(session: &mut Session, cx: &mut RequestCx, fd: RawFd) {
    let now = Instant::now();
    cx.timings.connected = Some(now);
    let Some(timeouts) = cx.pool().map(Pool::timeouts) else { return };
    let left = left_of_total(cx, now);
    let is_short = left.is_some_and(|left| left < longest_read(timeouts));
    let body_idle = unwatched_body(session);
    if cx.is_upgrade_req || timeouts.first_byte != timeouts.idle || is_short || body_idle.is_some() {
        cx.watchdog = Watchdog::start(fd, timeouts, body_idle, left);
    }
}

/// How long an HTTP/2 client may pause in its body; Pingora has a limit for HTTP/1 alone.
fn unwatched_body(session: &mut Session) -> Option<Duration> {
    if !session.is_http2() || session.is_body_done() {
        return None;
    }
    connection(session).map(|connection| connection.listener().limits.body.idle.get())
}

/// After a connection that could not be made: the next endpoint, if there is one and the limit allows.
pub(super) fn after_connect_failure(cx: &mut RequestCx, mut error: Box<Error>) -> Box<Error> {
    if let Some(lease) = cx.lease.take() {
        cx.tried.push(lease.endpoint().clone());
    }
    let another = cx.pool().is_some_and(|pool| pool.has_fit_but(&cx.tried));
    error.set_retry(another && cx.tried.len() <= CONNECT_RETRIES);
    error
}

/// After a failure on a connection: again only where the connection was a kept one that had been closed, nothing
/// came back, and sending twice does no harm.
pub(super) fn after_failure(
    session: &Session,
    cx: &mut RequestCx,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    if let Some(cause) = cx.watchdog.as_ref().and_then(Watchdog::expired) {
        return cx.fail(blame(cx, cause));
    }
    let may_repeat = session.req_header().method.is_idempotent() && !session.retry_buffer_truncated();
    let is_untouched = session.response_written().is_none() && *error.esource() == ErrorSource::Upstream;
    error.retry.decide_reuse(reused && may_repeat && is_untouched);
    let retries = error.retry() && may_repeat && is_untouched && cx.cause.is_none();
    error.set_retry(retries && cx.stale_retries < STALE_RETRIES);
    if error.retry() {
        cx.stale_retries += 1;
        cx.lease = None;
    } else {
        let cause = blame(cx, failure::cause_of(&error));
        cx.cause.get_or_insert(cause);
    }
    error
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

/// Whether the request has used up its total. What goes on for as long as its client listens has none.
pub(super) fn is_overdue(cx: &RequestCx) -> bool {
    if cx.is_endless || cx.asks_upgrade {
        return false;
    }
    let total = cx.pool().map_or(Duration::ZERO, |pool| pool.timeouts().total.get());
    !total.is_zero() && cx.received.elapsed() > total
}
