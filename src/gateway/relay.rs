//! The response as clients see it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::runtime::Cause;

use super::chain;
use super::cx::{RequestCx, connection};

/// Fields of one connection, not of the message (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 4] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    TE,
];

/// Takes the head of an endpoint's response in.
pub(super) fn take(session: &Session, response: &mut ResponseHeader, cx: &mut RequestCx) -> Result<()> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        if !cx.asks_upgrade || !session.is_upgrade_req() {
            return Err(cx.fail(Cause::UnexpectedUpgrade));
        }
    } else if response.status.is_informational() {
        return Ok(());
    } else {
        strip_hop_by_hop(response);
    }
    cx.timings.first_byte = Some(Instant::now());
    cx.is_endless = is_endless(response);
    if let Some(watchdog) = &cx.watchdog {
        watchdog.on_head();
    }
    Ok(())
}

/// Removes the fields of the endpoint's connection, also those that its `Connection` names.
fn strip_hop_by_hop(response: &mut ResponseHeader) {
    let named: SmallVec<[HeaderName; 2]> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // The framing is Pingora's to change, whatever the endpoint names.
        .filter(|name| *name != TRANSFER_ENCODING && *name != http::header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP).chain(&[CONNECTION, UPGRADE]) {
        if response.headers.contains_key(name) {
            response.remove_header(name);
        }
    }
}

/// Whether the response goes on for as long as its client listens, so that no total applies.
fn is_endless(response: &ResponseHeader) -> bool {
    let media_type = response.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media_type.starts_with(b"text/event-stream") || media_type.starts_with(b"application/grpc")
}

/// Finishes the head for the client: filters, then the fields of the client's connection.
pub(super) fn hand_on(
    session: &mut Session,
    response: &mut ResponseHeader,
    cx: &mut RequestCx,
    is_draining: bool,
) -> Result<()> {
    let is_upgrade = response.status == StatusCode::SWITCHING_PROTOCOLS;
    if response.status.is_informational() && !is_upgrade {
        return Ok(());
    }
    if let Err(cause) = chain::on_response(session.req_header(), response, cx) {
        return Err(cx.fail(cause));
    }
    if is_upgrade {
        if let Some(connection) = connection(session) {
            connection.mark_upgraded();
        }
        if let Some(watchdog) = &cx.watchdog {
            watchdog.on_upgrade();
        }
        session.as_downstream_mut().set_read_timeout(None);
    }
    close_where_needed(session, response, is_draining);
    Ok(())
}

/// HTTP/1.0 knows no chunks: there the end of the connection is the end of the body (RFC 9112 §6.3).
fn close_where_needed(session: &mut Session, response: &mut ResponseHeader, is_draining: bool) {
    let is_http10 = session.req_header().version == Version::HTTP_10;
    if is_http10 && response.headers.contains_key(TRANSFER_ENCODING) {
        response.remove_header(&TRANSFER_ENCODING);
        session.set_keepalive(None);
    }
    if is_draining {
        session.set_keepalive(None);
    }
}

/// Shows a piece of the body to filters and clocks.
pub(super) fn hand_on_body(
    body: &mut Option<Bytes>,
    end: bool,
    cx: &mut RequestCx,
) -> Result<Option<Duration>> {
    if let Some(watchdog) = &cx.watchdog {
        if watchdog.has_expired() {
            return Err(cx.fail(Cause::ResponseTimeout));
        }
        watchdog.on_response_data(end);
    }
    if !end && is_overdue(cx) {
        return Err(cx.fail(Cause::TotalTimeout));
    }
    match chain::on_response_body(body, end, cx) {
        Ok(()) => Ok(None),
        Err(cause) => Err(cx.fail(cause)),
    }
}

fn is_overdue(cx: &RequestCx) -> bool {
    if cx.is_endless || cx.asks_upgrade {
        return false;
    }
    let total = cx.pool().map_or(Duration::ZERO, |pool| pool.timeouts().total.get());
    !total.is_zero() && cx.received.elapsed() > total
}
