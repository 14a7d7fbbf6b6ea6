//! The spans of a request that is over, as OpenTelemetry has them: one of the answer to the client, and in it one of each
//! attempt, of each wait for an endpoint, and of each filter that took time or did not let it pass.
//!
//! Names and attributes are those of its semantic conventions for HTTP, where there are some, and `evener.*` else. Of what a
//! client has sent, method, host and path are told: no query and no header.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::hooks::Scheme;
use crate::runtime::{
    Asked, Attempt, Cause, Ended, FilterRun, FilterVerdict, GrpcStatus, Outcome, PickRun, Recording,
    WhyAttempt,
};
use crate::telemetry::SpanId;
use crate::tracing::{Attributes, Kind, Span, SpanClock, SpanParts, span};
use crate::types::{EndpointAddr, with_random};

use super::cx::RequestCx;

/// Filters that let a request pass and took no longer have no span.
const SHORT: Duration = Duration::from_micros(100);
/// So much of a path is told.
const LONGEST_PATH: usize = 1024;

/// Hands the spans of a request over to whoever sends them.
pub(super) fn export(recording: &Recording, cx: &RequestCx) {
    let (Some(tracing), Some(ended)) = (&cx.snapshot.tracing, &recording.end) else { return };
    let route = cx.route().map(|route| route.name.as_str());
    tracing.export(spans(recording, ended, route, SystemTime::now()), ended.at);
}

fn spans(recording: &Recording, ended: &Ended, route: Option<&str>, wall: SystemTime) -> Vec<Span> {
    let Some(traced) = &recording.traced else { return Vec::new() };
    let clock = SpanClock::new(ended.at, wall);
    let inner = |parts: SpanParts, id: Option<SpanId>| {
        let id = id.unwrap_or_else(|| with_random(SpanId::random));
        let parts = SpanParts { parent: Some(traced.context.span_id), ..parts };
        span(&traced.context.in_span(id), parts, clock)
    };
    let mut spans = vec![span(
        &traced.context,
        SpanParts { parent: traced.parent, ..answer(recording, ended, route) },
        clock,
    )];
    let filters = recording.filters.as_slice().iter().filter(|run| is_told(run));
    spans.extend(filters.map(|run| inner(filter(run), None)));
    let waits = recording.picks.as_slice().iter().filter(|run| run.waited_for.is_some());
    spans.extend(waits.map(|run| inner(wait(run), None)));
    let attempts = recording.attempts.as_slice().iter().enumerate();
    spans.extend(attempts.map(|(number, run)| inner(attempt(number, run, recording, ended), run.span)));
    spans
}

// === The answer ===

fn answer(recording: &Recording, ended: &Ended, route: Option<&str>) -> SpanParts {
    let Asked { method, version, scheme, host, target, redaction, client, listener, request_id } =
        &recording.asked;
    let mut all = Attributes::default();
    tell_method(&mut all, method);
    all.text("url.scheme", if *scheme == Scheme::Https { "https" } else { "http" });
    all.text("url.path", path(&redaction.path(target.path())));
    if !host.is_empty() {
        all.text("server.address", host);
    }
    all.text("client.address", &client.to_string());
    all.text("network.protocol.name", "http");
    all.text("network.protocol.version", version_word(*version));
    all.text("evener.listener", listener.as_str());
    if let Ok(id) = request_id.to_str() {
        all.text("evener.request_id", id);
    }
    if let Some(route) = route {
        all.text("http.route", route);
        all.text("evener.route", route);
    }
    let has_failed = tell_end(&mut all, ended);
    let name = route
        .map_or_else(|| method_word(method).to_owned(), |route| format!("{} {route}", method_word(method)));
    SpanParts {
        kind: Kind::Server,
        name,
        parent: None,
        began: recording.began,
        ended: ended.at,
        attributes: all,
        has_failed,
    }
}

/// Tells what became of the request. Returns whether that is a failure: what a client does wrong is none.
fn tell_end(all: &mut Attributes, ended: &Ended) -> bool {
    if let Some(status) = ended.status {
        all.number("http.response.status_code", status.as_u16());
    }
    if let Some(status) = ended.grpc_status {
        all.number("rpc.grpc.status_code", status.code());
    }
    if let Some(cause) = &ended.cause {
        all.text("error.type", cause.word());
        all.text("evener.cause", cause.word());
    } else if let Some(status) = ended.status.filter(StatusCode::is_server_error) {
        all.text("error.type", status.as_str());
    }
    if let Some(pool) = &ended.pool {
        all.text("evener.pool", pool.as_str());
    }
    if let Some(endpoint) = &ended.endpoint {
        all.text("evener.endpoint", &endpoint.to_string());
    }
    if let Some(word) = ended.cache {
        all.text("evener.cache", word);
    }
    all.number("http.request.body.size", size(ended.bytes_in));
    all.number("http.response.body.size", size(ended.bytes_out));
    let status = ended.status.or(ended.cause.as_ref().map(Cause::status));
    let broke_off = ended.cause.as_ref().is_some_and(|cause| cause.status().is_server_error());
    broke_off
        || status.is_some_and(|status| status.is_server_error())
        || ended.grpc_status.is_some_and(GrpcStatus::is_failure)
}

// === What happened on the way ===

fn is_told(run: &FilterRun) -> bool {
    run.took > SHORT || run.verdict != FilterVerdict::Continued
}

fn filter(run: &FilterRun) -> SpanParts {
    let mut all = Attributes::default();
    all.text("evener.filter", &run.name);
    all.text("evener.filter.verdict", run.verdict.word());
    let mut has_failed = false;
    match &run.verdict {
        FilterVerdict::Continued => {}
        FilterVerdict::Answered(status) => all.number("http.response.status_code", status.as_u16()),
        FilterVerdict::Rejected(status, word) => {
            all.number("http.response.status_code", status.as_u16());
            all.text("evener.cause", word);
        }
        FilterVerdict::Failed(cause) => {
            all.text("error.type", cause.word());
            has_failed = true;
        }
    }
    inside(format!("filter {}", run.name), run.began, run.began + run.took, all, has_failed)
}

fn wait(run: &PickRun) -> SpanParts {
    let mut all = Attributes::default();
    all.text("evener.pool", run.pool.as_str());
    if let Some(reason) = run.waited_for {
        all.text("evener.waited_for", reason.word());
    }
    match &run.found {
        Ok(endpoint) => all.text("evener.endpoint", &endpoint.to_string()),
        Err(cause) => all.text("error.type", cause.word()),
    }
    inside(format!("wait {}", run.pool), run.began, run.ended, all, run.found.is_err())
}

fn inside(
    name: String,
    began: Instant,
    ended: Instant,
    attributes: Attributes,
    has_failed: bool,
) -> SpanParts {
    SpanParts { kind: Kind::Internal, name, parent: None, began, ended, attributes, has_failed }
}

fn attempt(number: usize, run: &Attempt, recording: &Recording, ended: &Ended) -> SpanParts {
    let method = &recording.asked.method;
    let mut all = Attributes::default();
    tell_method(&mut all, method);
    tell_server(&mut all, &run.endpoint);
    all.text("evener.endpoint", &run.endpoint.to_string());
    all.text("evener.attempt", run.why.word());
    if let WhyAttempt::Retry(cause) = &run.why {
        all.text("evener.retry.cause", cause.word());
    }
    if let Some(resent) = i64::try_from(number).ok().filter(|number| *number > 0) {
        all.number("http.request.resend_count", resent);
    }
    let has_failed = tell_outcome(&mut all, &run.outcome);
    let pool = ended.pool.as_ref();
    if let Some(pool) = pool {
        all.text("evener.pool", pool.as_str());
    }
    let name =
        pool.map_or_else(|| method_word(method).to_owned(), |pool| format!("{} {pool}", method_word(method)));
    let over = run.ended.unwrap_or(ended.at);
    SpanParts {
        kind: Kind::Client,
        name,
        parent: None,
        began: run.began,
        ended: over,
        attributes: all,
        has_failed,
    }
}

/// Whoever makes a request has failed with an answer from 400 on too.
fn tell_outcome(all: &mut Attributes, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answered(status) => {
            all.number("http.response.status_code", status.as_u16());
            let has_failed = status.is_client_error() || status.is_server_error();
            if has_failed {
                all.text("error.type", status.as_str());
            }
            has_failed
        }
        Outcome::Failed(cause) => {
            all.text("error.type", cause.word());
            all.text("evener.cause", cause.word());
            true
        }
        Outcome::Outrun => {
            all.flag("evener.outrun", true);
            false
        }
        Outcome::Open => false,
    }
}

// === Words ===

/// The conventions have a closed list of methods, so that names of spans are few.
fn method_word(method: &Method) -> &str {
    const KNOWN: [&str; 10] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];
    if KNOWN.contains(&method.as_str()) { method.as_str() } else { "HTTP" }
}

fn tell_method(all: &mut Attributes, method: &Method) {
    match method_word(method) {
        "HTTP" => {
            all.text("http.request.method", "_OTHER");
            all.text("http.request.method_original", method.as_str());
        }
        known => all.text("http.request.method", known),
    }
}

fn tell_server(all: &mut Attributes, endpoint: &EndpointAddr) {
    match endpoint {
        EndpointAddr::Inet(address) => {
            all.text("server.address", &address.ip().to_string());
            all.number("server.port", address.port());
        }
        EndpointAddr::Unix(path) => {
            all.text("server.address", &path.display().to_string());
            all.text("network.transport", "unix");
        }
    }
}

fn version_word(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn path(path: &str) -> &str {
    let end = (0..=LONGEST_PATH.min(path.len())).rev().find(|&end| path.is_char_boundary(end));
    &path[..end.unwrap_or_default()]
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
