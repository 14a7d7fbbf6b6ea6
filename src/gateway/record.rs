use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::filters::{RateLimitVerdict, WafVerdict};
use crate::hooks::End;
use crate::pools::Lease;
use crate::runtime::{Cause, Connection, GrpcStatus};
use crate::telemetry::{
    AccessLine, AccessLog, EndedRequest, Millis, Occasion, Timings, WafFinding, protocol_word, started,
};
use crate::types::{EndpointAddr, VarName, Variable, Vars};

use super::chain;
use super::cx::RequestCx;
use super::downstream::Downstream;
use super::hedge;
use super::recording;
use super::reply::is_final;
use super::retry;
use super::split;

/// Ends a request: gives its endpoint back and writes its line.
pub(super) fn finish(session: &impl Downstream, cx: &mut RequestCx, log: &AccessLog) {
    cx.watchdog = None;
    cx.unfinished = None;
    hedge::settle(cx);
    let outcome = Outcome {
        status: answered(session),
        received: session.bytes_read(),
        sent: session.bytes_sent(),
        at: Instant::now(),
    };
    let told = || {
        let head = session.request();
        Told {
            listener: session.connection().map_or("", |connection| connection.listener().name.as_str()),
            version: head.version,
            method: &head.method,
            target: &head.uri,
            user_agent: head.headers.get(USER_AGENT),
            request_headers: Some(&head.headers),
            response_headers: session.written_fields().filter(|_| outcome.status.is_some()),
        }
    };
    conclude(&outcome, told, cx, log);
}

/// How a request ended, for all who want to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Of the answer; `None` where none was on its way.
    pub(super) status: Option<StatusCode>,
    /// Bytes of the request's body.
    pub(super) received: u64,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
    /// When.
    pub(super) at: Instant,
}

/// Tells everybody how a request ended, and gives back what it holds. What its line needs besides is asked for only if there
/// is to be one.
fn conclude<'a>(outcome: &Outcome, told: impl FnOnce() -> Told<'a>, cx: &mut RequestCx, log: &AccessLog) {
    count(outcome, cx);
    recording::finish(outcome, cx);
    write_line(outcome, told, cx, log);
    if cx.route().is_some_and(|route| route.needs.end) {
        tell_filters(outcome, cx);
    }
    split::record(cx, outcome.at);
    retry::note_end(cx, outcome.at);
    cx.count_bytes();
    cx.lease = None;
    cx.retry_permit = None;
}

/// Counts the request for its route, and as one of its configuration's: how it was answered, and how long its client waited
/// for the head of the answer. One whose client has left before that says nothing of the configuration.
fn count(&Outcome { status, received, sent, at }: &Outcome, cx: &RequestCx) {
    let took = at.saturating_duration_since(cx.received);
    let stats = cx.stats();
    stats.requests.count(&EndedRequest { status, took, received, sent });
    if let Some(cause) = &cx.cause {
        stats.errors.count(cause);
    }
    if let Some(cache) = &cx.cache {
        cache.count();
    }
    if let Some(status) = status {
        let answered = cx.timings.first_byte.unwrap_or(at);
        let waited = answered.saturating_duration_since(cx.received);
        cx.snapshot.pulse.record(status.as_u16(), waited, at);
        if cx.is_refused {
            cx.snapshot.pulse.count_of_edge();
        }
    }
}

/// The status of the answer, once it is on its way.
fn answered(session: &impl Downstream) -> Option<StatusCode> {
    session.written().filter(|&status| is_final(status))
}

/// What the line of a request needs that may be dropped at any time, as those of HTTP/2 clients are that an endpoint does
/// not take, though its client has given it up or has its answer.
#[derive(Debug)]
pub(super) struct Unfinished {
    log: Arc<AccessLog>,
    connection: Arc<Connection>,
    method: Method,
    target: Uri,
    user_agent: Option<HeaderValue>,
    /// The headers, where its line may tell of them.
    request_headers: Option<HeaderMap>,
    response_headers: Option<HeaderMap>,
    status: Option<StatusCode>,
    /// Bytes of the answer's body that were relayed.
    pub(super) bytes_out: u64,
    /// Whether the whole answer was relayed.
    pub(super) is_answered: bool,
}

impl Unfinished {
    pub(super) fn new(session: &Session, log: &Arc<AccessLog>, cx: &RequestCx) -> Option<Box<Self>> {
        let head = session.req_header();
        let tells_headers = log.tells_headers(cx.own_lines());
        Some(Box::new(Self {
            log: log.clone(),
            connection: session.connection()?.clone(),
            method: head.method.clone(),
            target: head.uri.clone(),
            user_agent: head.headers.get(USER_AGENT).cloned(),
            request_headers: tells_headers.then(|| head.headers.clone()),
            response_headers: None,
            status: None,
            bytes_out: 0,
            is_answered: false,
        }))
    }

    /// Takes down with what head it is answered.
    pub(super) fn note_head(&mut self, head: &ResponseHeader) {
        self.status = Some(head.status);
        self.response_headers = self.request_headers.is_some().then(|| head.headers.clone());
    }
}

/// Ends a request that was dropped.
pub(super) fn finish_dropped(unfinished: &Unfinished, cx: &mut RequestCx) {
    hedge::settle(cx);
    if !unfinished.is_answered {
        cx.cause.get_or_insert(Cause::ClientGone);
    }
    let outcome = Outcome {
        status: unfinished.status,
        received: cx.body_bytes,
        sent: unfinished.bytes_out,
        at: Instant::now(),
    };
    let told = || Told {
        listener: unfinished.connection.listener().name.as_str(),
        version: Version::HTTP_2,
        method: &unfinished.method,
        target: &unfinished.target,
        user_agent: unfinished.user_agent.as_ref(),
        request_headers: unfinished.request_headers.as_ref(),
        response_headers: unfinished.response_headers.as_ref(),
    };
    conclude(&outcome, told, cx, &unfinished.log);
}

fn tell_filters(outcome: &Outcome, cx: &mut RequestCx) {
    let cause = cx.cause.clone();
    let end = End {
        status: outcome.status,
        cause: cause.as_ref().map(Cause::word),
        total: outcome.at.saturating_duration_since(cx.received),
        first_byte: cx.timings.first_byte.map(|at| at.saturating_duration_since(cx.received)),
        bytes_in: outcome.received,
        bytes_out: outcome.sent,
    };
    chain::on_end(&end, cx);
}

/// What only the session knows of a request.
struct Told<'a> {
    listener: &'a str,
    version: Version,
    method: &'a Method,
    target: &'a Uri,
    user_agent: Option<&'a HeaderValue>,
    request_headers: Option<&'a HeaderMap>,
    response_headers: Option<&'a HeaderMap>,
}

/// What only templates tell of a request.
struct LineVars<'a>(&'a RequestCx);

impl Vars for LineVars<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        if let Some(facts) = &self.0.facts {
            facts.write(variable, out);
        }
    }

    fn write_named(&self, name: &VarName, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.variables.get(name.as_str()).unwrap_or_default());
    }
}

fn write_line<'a>(outcome: &Outcome, told: impl FnOnce() -> Told<'a>, cx: &RequestCx, log: &AccessLog) {
    if !log.is_on() {
        return;
    }
    let status = outcome.status.map(|status| status.as_u16());
    // A client that left before its answer has no status; 499 is what logs know this by.
    let status = status.or(cx.cause.as_ref().map(|cause| cause.status().as_u16())).unwrap_or(499);
    let took = outcome.at.saturating_duration_since(cx.received);
    let occasion = Occasion { is_error: status >= 500 || cx.cause.is_some(), took: Some(took) };
    let Some(line) = log.begin(occasion, cx.own_lines()) else { return };
    let told = told();
    line.write(&AccessLine {
        began: started(took),
        request_id: cx.facts.as_ref().map(|facts| facts.request_id.as_bytes()),
        trace_id: cx.traced.as_ref().map(|traced| traced.context.trace_id),
        span_id: cx.traced.as_ref().and_then(|traced| traced.span()),
        client: cx.facts.as_ref().map(|facts| facts.client_ip),
        listener: told.listener,
        protocol: protocol_word(told.version),
        method: told.method.as_str(),
        host: cx.host.as_str(),
        target: told.target.path_and_query().map_or("", |target| target.as_str()),
        status,
        cause: cx.cause.as_ref().map(|cause| cause.word()),
        grpc_status: cx.grpc_status.map(GrpcStatus::code),
        rate_limit: cx.extensions.get::<RateLimitVerdict>().map(|verdict| verdict.as_str()),
        waf: cx.extensions.get::<WafVerdict>().map(waf),
        cache: cx.cache.as_ref().map(|cache| cache.result.word()),
        route: cx.route().map(|route| route.name.as_str()),
        pool: cx.pool.map(|pool| cx.snapshot.pool_names[pool.0].as_str()),
        endpoint: endpoint(cx),
        attempts: cx.attempts,
        bytes_in: outcome.received,
        bytes_out: outcome.sent,
        ms: timings(cx, took),
        user_agent: told.user_agent.map(HeaderValue::as_bytes),
        request_headers: told.request_headers,
        response_headers: told.response_headers,
        vars: &LineVars(cx),
    });
}

fn waf(verdict: &WafVerdict) -> WafFinding<'_> {
    WafFinding { verdict: verdict.word.as_str(), score: verdict.score, rules: &verdict.rules }
}

/// The endpoint of the last attempt, also when it could not be connected to.
fn endpoint(cx: &RequestCx) -> Option<&EndpointAddr> {
    let reached = cx.lease.as_ref().map(Lease::endpoint);
    reached.or(cx.tried.last()).map(|endpoint| &**endpoint.address())
}

/// Each phase from the end of the one before it.
fn timings(cx: &RequestCx, total: Duration) -> Timings {
    let times = &cx.timings;
    Timings {
        filters: Millis::between(Some(cx.received), times.filtered),
        connect: Millis::between(times.filtered, times.connected),
        first_byte: Millis::between(times.connected, times.first_byte),
        total: Millis(total),
    }
}
