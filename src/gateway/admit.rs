//! What a request is, and whether it may go on: everything between its header and its route's action.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONNECTION, EXPECT, HOST, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use pingora_core::{Error, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::config::spec::BodyLimits;
use crate::filters::may_be_set;
use crate::hooks::{Answer, Facts, Flow};
use crate::router::Parts;
use crate::runtime::{
    Action, Cause, Connection, find_route, forwarded_client, ip_value, is_certificate_claim,
    is_refused_method, refusal,
};
use crate::semantics::is_grpc;
use crate::types::{RequestHost, content_length, normalise_path, with_random};

use super::chain::{self, Passing};
use super::clock;
use super::cx::RequestCx;
use super::downstream::Downstream;
use super::grpc::Call;
use super::pause;
use super::recording;
use super::split;
use super::trace;
use super::upstream::{head_limit, is_overdue};

/// How long a connection that is to be used again may take to deliver the rest of a body that nobody reads.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// The pace of a body is judged only after this, so that short stalls at its beginning are forgiven.
const PACE_GRACE: Duration = Duration::from_secs(5);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sets the limits of the listener on the session, before anything reads from it.
pub(super) fn set_limits(session: &mut Session, cx: &mut RequestCx) -> Result<()> {
    let Some(connection) = session.connection().cloned() else { return Err(cx.fail(Cause::Internal)) };
    let limits = &connection.listener().limits;
    let version = session.req_header().version;
    let session = session.as_downstream_mut();
    // Sessions of HTTP/2 get theirs step by step.
    session.set_read_timeout((version != Version::HTTP_2).then(|| limits.body.idle.get()));
    session.set_write_timeout(Some(limits.send_idle.get()));
    session.set_total_drain_timeout(Some(DRAIN_LIMIT));
    // HTTP/1.0 has no informational responses (RFC 9110 §15.2).
    session.set_ignore_info_resp(version == Version::HTTP_10);
    Ok(())
}

/// Takes a request in: checks it, finds its route, runs the route's filters.
pub(super) async fn admit(session: &mut impl Downstream, cx: &mut RequestCx) -> Result<Flow, Cause> {
    let connection = session.connection().cloned().ok_or(Cause::Internal)?;
    let head = session.request_mut();
    // First, so that every later failure can be told to its client and logged with an id.
    cx.facts = Some(facts(head, &connection, cx));
    trace::take(head, cx);
    recording::begin(head, cx);
    strip_untrusted(head, cx.way.is_by_proxy());
    cx.is_upgrade_req = asks_upgrade(head);
    strip_nominated(head)?;
    if let Some(flow) = check_method(head)? {
        return Ok(flow);
    }
    check_sizes(head, &connection)?;
    // Not before: a client could name it in `Connection`, and it is no part of what clients may send.
    trace::tell(head, cx).ok_or(Cause::HeaderTooLarge)?;
    adopt_authority(head)?;
    cx.way.host = head.headers.get(HOST).cloned();
    cx.host = host(cx.way.host.as_ref(), head.version)?;
    if !connection.serves(cx.host.as_str(), &cx.snapshot) {
        return Err(Cause::Misdirected);
    }
    canonicalise_target(head)?;
    recording::note_target(head, cx);
    if let Some(flow) = to_https(head, &connection, cx)? {
        return Ok(flow);
    }
    let parts = parts(head, &connection, cx);
    let found = find_route(&cx.snapshot.router, &parts);
    let routing = recording::routing(&parts, found.as_ref(), cx);
    recording::note_routing(cx, routing);
    cx.set_route(found?);
    if let Some(Action::Pool(pool)) = cx.route().map(|route| &route.action) {
        cx.shown_pool = Some(*pool);
    }
    if cx.route().is_some_and(|route| !route.filters.is_empty()) {
        cx.asked_target = Some(session.request().uri.clone());
        cx.came_authorized = shows_credentials(&session.request().headers);
    }
    // Filters may turn a request of another kind into a call.
    let is_native = is_grpc(&session.request().headers);
    let flow = chain::on_request(session, cx).await;
    cx.pool = cx.shown_pool;
    cx.timings.filtered = Some(Instant::now());
    let flow = flow?;
    if matches!(flow, Flow::Continue) {
        split::choose(session.request(), cx);
    }
    let length = content_length(&session.request().headers);
    if length.zip(cx.bounds.body).is_some_and(|(length, most)| length > most) {
        return Err(Cause::BodyTooLarge);
    }
    if let Some(pool) = cx.pool() {
        cx.call = Call::of(session.request(), pool, is_native)?;
    }
    Ok(flow)
}

/// Counts and judges a piece of the request's body, and shows it to the filters.
pub(super) async fn admit_body(
    session: &mut Session,
    body: &mut Option<Bytes>,
    end: bool,
    cx: &mut RequestCx,
) -> Result<()> {
    cx.body_ended |= end;
    if end && cx.body_bytes > 0 {
        cx.body_ended_at = Some(Instant::now());
    }
    if let Some(watchdog) = &cx.watchdog {
        if end {
            watchdog.on_request_end(head_limit(session, cx));
        } else {
            watchdog.on_request_data();
        }
    }
    if !session.was_upgraded()
        && let Some(cause) = judge_body(session, body.as_deref().unwrap_or_default(), cx)
    {
        return Err(fail_body(cx, cause));
    }
    tell_clock(session, end, cx);
    if let Err(cause) = chain::on_request_body(Passing::of(session), body, end, cx) {
        return Err(fail_body(cx, cause));
    }
    if let Some(pause) = pause::begin(session, cx)
        && let Err(cause) = pause::rest(session, pause).await
    {
        return Err(fail_body(cx, cause));
    }
    cx.note_sent(body.as_ref().map_or(0, Bytes::len));
    if let Some(cork) = cx.cork.take()
        && body.as_ref().is_none_or(Bytes::is_empty)
    {
        *body = Some(cork.into_piece());
    }
    Ok(())
}

/// Has the session of an HTTP/2 client wait for what follows a piece of its body.
fn tell_clock(session: &mut Session, end: bool, cx: &mut RequestCx) {
    if cx.clock.is_none() {
        return;
    }
    let now = Instant::now();
    let (head, paced) = (head_limit(session, cx), pace_due(session, cx));
    if let Some(clock) = &mut cx.clock {
        if end { clock.on_request_end(head, now) } else { clock.on_request_data(paced, now) }
    }
    clock::wind(session, cx, now);
}

/// When too little of the body will have come, unless more does.
fn pace_due(session: &Session, cx: &RequestCx) -> Option<Instant> {
    let limits = &session.connection()?.listener().limits.body;
    Some(cx.body_begun? + borne(limits, cx.body_bytes)? + cx.paused)
}

/// For how long so many bytes are enough of a body; `None` where no pace is asked for.
pub(super) fn borne(limits: &BodyLimits, bytes: u64) -> Option<Duration> {
    let seconds = bytes.checked_div(limits.min_rate.bytes_per_second())? + 1;
    Some(Duration::from_secs(seconds).max(PACE_GRACE))
}

/// An error of the client's side: with any other, Pingora would stop to send the body to an endpoint of HTTP/2, and go on
/// to wait for the answer.
fn fail_body(cx: &mut RequestCx, cause: Cause) -> Box<Error> {
    cx.fail(cause).into_down()
}

fn judge_body(session: &Session, piece: &[u8], cx: &mut RequestCx) -> Option<Cause> {
    let limits = &session.connection()?.listener().limits.body;
    cx.body_bytes += piece.len() as u64;
    // The stream of a call may last and rest as long as it likes; it is each message that has a size.
    let message = cx.call.as_mut().and_then(|call| call.follow(piece));
    let most = cx.bounds.body.unwrap_or(u64::MAX).min(limits.size.bytes());
    if message.unwrap_or(cx.body_bytes) > most {
        return Some(Cause::BodyTooLarge);
    }
    if piece.is_empty() {
        return None;
    }
    // Not from the header on: the client may have been told to wait for a 100.
    let elapsed = cx.body_begun.get_or_insert_with(Instant::now).elapsed().saturating_sub(cx.paused);
    if is_overdue(cx) {
        return Some(Cause::TotalTimeout);
    }
    if message.is_some() {
        return None;
    }
    let due = limits.min_rate.bytes_per_second().saturating_mul(elapsed.as_secs());
    let is_slow = elapsed > PACE_GRACE && cx.body_bytes < due;
    is_slow.then_some(Cause::BodyTimeout)
}

// === Facts ===

fn facts(head: &RequestHeader, connection: &Connection, cx: &mut RequestCx) -> Facts {
    let peer = connection.peer_ip();
    let is_trusted = connection.is_trusted_by(&cx.snapshot);
    let forwarded = is_trusted.then(|| forwarded_client(&head.headers, &cx.snapshot)).flatten();
    let client_ip = forwarded.unwrap_or(peer);
    cx.way.proxy = is_trusted.then(|| connection.peer_ip_value().clone());
    cx.way.client = Some(match forwarded {
        Some(ip) => ip_value(ip),
        None => connection.peer_ip_value().clone(),
    });
    let kept_id = is_trusted.then(|| trusted_id(&head.headers)).flatten();
    Facts {
        client_ip,
        connection: connection.number(),
        listener: connection.listener().name.clone(),
        scheme: connection.scheme(),
        tls: connection.tls().cloned(),
        request_id: kept_id.unwrap_or_else(new_request_id),
        received: cx.received,
    }
}

/// An id that a trusted proxy sent, if it is one that logs can hold.
fn trusted_id(headers: &HeaderMap) -> Option<HeaderValue> {
    const LONGEST: usize = 128;
    let id = headers.get(X_REQUEST_ID)?;
    let is_sound = (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    is_sound.then(|| id.clone())
}

/// A UUID of version 7 (RFC 9562 §5.7): ids sort by time, which logs and databases like.
fn new_request_id() -> HeaderValue {
    let millis = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let random = with_random(|random| random.u128(..).to_be_bytes());
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random[..10]);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    let text = id.hyphenated().encode_lower(&mut text);
    // Digits, letters and dashes are legal in every header.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none"))
}

/// Drops what this client may not say, see [`refusal`].
fn strip_untrusted(head: &mut RequestHeader, peer_is_trusted: bool) {
    let names = head.headers.keys();
    let refused: SmallVec<[HeaderName; 4]> =
        names.filter(|name| refusal(name, peer_is_trusted).is_some()).cloned().collect();
    for name in &refused {
        head.remove_header(name);
    }
}

/// Whether the client asks for an upgrade. An `Upgrade` that `Connection` does not name asks for nothing (RFC 9110
/// §7.8), but an endpoint, or Pingora, could take it for a wish, so it is dropped.
fn asks_upgrade(head: &mut RequestHeader) -> bool {
    if !head.headers.contains_key(UPGRADE) {
        return false;
    }
    let mut options = connection_options(&head.headers);
    if !options.any(|option| option.eq_ignore_ascii_case(UPGRADE.as_str().as_bytes())) {
        drop(options);
        head.remove_header(&UPGRADE);
        return false;
    }
    head.version == Version::HTTP_11
}

/// Whether the request tells whose it is in a way that all servers know. What tells of a certificate is a trusted proxy's word.
fn shows_credentials(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.keys().any(is_certificate_claim)
}

/// What `Connection` says, piece by piece.
fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(CONNECTION).iter();
    fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// Takes off the fields of the message that `Connection` names (RFC 9110 §7.6.1). Pingora would do so after the filters, and
/// a client could take off what they have set. The rest of `Connection` is left for it to judge.
fn strip_nominated(head: &mut RequestHeader) -> Result<(), Cause> {
    /// Nobody has a use for more, and Pingora takes no more either.
    const MOST: usize = 9;

    let (mut taken, mut kept) = (SmallVec::<[HeaderName; 2]>::new(), SmallVec::<[&[u8]; 4]>::new());
    for option in connection_options(&head.headers) {
        match nominated(option) {
            Some(name) => taken.push(name),
            None => kept.push(option),
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    if taken.len() > MOST {
        return Err(Cause::BadRequest);
    }
    let rest = HeaderValue::from_bytes(&kept.join(&b", "[..])).map_err(|_| Cause::BadRequest)?;
    drop(kept);
    head.remove_header(&CONNECTION);
    if !rest.is_empty() {
        head.insert_header(CONNECTION, rest).map_err(|_| Cause::BadRequest)?;
    }
    for name in &taken {
        head.remove_header(name);
    }
    Ok(())
}

/// The field that an option names, if it is one that filters may have set.
fn nominated(option: &[u8]) -> Option<HeaderName> {
    // What nearly all say, and no field.
    const COMMON: [&[u8]; 3] = [b"close", b"keep-alive", b"upgrade"];
    if COMMON.iter().any(|common| option.eq_ignore_ascii_case(common)) {
        return None;
    }
    let name = HeaderName::from_bytes(option).ok()?;
    (may_be_set(&name) && !name.as_str().starts_with("x-forwarded-")).then_some(name)
}

// === Checks ===

/// The methods that every route can serve.
pub(super) const SERVED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Refuses methods that are never served, and answers `OPTIONS *`, which asks the edge itself (RFC 9110 §9.3.7).
fn check_method(head: &RequestHeader) -> Result<Option<Flow>, Cause> {
    if is_refused_method(&head.method) {
        return Err(Cause::MethodRefused);
    }
    if head.raw_path() != b"*" {
        return Ok(None);
    }
    if head.method != Method::OPTIONS {
        return Err(Cause::BadRequest);
    }
    let answer = Answer::new(StatusCode::NO_CONTENT, "");
    Ok(Some(answer.with_header(ALLOW, SERVED).into()))
}

fn check_sizes(head: &RequestHeader, connection: &Connection) -> Result<(), Cause> {
    let listener = connection.listener();
    if head.raw_path().len() > listener.max_request_line() {
        return Err(Cause::TargetTooLong);
    }
    if head.headers.len() > usize::from(listener.limits.header.count) {
        return Err(Cause::HeaderTooLarge);
    }
    let mut expected = head.headers.get_all(EXPECT).iter();
    if expected.any(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Cause::ExpectationFailed);
    }
    if content_length(&head.headers).is_some_and(|length| length > listener.limits.body.size.bytes()) {
        return Err(Cause::BodyTooLarge);
    }
    Ok(())
}

/// Moves the authority of HTTP/2 to where HTTP/1 has it, so that filters find and change the host in one place.
fn adopt_authority(head: &mut RequestHeader) -> Result<(), Cause> {
    let Some(authority) = head.uri.authority() else { return Ok(()) };
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Cause::BadRequest)?;
    head.insert_header(HOST, host).map_err(|_| Cause::HeaderTooLarge)?;
    let target = head.uri.path_and_query().cloned().ok_or(Cause::BadRequest)?;
    head.set_uri(Uri::from(target));
    Ok(())
}

/// The host that is asked for. Only HTTP/1.0 may name none.
fn host(field: Option<&HeaderValue>, version: Version) -> Result<RequestHost, Cause> {
    match field {
        Some(field) => RequestHost::parse(field.as_bytes()).ok_or(Cause::BadRequest),
        None if version == Version::HTTP_10 => Ok(RequestHost::default()),
        None => Err(Cause::BadRequest),
    }
}

/// Brings the target into the one form in which it is matched and forwarded.
fn canonicalise_target(head: &mut RequestHeader) -> Result<(), Cause> {
    if !head.raw_path_is_utf8() {
        return Err(Cause::BadRequest);
    }
    if !head.raw_path().starts_with(b"/") {
        check_absolute_form(head)?;
        // The URI alone is in origin form; setting it drops the absolute form that came.
        head.set_uri(head.uri.clone());
    }
    match normalise_path(head.uri.path()) {
        Ok(None) => Ok(()),
        Ok(Some(path)) => {
            let target = match head.uri.query() {
                Some(query) => format!("{path}?{query}"),
                None => path,
            };
            head.set_uri(target.parse().map_err(|_| Cause::BadRequest)?);
            Ok(())
        }
        Err(_) => Err(Cause::BadRequest),
    }
}

/// A proxy's form of target (RFC 9112 §3.2.2) is fine when it is a plain URL; Pingora has compared its authority
/// with the `Host` field.
fn check_absolute_form(head: &RequestHeader) -> Result<(), Cause> {
    let target = head.raw_path();
    let has_scheme =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let is_url = has_scheme(b"http://") || has_scheme(b"https://");
    if is_url && head.uri.path().starts_with('/') { Ok(()) } else { Err(Cause::BadRequest) }
}

/// Sends the request to the same URL with https, where the listener serves nothing itself: by a 308, so that methods and
/// bodies come along.
fn to_https(head: &RequestHeader, connection: &Connection, cx: &RequestCx) -> Result<Option<Flow>, Cause> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let url = connection.listener_in(&cx.snapshot).https_url(cx.host.as_str(), target, &head.headers);
    let Some(url) = url else { return Ok(None) };
    if cx.host.as_str().is_empty() {
        return Err(Cause::BadRequest);
    }
    let url = HeaderValue::try_from(url).map_err(|_| Cause::BadRequest)?;
    Ok(Some(Answer::new(StatusCode::PERMANENT_REDIRECT, "").with_header(LOCATION, url).into()))
}

fn parts<'a>(head: &'a RequestHeader, connection: &Connection, cx: &'a RequestCx) -> Parts<'a> {
    Parts {
        listener: connection.listener().id,
        host: cx.host.as_str(),
        path: head.uri.path(),
        query: head.uri.query(),
        method: &head.method,
        headers: &head.headers,
        client_ip: cx.facts.as_ref().map_or(connection.peer_ip(), |facts| facts.client_ip),
    }
}
