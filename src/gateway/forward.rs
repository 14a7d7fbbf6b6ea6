//! The request as endpoints see it.

use http::Version;
use http::header::{COOKIE, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::runtime::Cause;
use crate::types::{EndpointAddr, content_length, joined_cookies};

use super::admit;
use super::cork::Cork;
use super::cx::RequestCx;
use super::grpc::Call;
use super::upstream::{self, left_of_total};
use super::{chain, proxy_header, trace, trailers};

/// Finishes the request of one attempt. Pingora has taken the hop-by-hop fields off already.
pub(super) async fn prepare(
    session: &mut Session,
    request: &mut RequestHeader,
    cx: &mut RequestCx,
) -> Result<()> {
    upstream::begin_exchange(session, cx, request.version)?;
    cx.asks_upgrade = cx.is_upgrade_req && request.headers.contains_key(UPGRADE);
    if let Err(cause) = finish(session.req_header(), request, cx) {
        return Err(cx.fail(cause));
    }
    if cx.call.is_some() && Call::prepare(request, left_of_total(cx, Instant::now())).is_none() {
        return Err(cx.fail(Cause::HeaderTooLarge));
    }
    if cx.asks_upgrade && !has_body(session.req_header()) {
        cx.cork = cx.watchdog.as_ref().and_then(|watchdog| Cork::put(watchdog.socket()));
    }
    if request.version == Version::HTTP_2 && session.as_downstream_mut().is_body_empty() {
        // Of a body that there is not, Pingora tells the end over HTTP/1 alone.
        admit::admit_body(session, &mut None, true, cx).await?;
    }
    Ok(())
}

/// Shows the request of an attempt to the filters, and sets the headers that Evener answers for. `asked` is what its client
/// asks for.
pub(super) fn finish(
    asked: &RequestHeader,
    request: &mut RequestHeader,
    cx: &mut RequestCx,
) -> Result<(), Cause> {
    chain::on_upstream_request(request, cx)?;
    own_headers(asked, request, cx).ok_or(Cause::HeaderTooLarge)?;
    trace::tell_endpoint(request, cx).ok_or(Cause::HeaderTooLarge)?;
    if is_host_sound(request) { Ok(()) } else { Err(Cause::Internal) }
}

/// Asks a client that waits for a 100 to send its body to an endpoint that speaks HTTP/2, whose 100 Pingora cannot read.
pub(super) async fn ask_for_body(session: &mut Session, request: &mut RequestHeader) -> Result<()> {
    if request.version != Version::HTTP_2 || request.remove_header(&EXPECT).is_none() {
        return Ok(());
    }
    say_continue(session).await
}

/// Sends the 100 that a client waits for.
pub(super) async fn say_continue(session: &mut Session) -> Result<()> {
    let session = session.as_downstream_mut();
    // Not an answer that comes before the end of the request, after which Pingora would close the connection.
    session.set_close_on_response_before_downstream_finish(false);
    session.write_continue_response().await
}

fn has_body(request: &RequestHeader) -> bool {
    request.headers.contains_key(TRANSFER_ENCODING)
        || content_length(&request.headers).is_some_and(|length| length > 0)
}

/// Sets the headers that Evener answers for; `None` when the header has no room for them.
fn own_headers(asked: &RequestHeader, request: &mut RequestHeader, cx: &RequestCx) -> Option<()> {
    let facts = cx.facts.as_ref()?;
    if request.version != Version::HTTP_2
        && let Some(joined) = joined_cookies(&request.headers)
    {
        request.insert_header(COOKIE, joined).ok()?;
    }
    cx.way.tell(facts, asked.version, request)?;
    trailers::tell_endpoint(asked, request)?;
    proxy_header::end_with_answer(request, cx)?;
    ensure_host(request, cx)
}

/// Whether filters have left one host and no user in it. Pingora sees to that for clients of HTTP/1 only.
fn is_host_sound(request: &RequestHeader) -> bool {
    let mut hosts = request.headers.get_all(HOST).iter();
    let has_user = hosts.next().is_some_and(|host| host.as_bytes().contains(&b'@'));
    !has_user && hosts.next().is_none()
}

/// HTTP/1.0 clients need no `Host`, but endpoints get HTTP/1.1, which does.
fn ensure_host(request: &mut RequestHeader, cx: &RequestCx) -> Option<()> {
    if cx.way.host.is_some() || request.headers.contains_key(HOST) {
        return Some(());
    }
    let host = match cx.lease.as_ref()?.endpoint().address().as_ref() {
        EndpointAddr::Inet(inet) => inet.to_string(),
        EndpointAddr::Unix(_) => "localhost".to_owned(),
    };
    request.insert_header(HOST, host).ok()
}
