//! Which endpoint a request goes to, and how long each step may take.

use std::os::fd::RawFd;
use std::time::Duration;

use http::header::{ACCEPT, UPGRADE};
use http::{HeaderValue, Version};
use pingora_core::listeners::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::time::{Instant, sleep};

use crate::config::spec::{Timeouts, UpstreamProtocol};
use crate::hooks::PickedBy;
use crate::pools::{self, Lease, Reserved, Terms, back_off};
use crate::runtime::{Cause, WaitedFor, WhyAttempt};
use crate::types::{Span, content_length, with_random};

use super::clock::{self, Clock, Limits};
use super::cx::{Noted, RequestCx};
use super::deadline::Watchdog;
use super::downstream::{Downstream, until_cut};
use super::grpc::{Call, GRACE};
use super::pause;
use super::recording::{self, Search};
use super::retry;

/// Takes an endpoint for the first attempt, while a failure to find one can still be answered on the connection.
pub(super) async fn reserve(session: &Session, cx: &mut RequestCx) -> Result<(), Cause> {
    let request = session.req_header();
    if cx.is_upgrade_req && asks_websocket(request) && speaks_http2_only(cx) {
        return Err(Cause::UpgradeUnsupported);
    }
    cx.pinned = cx.pool().and_then(|pool| pool.sticky()).and_then(|sticky| sticky.find(&request.headers));
    let began = attempt_began(cx);
    let reserved = tokio::select! {
        biased;
        reserved = pick(request, cx) => reserved,
        () = until_cut(session) => Err(Cause::Cut),
    };
    let has_waited = reserved.as_ref().is_ok_and(|reserved| reserved.has_waited);
    let search = Search { began, waited_for: has_waited.then_some(WaitedFor::Room), by: None };
    recording::note_pick(cx, search, reserved.as_ref().map(|reserved| &reserved.lease));
    let Reserved { lease, has_waited } = reserved?;
    cx.lease = Some(lease);
    cx.reserved = has_waited.then(Instant::now);
    Ok(())
}

/// Says how to reach the endpoint of the next attempt: the reserved one, the same again after a connection that had
/// been closed, or another after a failure.
pub(super) async fn choose(session: &mut Session, cx: &mut RequestCx) -> Result<Box<HttpPeer>> {
    cx.watchdog = None;
    cx.socket = None;
    cx.noted = Noted::Nothing;
    cx.attempts += 1;
    if cx.attempts > 1 {
        cx.forget_body();
    }
    let repeats = cx.repeats.take();
    let why = why_attempt(cx, repeats.clone());
    if let Some(cause) = repeats
        && let Err(cause) = pick_another(cx, cause).await
    {
        return Err(cx.fail(cause));
    }
    let Some(lease) = &cx.lease else { return Err(cx.fail(Cause::Internal)) };
    let mut peer = Box::new(lease.endpoint().peer().clone());
    let now = attempt_began(cx);
    cx.attempt_began = Some(now);
    recording::begin_attempt(cx, why, now);
    let left = left_of_total(cx, now);
    if left.is_some_and(|left| left.is_zero()) {
        return Err(cx.fail(Cause::TotalTimeout));
    }
    if let Some(pool) = cx.pool() {
        let per_try = pool.config().retry.per_try.0.filter(|_| retry::may_follow_connect(cx, now));
        let limits = left.into_iter().chain(per_try.map(Span::get));
        let shorten = |limit: &mut Option<Duration>| *limit = limits.clone().chain(*limit).min();
        // What the pool gives them is there.
        let options = &mut peer.options;
        shorten(&mut options.connection_timeout);
        shorten(&mut options.total_connection_timeout);
        options.read_timeout = read_limit(session, cx, left).map(|limit| limit + pause::longest(cx));
        if cx.call.is_some() {
            // Streams may be held up by whoever reads them.
            options.write_timeout = Some(pool.timeouts().tunnel.get());
        }
        if cx.is_upgrade_req && protocol(cx) == Some(UpstreamProtocol::Auto) {
            // What can be upgraded is HTTP/1.
            options.alpn = ALPN::H1;
        }
    }
    Ok(peer)
}

/// Why the next attempt is made.
fn why_attempt(cx: &RequestCx, repeats: Option<Cause>) -> WhyAttempt {
    match repeats {
        Some(cause) => WhyAttempt::Retry(cause),
        None if cx.attempts <= 1 => WhyAttempt::First,
        None => WhyAttempt::Anew,
    }
}

fn speaks_http2_only(cx: &RequestCx) -> bool {
    matches!(protocol(cx), Some(UpstreamProtocol::H2 | UpstreamProtocol::H2c))
}

/// The version of HTTP that is spoken to the endpoint, or is to be. The configuration by which the endpoint was picked
/// decides, which may be newer than that of the request.
pub(super) fn protocol(cx: &RequestCx) -> Option<UpstreamProtocol> {
    let endpoint = cx.lease.as_ref().map(|lease| lease.endpoint().pool());
    endpoint.or_else(|| cx.pool().map(|pool| pool.config())).map(|pool| pool.protocol)
}

/// Whether an upgrade cannot be left out without loss: clients offer others, to HTTP/2 above all, and go on without.
fn asks_websocket(request: &RequestHeader) -> bool {
    let fields = request.headers.get_all(UPGRADE).iter();
    let mut offered = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    offered.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// What is left of all that the request may take; `None` without a limit.
pub(super) fn left_of_total(cx: &RequestCx, now: Instant) -> Option<Duration> {
    let total = cx.total();
    (!total.is_zero()).then(|| total.saturating_sub(now.saturating_duration_since(cx.received)))
}

/// The first attempt begins when the filters have ended, or the wait for an endpoint has; both were noted, and the clock
/// is asked for later ones only.
fn attempt_began(cx: &RequestCx) -> Instant {
    match cx.reserved.or(cx.timings.filtered) {
        Some(ready) if cx.attempts <= 1 => ready,
        _ => Instant::now(),
    }
}

async fn pick(request: &RequestHeader, cx: &RequestCx) -> Result<Reserved, Cause> {
    let pool = cx.pool().ok_or(Cause::Internal)?;
    let total = cx.total();
    let terms = Terms {
        pinned: cx.pinned,
        now: attempt_began(cx),
        until: (!total.is_zero()).then(|| cx.received + total),
    };
    Ok(pools::reserve(pool, |now| cx.pick_cx(request, now), terms).await?)
}

/// Takes an endpoint for an attempt that repeats a failed one, whose `cause` stands where there is none.
async fn pick_another(cx: &mut RequestCx, cause: Cause) -> Result<(), Cause> {
    let was_sent = !matches!(cause, Cause::ConnectFailed | Cause::ConnectTimeout | Cause::TlsFailed(_));
    let began = Instant::now();
    let rests = was_sent || cx.pool().is_some_and(|pool| pool.would_repeat(&cx.tried));
    if rests {
        // Whoever waits holds no place.
        sleep(with_random(|random| back_off(cx.retries, random))).await;
    }
    let lease = another(cx);
    cx.between_attempts = None;
    let waited_for = rests.then_some(WaitedFor::BackOff);
    recording::note_pick(
        cx,
        Search { began, waited_for, by: Some(PickedBy::NotTried) },
        lease.as_ref().ok_or(&cause),
    );
    cx.lease = Some(lease.ok_or(cause)?);
    Ok(())
}

fn another(cx: &RequestCx) -> Option<Lease> {
    let pool = cx.pool()?;
    with_random(|random| pool.pick_another(&cx.tried, Instant::now(), random))
}

/// How long the attempt may wait for its answer from the last byte of the request on: less than it could if another may
/// follow. Asked when the request has ended, since only then it is known whether it can be repeated.
pub(super) fn head_limit(session: &Session, cx: &RequestCx) -> Duration {
    let Some(pool) = cx.pool() else { return Duration::ZERO };
    let first_byte = pool.timeouts().first_byte.get();
    let per_try = pool.config().retry.per_try.0;
    let per_try = per_try.filter(|_| retry::may_follow_timeout(session, cx, Instant::now()));
    per_try.map_or(first_byte, |per_try| per_try.get().min(first_byte))
}

/// How long a read of the answer may take, when `left` is left of the request's total; `None` where that is watched
/// in another way.
fn read_limit(session: &mut Session, cx: &RequestCx, left: Option<Duration>) -> Option<Duration> {
    let timeouts = cx.pool()?.timeouts();
    let speaks_h2 = cx.lease.as_ref()?.endpoint().speaks_h2();
    // The clock keeps the limits then, and this comes after them all: it gives up a connection that others share.
    // By the time that pauses are over, more of it may be left.
    let left = left.filter(|_| pause::longest(cx).is_zero() || cx.call.is_some());
    let is_clocked = speaks_h2 && session.req_header().version == Version::HTTP_2;
    let extra = if is_clocked { GRACE } else { Duration::ZERO };
    if cx.call.is_some() {
        return Some(Call::read_limit(timeouts, left) + extra);
    }
    if is_clocked {
        return Some(long_limit(timeouts, left) + extra);
    }
    if speaks_h2 {
        let is_sent = session.is_body_done() || is_short(session.req_header());
        return Some(stream_limit(session, cx, timeouts, left, is_sent));
    }
    (!cx.is_upgrade_req).then(|| longest_read(timeouts))
}

/// The same for a client of HTTP/1 and a stream of HTTP/2, which Pingora gives one limit, from the head of the request on,
/// and then for each piece of the answer; and nobody else can end it without its connection. The head of the answer
/// decides what the limit is, unless it comes after a long body, or the answer is one that is known to pause.
fn stream_limit(
    session: &Session,
    cx: &RequestCx,
    timeouts: &Timeouts,
    left: Option<Duration>,
    is_sent: bool,
) -> Duration {
    if asks_event_stream(session.req_header()) {
        longest_read(timeouts)
    } else if is_sent {
        head_limit(session, cx).min(left.unwrap_or(Duration::MAX))
    } else {
        long_limit(timeouts, left)
    }
}

/// What no read of an answer waits for in vain, whatever its request and its client do meanwhile.
fn long_limit(timeouts: &Timeouts, left: Option<Duration>) -> Duration {
    left.unwrap_or(Duration::MAX).min(timeouts.tunnel.get()).max(longest_read(timeouts))
}

/// Whether the body takes no time that counts.
fn is_short(request: &RequestHeader) -> bool {
    const SHORT: u64 = 64 * 1024;
    content_length(&request.headers).is_some_and(|length| length <= SHORT)
}

/// Event streams may pause for as long as they like between two events; clients say that they want one.
fn asks_event_stream(request: &RequestHeader) -> bool {
    let accepted = request.headers.get(ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
    accepted.starts_with(b"text/event-stream")
}

/// Pingora has one limit for each read. Where the first byte and those after it have different ones, the longer is set
/// here, and a watchdog keeps the other.
fn longest_read(timeouts: &Timeouts) -> Duration {
    timeouts.first_byte.get().max(timeouts.idle.get())
}

/// A connection stands: from here on the clock of the answer runs.
pub(super) fn connected(cx: &mut RequestCx, fd: RawFd, is_reused: bool) {
    cx.timings.connected = Some(Instant::now());
    if cx.hedge.is_none() {
        recording::note_connected(cx, is_reused);
        if let Some(lease) = cx.lease.as_ref().filter(|_| !is_reused) {
            lease.endpoint().note_connection();
        }
    }
    // What may be hedged keeps its limits by itself.
    cx.socket = cx.hedge.is_none().then_some(fd);
}

/// The version is known that the connection speaks: another than the pool is meant for is refused, and HTTP/1 is watched
/// over.
pub(super) fn begin_exchange(session: &mut Session, cx: &mut RequestCx, version: Version) -> Result<()> {
    let is_h2 = version == Version::HTTP_2;
    if cx.hedge.is_none() {
        check_version(cx, is_h2)?;
    }
    if let Some(fd) = cx.socket.take()
        && !is_h2
    {
        watch(session, cx, fd);
    }
    if session.req_header().version == Version::HTTP_2 {
        cx.clock = start_clock(session, cx, is_h2);
        session.as_downstream_mut().set_read_timeout(None);
        clock::wind(session, cx, Instant::now());
    }
    Ok(())
}

/// Refuses a version that the pool is not meant for, and notes which one an endpoint chose that may choose.
fn check_version(cx: &RequestCx, is_h2: bool) -> Result<()> {
    let Some(lease) = &cx.lease else { return Ok(()) };
    if !is_h2 && speaks_http2_only(cx) {
        // A server that knows nothing of ALPN, to which Pingora would speak HTTP/1.
        return Err(Error::explain(ErrorType::TLSHandshakeFailure, "HTTP/2 was not chosen").into_up());
    }
    if protocol(cx) == Some(UpstreamProtocol::Auto) && !cx.is_upgrade_req {
        lease.endpoint().note_version(is_h2);
    }
    Ok(())
}

/// The clock of an exchange with an HTTP/2 client, where there is anything to be kept by it: pauses in a body, and all
/// that concerns an endpoint of HTTP/2, which has no watchdog.
fn start_clock(session: &mut Session, cx: &RequestCx, is_h2: bool) -> Option<Clock> {
    let has_body = !session.as_downstream_mut().is_body_done();
    if !has_body && !is_h2 {
        return None;
    }
    let timeouts = cx.pool()?.timeouts();
    let now = Instant::now();
    let left = || left_of_total(cx, now).filter(|_| is_h2);
    if cx.call.is_some() && is_h2 {
        // A call may rest as long as it likes, on either side.
        let rest = Some(timeouts.tunnel.get());
        let total = left().map(|left| left + GRACE);
        let mut clock = Clock::start(Limits { body: None, answer: rest, total }, now);
        clock.on_answer(now);
        return Some(clock);
    }
    let idle = session.connection()?.listener().limits.body.idle.get();
    let answer = is_h2.then(|| timeouts.idle.get());
    let limits = Limits { body: has_body.then_some(idle), answer, total: left() };
    Some(Clock::start(limits, now))
}

/// Starts a watchdog where Pingora's own limits do not do. Never for HTTP/2: other requests share its connection.
fn watch(session: &mut Session, cx: &mut RequestCx, fd: RawFd) {
    let may_outlive_answer = session.req_header().version == Version::HTTP_2 && !session.is_body_done();
    let Some(pool) = cx.pool() else { return };
    let timeouts = pool.timeouts();
    let left = left_of_total(cx, Instant::now());
    let is_short = left.is_some_and(|left| left < longest_read(timeouts));
    let has_two_limits = timeouts.first_byte != timeouts.idle || pool.config().retry.per_try.0.is_some();
    let may_pause = !pause::longest(cx).is_zero();
    if cx.is_upgrade_req || has_two_limits || is_short || may_outlive_answer || may_pause {
        cx.watchdog = Watchdog::start(fd, timeouts, may_outlive_answer, left);
    }
}

/// Whether the request has used up its total. What goes on for as long as its client listens has none.
pub(super) fn is_overdue(cx: &RequestCx) -> bool {
    if cx.is_endless || cx.asks_upgrade {
        return false;
    }
    let total = cx.total();
    !total.is_zero() && cx.received.elapsed() > total
}
