//! Writes down what becomes of a request, where somebody wants to know.
//!
//! All of this is called on the way of every request, and does nothing where it has no [`Recording`].

use std::time::SystemTime;

use http::header::{CACHE_CONTROL, HOST};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::hooks::{Facts, Flow, PickedBy};
use crate::pools::Lease;
use crate::router::{Parts, RouteId};
use crate::runtime::{
    Action, Asked, Attempt, Cause, EVENER_DEBUG, EVENER_DECISION, Ended, FilterRun, FilterVerdict, OutOfWork,
    Outcome, PickRun, Recording, RequestReport, Routing, Signed, SplitRun, Uses, WaitedFor, WhyAttempt,
    decision,
};

use super::cx::RequestCx;
use super::hedge::SecondAttempt;
use super::record;
use super::spans;

/// Begins a recording, if anybody wants one of this request. Asked before anything is changed in its head.
pub(super) fn begin(head: &RequestHeader, cx: &mut RequestCx) {
    let mut uses = wanted(head, cx);
    if cx.traced.as_ref().is_some_and(|traced| traced.is_recorded) {
        uses = uses.with(Uses::TRACE);
    }
    let Some(facts) = cx.facts.as_ref().filter(|_| !uses.is_none()) else { return };
    let asked = Asked {
        method: head.method.clone(),
        version: head.version,
        scheme: facts.scheme,
        host: String::new(),
        target: head.uri.clone(),
        redaction: cx.snapshot.redaction.clone(),
        client: facts.client_ip,
        listener: facts.listener.clone(),
        request_id: facts.request_id.clone(),
    };
    let mut recording = Box::new(Recording::new(uses, cx.received, asked));
    recording.traced = cx.traced.clone();
    cx.recording = Some(recording);
}

/// What a recording of the request is wanted for.
fn wanted(head: &RequestHeader, cx: &RequestCx) -> Uses {
    let watchers = &cx.snapshot.watchers;
    let Some(facts) = cx.facts.as_ref().filter(|_| !watchers.uses().is_none()) else { return Uses::NONE };
    let uses = watchers.wants(facts.client_ip, &facts.listener, cx.received);
    let is_told = is_signed(head, facts, cx) && watchers.may_debug(cx.received);
    if is_told { uses.with(Uses::DEBUG) } else { uses }
}

/// Whether its client has the debug key, and has signed this request.
fn is_signed(head: &RequestHeader, facts: &Facts, cx: &RequestCx) -> bool {
    let Some((key, value)) = cx.snapshot.debug_key.as_ref().zip(head.headers.get(EVENER_DEBUG)) else {
        return false;
    };
    let authority = head.uri.authority().map(|authority| authority.as_str());
    let host = authority.or_else(|| head.headers.get(HOST)?.to_str().ok());
    let signed = Signed {
        method: &head.method,
        scheme: facts.scheme,
        host: host.unwrap_or_default(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
    };
    key.verifies(value.as_bytes(), &signed, SystemTime::now())
}

/// Whether the client is told what becomes of its request.
pub(super) fn is_told(cx: &RequestCx) -> bool {
    cx.recording.as_ref().is_some_and(|recording| recording.uses.has(Uses::DEBUG))
}

/// Tells the client so far as it is known by now; nobody may keep that. A head that has no room for it goes without.
pub(super) fn tell_client(response: &mut ResponseHeader, cx: &RequestCx) {
    let Some(recording) = cx.recording.as_ref().filter(|recording| recording.uses.has(Uses::DEBUG)) else {
        return;
    };
    if forbid_storing(response).is_some() {
        let _ = response.insert_header(EVENER_DECISION, decision(&RequestReport::of(recording)));
    }
}

/// Takes out of an answer whatever lets somebody keep it, in the place of which stands that nobody may. A cache in front goes
/// by the field that is meant for it, and passes over `Cache-Control` then (RFC 9213 §2.1), so that none of those may stay.
/// `None` when the head has no room for that.
fn forbid_storing(response: &mut ResponseHeader) -> Option<()> {
    const OF_SOME: [&str; 4] = ["expires", "surrogate-control", "edge-control", "x-accel-expires"];
    let lets =
        |name: &&HeaderName| name.as_str().ends_with("-cache-control") || OF_SOME.contains(&name.as_str());
    let found: SmallVec<[HeaderName; 4]> = response.headers.keys().filter(lets).cloned().collect();
    for name in &found {
        response.remove_header(name);
    }
    response.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store")).ok()
}

/// Notes what was asked for, in the form in which it is matched.
pub(super) fn note_target(head: &RequestHeader, cx: &mut RequestCx) {
    let Some(recording) = &mut cx.recording else { return };
    recording.asked.host = cx.host.as_str().to_owned();
    recording.asked.target = head.uri.clone();
}

/// Notes where the request was routed, by the facts that it was routed by.
pub(super) fn note_routing(cx: &mut RequestCx, routed: Option<Routing>) {
    let Some(recording) = &mut cx.recording else { return };
    recording.routing = routed;
}

/// Tells where a request was routed, and why where somebody wants to know; `None` where nobody does: spans do not tell of it.
pub(super) fn routing(parts: &Parts<'_>, found: Result<&RouteId, &Cause>, cx: &RequestCx) -> Option<Routing> {
    let recording = cx.recording.as_ref().filter(|recording| recording.uses != Uses::TRACE)?;
    let (snapshot, now) = (&cx.snapshot, Instant::now());
    let route = found.ok().map(|route| &snapshot.routes[route.0].name);
    Some(match recording.uses.wants_reasons() {
        true => Routing::explained(&snapshot.router, parts, route, now),
        false => Routing::found(route, now),
    })
}

// === Filters and splits ===

/// When a filter's call begins; `None` where nobody wants to know.
pub(super) fn filter_begins(cx: &RequestCx) -> Option<Instant> {
    cx.recording.as_ref().map(|_| Instant::now())
}

/// Notes what the filter of this number made of the request.
pub(super) fn note_filter(
    cx: &mut RequestCx,
    number: usize,
    began: Option<Instant>,
    outcome: Result<&Flow, &Cause>,
) {
    let Some((recording, began)) = cx.recording.take().zip(began) else { return };
    let mut recording = recording;
    if let Some(step) = cx.route().and_then(|route| route.filters.get(number)) {
        let verdict = match outcome {
            Ok(Flow::Continue) => FilterVerdict::Continued,
            Ok(Flow::Respond(answer)) => FilterVerdict::Answered(answer.status),
            Ok(Flow::Reject(rejection)) => {
                FilterVerdict::Rejected(rejection.status, rejection.cause.clone().into_owned())
            }
            Err(cause) => FilterVerdict::Failed(cause.clone()),
        };
        recording.filters.push(FilterRun { name: step.name.clone(), began, took: began.elapsed(), verdict });
    }
    cx.recording = Some(recording);
}

/// Notes which pool of a split was chosen.
pub(super) fn note_split(cx: &mut RequestCx) {
    let Some(mut recording) = cx.recording.take() else { return };
    if let (Some(choice), Some(Action::Split(split))) = (cx.choice, cx.route().map(|route| &route.action)) {
        recording.split = Some(SplitRun::new(split, choice.side));
    }
    cx.recording = Some(recording);
}

// === Endpoints ===

/// What is known of a look for an endpoint beside what the policy tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) began: Instant,
    pub(super) waited_for: Option<WaitedFor>,
    /// By what the pool decided, where the policy was not asked.
    pub(super) by: Option<PickedBy>,
}

/// Notes whom a request goes to, or why to nobody.
pub(super) fn note_pick(cx: &mut RequestCx, search: Search, found: Result<&Lease, &Cause>) {
    let Some(mut recording) = cx.recording.take() else { return };
    if let Some(pool) = cx.pool() {
        let mut picked = recording.notes.take();
        picked.by = search.by.or(picked.by);
        // Spans do not tell of it, and a pool may be large.
        let is_told = recording.uses.wants_reasons();
        let out = if is_told { OutOfWork::of(pool) } else { Default::default() };
        recording.picks.push(PickRun {
            pool: pool.name().clone(),
            policy: pool.config().balance.policy.clone(),
            began: search.began,
            ended: Instant::now(),
            picked,
            waited_for: search.waited_for,
            out,
            found: found.map(|lease| lease.endpoint().address().clone()).map_err(Cause::clone),
        });
    }
    cx.recording = Some(recording);
}

/// Notes that the request goes to the endpoint of its lease.
pub(super) fn begin_attempt(cx: &mut RequestCx, why: WhyAttempt, now: Instant) {
    let Some((recording, lease)) = cx.recording.as_mut().zip(cx.lease.as_ref()) else { return };
    if why != WhyAttempt::First
        && let Some(last) = recording.serving_mut()
    {
        // Only a kept connection that its endpoint had closed ends without a word.
        last.come_to(Outcome::Failed(Cause::UpstreamClosed));
        last.end(now);
    }
    recording.begin_attempt(Attempt::new(lease.endpoint().address().clone(), why, now));
}

/// Notes that the running attempt has its connection.
pub(super) fn note_connected(cx: &mut RequestCx, is_reused: bool) {
    let at = cx.timings.connected;
    if let Some(attempt) = cx.recording.as_mut().and_then(|recording| recording.serving_mut()) {
        (attempt.connected, attempt.is_reused) = (at, is_reused);
    }
}

/// Notes that the head of the running attempt's answer came.
pub(super) fn note_head(cx: &mut RequestCx, status: StatusCode, now: Instant) {
    if let Some(attempt) = cx.recording.as_mut().and_then(|recording| recording.serving_mut()) {
        attempt.first_byte = Some(now);
        attempt.come_to(Outcome::Answered(status));
    }
}

/// Notes that the running attempt is over: for this cause, or with its whole answer.
pub(super) fn end_attempt(cx: &mut RequestCx, cause: Option<&Cause>) {
    if let Some(attempt) = cx.recording.as_mut().and_then(|recording| recording.serving_mut()) {
        end_of(attempt, cause, Instant::now());
    }
}

fn end_of(attempt: &mut Attempt, cause: Option<&Cause>, now: Instant) {
    if let Some(cause) = cause {
        attempt.come_to(Outcome::Failed(cause.clone()));
    }
    attempt.end(now);
}

/// Notes a second attempt. With what the first one came to, the second is the one that serves the request.
pub(super) fn note_hedge(
    cx: &mut RequestCx,
    second: &SecondAttempt,
    of_first: Option<Outcome>,
    now: Instant,
) {
    let Some(recording) = &mut cx.recording else { return };
    let mut attempt = Attempt::new(second.endpoint.address().clone(), WhyAttempt::Hedge, second.began);
    attempt.span = second.span;
    match of_first {
        Some(outcome) => {
            if let Some(first) = recording.serving_mut() {
                first.come_to(outcome);
                first.end(now);
            }
            recording.begin_attempt(attempt);
        }
        None => {
            attempt.come_to(second.failed.clone().unwrap_or(Outcome::Outrun));
            attempt.end(now);
            recording.attempts.push(attempt);
        }
    }
}

// === The end ===

/// Ends the recording of a request that is over, and hands it to those who want it.
pub(super) fn finish(end: &record::Outcome, cx: &mut RequestCx) {
    let Some(mut recording) = cx.recording.take() else { return };
    let cause = cx.cause.clone();
    if let Some(attempt) = recording.serving_mut() {
        end_of(attempt, cause.as_ref(), end.at);
    }
    let reached = cx.lease.as_ref().map(Lease::endpoint);
    recording.end = Some(Ended {
        at: end.at,
        status: end.status,
        cause,
        grpc_status: cx.grpc_status,
        cache: cx.cache.as_ref().map(|cache| cache.result.word()),
        pool: cx.pool.map(|pool| cx.snapshot.pool_names[pool.0].clone()),
        endpoint: reached.or(cx.tried.last()).map(|endpoint| endpoint.address().clone()),
        bytes_in: end.received,
        bytes_out: end.sent,
        filtered: cx.timings.filtered,
        first_byte: cx.timings.first_byte,
    });
    if recording.uses.has(Uses::TRACE) {
        spans::export(&recording, cx);
    }
    cx.snapshot.watchers.tell(&recording.into());
}

#[cfg(test)]
mod tests;
