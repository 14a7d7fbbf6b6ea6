//! The response as clients see it.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::hooks::ResponseHead;
use crate::pools::{Fault, is_among};
use crate::runtime::{Cause, is_endless};
use crate::types::content_length;

use super::cache;
use super::chain::{self, Passing};
use super::clock;
use super::cx::RequestCx;
use super::downstream::{Downstream, is_leaving};
use super::grpc::{self, Call};
use super::hedge;
use super::pause;
use super::recording;
use super::retry;
use super::split;
use super::upstream::is_overdue;

/// So many informational responses may come before the final one.
const INFORMATIONAL: u8 = 16;

/// Takes the head of an endpoint's response in.
pub(super) fn take(session: &mut Session, response: &mut ResponseHeader, cx: &mut RequestCx) -> Result<()> {
    hedge::settle(cx);
    let ends_by_closing = unbind(response);
    if let Some(cache) = &mut cx.cache {
        cache.ends_by_closing = ends_by_closing;
    }
    match settle(session, response, cx) {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(cause) => {
            retry::note_failure(cx, Fault::from(&cause), None, Instant::now());
            return Err(cx.fail(cause));
        }
    }
    grpc::note_head(response, cx);
    let now = Instant::now();
    recording::note_head(cx, response.status, now);
    if let Some(repeat) = retry::judge_answer(session, response, cx, now) {
        return Err(repeat);
    }
    cache::take(session, response, cx)?;
    cx.timings.first_byte = Some(now);
    // No total applies then.
    cx.is_endless = is_endless(&response.headers) && !cx.call.as_ref().is_some_and(Call::has_deadline);
    if let Some(watchdog) = &cx.watchdog {
        watchdog.on_head();
        if cx.is_endless {
            watchdog.lift_total();
        }
        if is_whole(session.req_header(), response) {
            watchdog.on_response_end();
        }
    }
    tell_clock(session, now, cx);
    Ok(())
}

/// Takes off a response what is of the version of its connection; whether only the end of that tells its own.
pub(super) fn unbind(response: &mut ResponseHeader) -> bool {
    let ends_by_closing = response.version != Version::HTTP_2 && !tells_end(response);
    if response.version != Version::HTTP_2 {
        // Pingora drops the trailers of HTTP/1, so that none may be announced.
        response.remove_header(&TRAILER);
    }
    if response.version != Version::HTTP_11 {
        // To clients the edge speaks its own (RFC 9110 §6.2).
        response.set_version(Version::HTTP_11);
    }
    ends_by_closing
}

/// Has the session of an HTTP/2 client wait for what follows a piece of its answer.
fn tell_clock(session: &mut Session, now: Instant, cx: &mut RequestCx) {
    let Some(clock) = &mut cx.clock else { return };
    clock.on_answer(now);
    if cx.is_endless {
        clock.lift_total();
    }
    clock::wind(session, cx, now);
}

/// Checks the head of a response and brings it into plain form; false for one that another follows.
fn settle(session: &Session, response: &mut ResponseHeader, cx: &mut RequestCx) -> Result<bool, Cause> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        if !cx.asks_upgrade || !names_protocol(session.req_header(), response) {
            return Err(Cause::UnexpectedUpgrade);
        }
        strip_framing(response);
        return Ok(true);
    }
    if response.status.is_informational() {
        cx.informational += 1;
        if cx.informational > INFORMATIONAL {
            return Err(Cause::UpstreamInvalid);
        }
        strip_hop_by_hop(response);
        return Ok(false);
    }
    settle_final(response)?;
    Ok(true)
}

/// The same for one that is known to be final.
pub(super) fn settle_final(response: &mut ResponseHeader) -> Result<(), Cause> {
    if !is_coding_known(response) {
        return Err(Cause::UpstreamInvalid);
    }
    strip_hop_by_hop(response);
    unite_lengths(response).ok_or(Cause::UpstreamInvalid)
}

/// Whether the protocol that the endpoint switches to is one that the client named (RFC 9110 §7.8).
fn names_protocol(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let Some(chosen) = response.headers.get(UPGRADE) else { return false };
    let fields = request.headers.get_all(UPGRADE).iter();
    let mut offered = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    offered.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(chosen.as_bytes().trim_ascii()))
}

/// Removes the fields of the endpoint's connection, also those that its `Connection` names.
fn strip_hop_by_hop(response: &mut ResponseHeader) {
    // A 426 has to say what to upgrade to (RFC 9110 §15.5.22).
    let keeps_upgrade = response.status == StatusCode::UPGRADE_REQUIRED;
    let is_kept = |name: &HeaderName| keeps_upgrade && *name == UPGRADE;
    let hop_by_hop = response.headers.keys().filter(|name| is_hop_by_hop(name) && !is_kept(name));
    let mut doomed: SmallVec<[HeaderName; 4]> = hop_by_hop.cloned().collect();
    for value in response.headers.get_all(CONNECTION) {
        doomed.extend(nominated(value).filter(|name| !is_kept(name)));
    }
    for name in &doomed {
        response.remove_header(name);
    }
    if response.status.is_informational() || response.status == StatusCode::NO_CONTENT {
        strip_framing(response);
    }
}

/// Removes what tells of a body from a response that has none (RFC 9110 §8.6, RFC 9112 §6.1).
fn strip_framing(response: &mut ResponseHeader) {
    response.remove_header(&CONTENT_LENGTH);
    response.remove_header(&TRANSFER_ENCODING);
}

/// Makes one plain length of one that is told several times, which Pingora has found to be the same each time, and which
/// not every client would understand; `None` when the head has no room for it.
fn unite_lengths(response: &mut ResponseHeader) -> Option<()> {
    let mut fields = response.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = fields.next() else { return Some(()) };
    let mut values = first.as_bytes().split(|&byte| byte == b',');
    let value = values.next().unwrap_or_default().trim_ascii();
    if values.next().is_none() && fields.next().is_none() {
        return Some(());
    }
    let value = HeaderValue::from_bytes(value).ok()?;
    response.insert_header(CONTENT_LENGTH, value).ok()
}

/// Whether the body is coded as both sides of the edge read it: in chunks, once, or not at all. No endpoint is told
/// that it may use another coding (RFC 9112 §6.1), and what clients make of one is anybody's guess.
fn is_coding_known(response: &ResponseHeader) -> bool {
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    let is_known = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_known && codings.next().is_none()
}

/// Fields of one connection, not of the message (RFC 9110 §7.6.1). The framing is Pingora's to change.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == UPGRADE
        || *name == TE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "proxy-authenticate")
}

/// The fields that a `Connection` names besides its options; framing stays, whatever the endpoint says.
fn nominated(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let names = value.to_str().unwrap_or("").split(',').map(str::trim);
    names
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close"))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| *name != TRANSFER_ENCODING && *name != CONTENT_LENGTH)
}

/// Finishes the head for the client: filters, then the fields of the client's connection.
pub(super) async fn hand_on(
    session: &mut Session,
    response: &mut ResponseHeader,
    cx: &mut RequestCx,
) -> Result<()> {
    let is_upgrade = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let is_interim = response.status.is_informational() && !is_upgrade;
    // Pingora closes the connection after an answer that comes before the end of the request. An interim one,
    // 100 above all, is no such answer.
    session.as_downstream_mut().set_close_on_response_before_downstream_finish(!is_interim);
    if is_interim {
        return Ok(());
    }
    if let Some(unfinished) = &mut cx.unfinished {
        unfinished.note_head(response);
    }
    if cache::hand_on(session, response, cx).is_none() {
        return Err(cx.fail(Cause::UpstreamInvalid));
    }
    if let Err(cause) = chain::on_response(session.req_header(), ResponseHead::There(response), cx) {
        return Err(cx.fail(cause));
    }
    let is_done = bind_client(response, cx)
        .and_then(|()| split::bind_client(response, cx))
        .and_then(|()| frame(session.req_header(), response, cx));
    if is_done.is_none() {
        return Err(cx.fail(Cause::UpstreamInvalid));
    }
    recording::tell_client(response, cx);
    if is_upgrade {
        if let Some(connection) = session.connection() {
            connection.mark_upgraded();
        }
        if let Some(watchdog) = &cx.watchdog {
            watchdog.on_upgrade();
        }
        session.as_downstream_mut().set_read_timeout(None);
    }
    if (is_upgrade || cx.is_endless)
        && session.as_downstream().as_http1().is_some()
        && let Some(connection) = session.connection()
    {
        connection.mark_lasting();
    }
    if is_leaving(session) {
        session.set_keepalive(None);
    }
    if is_whole(session.req_header(), response) || grpc::is_over(cx) {
        retry::let_go(cx);
    }
    let is_http10 = session.req_header().version == Version::HTTP_10;
    if is_http10 { end_by_closing(session, response).await } else { Ok(()) }
}

/// Gives a client that has no endpoint, or whose endpoint is gone, the cookie of the one that served it; `None` when the
/// head has no room for it. A client whose endpoint only had no room this time stays bound to it, and so does one whose
/// endpoint failed it once, unless that is in drain and will be gone in any case.
fn bind_client(response: &mut ResponseHeader, cx: &RequestCx) -> Option<()> {
    let Some(pool) = cx.pool() else { return Some(()) };
    let has_failed = |pinned: usize| {
        let pinned = &pool.endpoints()[pinned];
        pinned.state().is_in_drain() && is_among(&cx.tried, pinned)
    };
    let is_bound = cx.pinned.is_some_and(|pinned| pool.serves_its_own(pinned) && !has_failed(pinned));
    if is_bound || response.status.is_server_error() {
        return Some(());
    }
    // A stored answer is nobody's in particular.
    let Some(lease) = cx.lease.as_ref().filter(|_| !cx.is_stored_answer()) else { return Some(()) };
    let endpoint = lease.endpoint();
    // The cookie is that of the configuration by which the endpoint was picked.
    let Some(cookie) = endpoint.set_cookie(cx.facts.as_ref()?.scheme) else { return Some(()) };
    response.append_header(SET_COOKIE, cookie).ok().map(drop)
}

/// Puts a body in chunks of which filters have taken the length away; `None` when the head has no room for that. Pingora has
/// looked before them.
fn frame(request: &RequestHeader, response: &mut ResponseHeader, cx: &RequestCx) -> Option<()> {
    let is_framed =
        || [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| response.headers.contains_key(name));
    if cx.entered == 0 || is_framed() || !may_have_body(request, response) {
        return Some(());
    }
    response.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked")).ok()
}

/// HTTP/1.0 knows no chunks: there the end of the connection is the end of a body without a length (RFC 9112 §6.3).
async fn end_by_closing(session: &mut Session, response: &mut ResponseHeader) -> Result<()> {
    if response.headers.contains_key(CONTENT_LENGTH) || !may_have_body(session.req_header(), response) {
        return Ok(());
    }
    session.set_keepalive(None);
    if response.headers.contains_key(TRANSFER_ENCODING) {
        response.remove_header(&TRANSFER_ENCODING);
        return Ok(());
    }
    // The endpoint speaks HTTP/2, and after this Pingora would put the body in chunks, whoever the client is. What it
    // does to a head that has been written no longer matters.
    response.set_version(Version::HTTP_11);
    session.as_downstream_mut().write_response_header(Box::new(response.clone())).await
}

/// Whether the head of an answer over HTTP/1 says where its body ends, so that one that was cut off can be told from it.
fn tells_end(response: &ResponseHeader) -> bool {
    let is_told = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| response.headers.contains_key(name));
    is_told || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether nothing follows the head.
fn is_whole(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let is_empty = content_length(&response.headers) == Some(0) || !may_have_body(request, response);
    is_empty && response.status != StatusCode::SWITCHING_PROTOCOLS
}

fn may_have_body(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let has_none = matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    request.method != Method::HEAD && !has_none && !response.status.is_informational()
}

/// Shows a piece of the body to filters and clocks.
pub(super) fn hand_on_body(
    session: &mut Session,
    body: &mut Option<Bytes>,
    end: bool,
    cx: &mut RequestCx,
) -> Result<()> {
    if let Some(watchdog) = &cx.watchdog {
        if let Some(cause) = watchdog.expired() {
            return Err(cx.fail(cause));
        }
        watchdog.on_response_data(end);
    }
    if !end && !cx.is_stored_answer() && is_overdue(cx) {
        return Err(cx.fail(Cause::TotalTimeout));
    }
    if cx.clock.is_some() {
        tell_clock(session, Instant::now(), cx);
    }
    if let Err(cause) = chain::on_response_body(Passing::of(session), body, end, cx) {
        return Err(cx.fail(cause));
    }
    if let (Some(unfinished), Some(piece)) = (&mut cx.unfinished, &*body) {
        unfinished.bytes_out += piece.len() as u64;
    }
    if end {
        retry::let_go(cx);
    }
    if let Some(pause) = pause::begin(session, cx) {
        session.hold(pause.hold, body.as_ref().map_or(0, Bytes::len));
    }
    Ok(())
}
