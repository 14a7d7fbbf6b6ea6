//! The first attempt of a request that may be sent to two endpoints, of which the first to answer well serves it.
//!
//! Pingora knows one exchange at a time. What it takes for the endpoint's connection here is a [pipe](pipe::Pipe) to a
//! [race](race::Race), which sends the request to the pool's endpoints itself and [relays](relay) the answer that wins. So all
//! that becomes of an answer stays as it is: filters, the cache, limits and the log.

mod pipe;
mod race;
mod relay;
mod result;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use http::header::{CONNECTION, HeaderValue};
use pingora_core::Error;
use pingora_core::upstreams::peer::{HttpPeer, PeerOptions};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use crate::config::spec::SendProxyProtocol;
use crate::hooks::HedgeAfter;
use crate::pools::{StreamedLimits, Unanswered};
use crate::runtime::Outcome;

use super::cx::{Noted, RequestCx};
use super::{recording, retry, trace, upstream};

use pipe::pipe;
use race::Race;
pub(super) use result::SecondAttempt;
use result::Shared;

/// No sooner is another endpoint asked, however fast the pool is.
const SOONEST: Duration = Duration::from_millis(1);

/// An attempt that may be two.
#[derive(Debug)]
pub(super) struct Hedge {
    after: Duration,
    /// When the first of them began.
    began: Instant,
    limits: StreamedLimits,
    /// Our end of what Pingora takes for a connection, until the race has it.
    pipe: Option<DuplexStream>,
    shared: Arc<Shared>,
}

/// Puts a race in the place of the endpoint's connection, where the request may be hedged.
pub(super) fn put(session: &mut Session, cx: &mut RequestCx, peer: &mut HttpPeer) {
    cx.hedge = None;
    if !is_meant(session, cx) {
        return;
    }
    let now = cx.attempt_began.unwrap_or_else(Instant::now);
    let Some(after) = delay(cx, now) else { return };
    let shared = Arc::new(Shared::default());
    let (theirs, ours) = pipe(shared.clone());
    // The race keeps all limits, for each of its attempts.
    let PeerOptions { connection_timeout: connect, total_connection_timeout: handshake, .. } = peer.options;
    let limits = StreamedLimits { connect, handshake, first_byte: Duration::ZERO };
    let mut virtual_peer = HttpPeer::new((Ipv4Addr::UNSPECIFIED, 0), false, String::new());
    virtual_peer.group_key = unique();
    virtual_peer.options.custom_l4 = Some(Arc::new(theirs));
    *peer = virtual_peer;
    cx.hedge = Some(Box::new(Hedge { after, began: now, limits, pipe: Some(ours), shared }));
}

/// Sends the request off; what Pingora writes of it goes nowhere.
pub(super) fn start(session: &Session, request: &mut RequestHeader, cx: &mut RequestCx) -> Option<()> {
    let first_byte = upstream::head_limit(session, cx);
    let left = upstream::left_of_total(cx, Instant::now());
    let pool = cx.pool().cloned();
    let named = trace::name_attempt(request, cx).filter(|_| cx.hedge.is_some());
    let (Some(hedge), Some(pool), Some(lease)) = (&mut cx.hedge, pool, &cx.lease) else { return Some(()) };
    let Some(pipe) = hedge.pipe.take() else { return Some(()) };
    let race = Race {
        pool,
        first: lease.endpoint().clone(),
        request: request.clone(),
        after: hedge.after.saturating_sub(hedge.began.elapsed()),
        limits: StreamedLimits { first_byte, ..hedge.limits },
        left,
        shared: hedge.shared.clone(),
        named,
    };
    tokio::spawn(race.run(pipe));
    // Nothing else goes through this pipe.
    request.insert_header(CONNECTION, HeaderValue::from_static("close")).ok()
}

/// Takes note of what the race has come to so far: who answered, and what the others are to be blamed for.
pub(super) fn settle(cx: &mut RequestCx) {
    let Some(shared) = cx.hedge.as_ref().map(|hedge| hedge.shared.clone()) else { return };
    let result = shared.take_result();
    let Some(second) = result.second else { return };
    cx.attempts += 1;
    let now = Instant::now();
    let Some(won) = result.won else {
        recording::note_hedge(cx, &second, None, now);
        cx.tried.push(second.endpoint);
        return;
    };
    let of_first = result.first_failed.as_ref().map_or(Outcome::Outrun, |failure| failure.outcome.clone());
    recording::note_hedge(cx, &second, Some(of_first), now);
    if let Some(failure) = result.first_failed {
        if let Some(fault) = failure.fault {
            retry::note_failure(cx, fault, failure.retry_after, now);
        }
    } else if let (Some(pool), Some(lease), Some(hedge)) = (cx.pool(), &cx.lease, &cx.hedge) {
        pool.outrun(lease, now.saturating_duration_since(hedge.began), now);
    }
    if let Some(lost) = cx.lease.replace(won.lease) {
        cx.tried.push(lost.endpoint().clone());
    }
    cx.noted = Noted::Nothing;
    cx.attempt_began = Some(won.began);
}

/// Why the race has no answer, or no more of it. Pingora knows only that its connection broke.
pub(super) fn take_failure(cx: &RequestCx) -> Option<Unanswered> {
    let failure = cx.hedge.as_ref()?.shared.take_failure()?;
    Some(Unanswered { error: Error::into_up(failure.error), ..failure })
}

/// Counts how long the head of the answer took from the first attempt on, where the delay goes by that.
pub(super) fn note_head_time(cx: &RequestCx, now: Instant) {
    if cx.attempts > 1 && cx.hedge.is_none() {
        return;
    }
    let Some(HedgeAfter::P95 { .. }) = cx.bounds.hedge else { return };
    let began = cx.hedge.as_ref().map(|hedge| hedge.began).or(cx.attempt_began);
    if let (Some(pool), Some(began)) = (cx.pool(), began) {
        pool.note_head_time(now.saturating_duration_since(began), now);
    }
}

/// Whether the request may go to two endpoints: it can be sent twice, has no body, and belongs to none of them.
fn is_meant(session: &mut Session, cx: &RequestCx) -> bool {
    if cx.bounds.hedge.is_none()
        || cx.attempts > 1
        || cx.is_upgrade_req
        || cx.call.is_some()
        || cx.pinned.is_some()
    {
        return false;
    }
    let (Some(pool), Some(lease)) = (cx.pool(), &cx.lease) else { return false };
    let endpoint = lease.endpoint();
    // A PROXY header tells of one client, and connections of the edge's own carry requests of many.
    let is_plain = endpoint.pool().send_proxy_protocol == SendProxyProtocol::Off;
    let method = &session.req_header().method;
    is_plain
        && method.is_idempotent()
        && *method != Method::CONNECT
        && pool.endpoints().len() > 1
        && session.as_downstream_mut().is_body_empty()
}

fn delay(cx: &RequestCx, now: Instant) -> Option<Duration> {
    let after = match cx.bounds.hedge? {
        HedgeAfter::Fixed(after) => after,
        HedgeAfter::P95 { min_samples } => cx.pool()?.head_time_p95(min_samples, now)?,
    };
    Some(after.max(SOONEST))
}

/// So that Pingora never takes the connection of one request for that of another, or for an endpoint's.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
