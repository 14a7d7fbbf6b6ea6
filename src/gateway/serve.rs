//! Puts answers that are made at the edge on the wire.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use crate::hooks::{Answer, Body};
use crate::runtime::Cause;

use super::admit::content_length;
use super::chain::{self, Passing};
use super::cx::{RequestCx, is_leaving, until_cut};
use super::reply::explain;

/// Writes an answer, as the filters that saw the request make it.
pub(super) async fn write(session: &mut Session, cx: &mut RequestCx, mut answer: Answer) -> Result<()> {
    let body = std::mem::take(&mut answer.body);
    let mut head = head_of(answer, body.length())?;
    if let Err(cause) = chain::on_response(session.req_header(), &mut head, cx) {
        // The filters are left out of the answer that tells of their failure.
        let mut failed = explain(session, cx, &cause);
        cx.cause.get_or_insert(cause);
        let body = std::mem::take(&mut failed.body);
        let head = head_of(failed, body.length())?;
        return send(session, cx, head, body, Filtering::Off).await;
    }
    let filtering = if chain::filters_response_body(cx) { Filtering::On } else { Filtering::Off };
    send(session, cx, head, body, filtering).await
}

/// Whether the filters see the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filtering {
    On,
    Off,
}

fn head_of(answer: Answer, length: Option<u64>) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(answer.status, Some(answer.headers.len() + 4))?;
    for (name, value) in answer.headers {
        head.append_header(name, value)?;
    }
    if let Some(length) = length.filter(|_| may_have_body(answer.status)) {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(length))?;
    }
    Ok(head)
}

/// Whether what is left of the body is rather read and dropped than the connection closed over it: it is short, and
/// its client is not waiting to be asked for it.
fn is_cheap_to_drain(head: &RequestHeader) -> bool {
    const SHORT: u64 = 16 * 1024;
    let is_asked_for = head.headers.contains_key(EXPECT);
    !is_asked_for && content_length(&head.headers).is_some_and(|length| length <= SHORT)
}

fn may_have_body(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

async fn send(
    session: &mut Session,
    cx: &mut RequestCx,
    mut head: ResponseHeader,
    body: Body,
    filtering: Filtering,
) -> Result<()> {
    let closes = !is_cheap_to_drain(session.req_header());
    session.as_downstream_mut().set_close_on_response_before_downstream_finish(closes);
    if is_leaving(session) {
        session.set_keepalive(None);
    }
    let is_asked_for = may_have_body(head.status) && session.req_header().method != Method::HEAD;
    // Filters may make something of nothing.
    let has_body = is_asked_for && (body.length() != Some(0) || filtering == Filtering::On);
    if !has_body && let ServerSession::Custom(stream) = session.as_downstream_mut() {
        // So that the head itself ends the stream, as clients of gRPC want it, and nobody has to do so later.
        return stream.write_response_header(Box::new(head), true).await;
    }
    if is_asked_for {
        frame(session, &mut head)?;
    }
    session.write_response_header(Box::new(head), !has_body).await?;
    match body {
        _ if !has_body => Ok(()),
        Body::Whole(bytes) if filtering == Filtering::Off => {
            session.write_response_body(Some(bytes), true).await
        }
        body => send_pieces(session, cx, body, filtering).await,
    }
}

/// Tells the end of a body of which nobody knows the length: by chunks, or to HTTP/1.0 by the end of the connection
/// (RFC 9112 §6.3). Frames of HTTP/2 tell it themselves.
fn frame(session: &mut Session, head: &mut ResponseHeader) -> Result<()> {
    if head.headers.contains_key(CONTENT_LENGTH) {
        return Ok(());
    }
    match session.req_header().version {
        Version::HTTP_11 => head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        Version::HTTP_10 => {
            session.set_keepalive(None);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Sends a body as it is made, or as filters make it, no faster than the client takes it.
async fn send_pieces(
    session: &mut Session,
    cx: &mut RequestCx,
    mut body: Body,
    filtering: Filtering,
) -> Result<()> {
    loop {
        let (mut piece, end) = next_piece(session, &mut body).await.map_err(|cause| cx.fail(cause))?;
        if filtering == Filtering::On {
            chain::on_response_body(Passing::Body, &mut piece, end, cx).map_err(|cause| cx.fail(cause))?;
        }
        session.write_response_body(piece, end).await?;
        if end {
            return Ok(());
        }
    }
}

/// What comes next, and whether it is the last.
async fn next_piece(session: &Session, body: &mut Body) -> Result<(Option<Bytes>, bool), Cause> {
    let source = match body {
        Body::Whole(bytes) => return Ok((Some(std::mem::take(bytes)), true)),
        Body::Stream(source) => source,
    };
    let piece = tokio::select! {
        biased;
        piece = source.next() => piece,
        () = until_cut(session) => return Err(Cause::Cut),
    };
    match piece {
        Ok(Some(piece)) => Ok((Some(piece), source.left() == Some(0))),
        Ok(None) => Ok((None, true)),
        Err(error) => {
            log::warn!("the body of an answer broke off error={error}");
            Err(Cause::AnswerBroken)
        }
    }
}
