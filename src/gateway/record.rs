use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Version};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::filters::RateLimitVerdict;
use crate::pools::Lease;
use crate::runtime::GrpcStatus;
use crate::telemetry::{AccessLine, AccessLog, Millis, Timings, started};

use super::cx::{RequestCx, connection};
use super::reply::is_final;
use super::retry;

/// Ends a request: gives its endpoint back and writes its line.
pub(super) fn finish(session: &Session, cx: &mut RequestCx, log: &AccessLog) {
    cx.watchdog = None;
    if log.is_on() {
        write_line(session, cx, log);
    }
    retry::note_end(cx);
    cx.lease = None;
    cx.retry_permit = None;
}

fn write_line(session: &Session, cx: &RequestCx, log: &AccessLog) {
    let head = session.req_header();
    let text = |value: &'_ HeaderValue| value.to_str().ok().map(str::to_owned);
    let user_agent = head.headers.get(USER_AGENT).and_then(text);
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let status =
        session.response_written().map(|response| response.status).filter(|&status| is_final(status));
    let status = status.map(|status| status.as_u16());
    let client = cx.facts.as_ref().map(|facts| facts.client_ip.to_string());
    log.write(&AccessLine {
        time: started(cx.received.elapsed()),
        request_id: cx.request_id(),
        client: client.unwrap_or_default(),
        listener: connection(session).map_or("", |connection| connection.listener().name.as_str()),
        protocol: protocol(head.version),
        method: head.method.as_str(),
        host: cx.host.as_str(),
        target,
        // A client that left before its answer has no status; 499 is what logs know this by.
        status: status.or(cx.cause.as_ref().map(|cause| cause.status().as_u16())).unwrap_or(499),
        cause: cx.cause.as_ref().map(|cause| cause.word()),
        grpc_status: cx.grpc_status.map(GrpcStatus::code),
        rate_limit: cx.extensions.get::<RateLimitVerdict>().map(|verdict| verdict.as_str()),
        route: cx.route().map(|route| route.name.as_str()),
        pool: cx.pool.map(|pool| cx.snapshot.pool_names[pool.0].as_str()),
        endpoint: endpoint(cx),
        attempts: cx.attempts,
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        ms: timings(cx),
        user_agent: user_agent.as_deref(),
    });
}

/// The endpoint of the last attempt, also when it could not be connected to.
fn endpoint(cx: &RequestCx) -> Option<String> {
    let reached = cx.lease.as_ref().map(Lease::endpoint);
    reached.or(cx.tried.last()).map(|endpoint| endpoint.address().to_string())
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Each phase from the end of the one before it.
fn timings(cx: &RequestCx) -> Timings {
    let between = |from: Option<Instant>, to: Option<Instant>| -> Option<Millis> {
        Some(Millis(to?.saturating_duration_since(from?)))
    };
    let times = &cx.timings;
    Timings {
        filters: between(Some(cx.received), times.filtered),
        connect: between(times.filtered, times.connected),
        first_byte: between(times.connected, times.first_byte),
        total: Millis(Duration::max(cx.received.elapsed(), Duration::ZERO)),
    }
}
