//! Puts answers that are made at the edge on the wire.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout_at};

use crate::hooks::{Answer, Body, BodySource, ResponseHead};
use crate::runtime::Cause;
use crate::types::content_length;

use super::chain::{self, Passing};
use super::cx::RequestCx;
use super::downstream::{Downstream, is_leaving, within};
use super::pause;
use super::recording;
use super::reply::explain;

/// Writes an answer, as the filters that saw the request make it.
pub(super) async fn write(
    session: &mut impl Downstream,
    cx: &mut RequestCx,
    mut answer: Answer,
) -> Result<()> {
    let body = std::mem::take(&mut answer.body);
    let head = head_of(answer, body.length())?;
    write_parts(session, cx, head, body).await
}

/// The same with a head that tells of its body already.
pub(super) async fn write_parts(
    session: &mut impl Downstream,
    cx: &mut RequestCx,
    mut head: ResponseHeader,
    body: Body,
) -> Result<()> {
    let seen = chain::on_response(session.request(), ResponseHead::There(&mut head), cx);
    write_seen(session, cx, seen.map(|()| head), body).await
}

/// The same with a head that the filters have seen, or failed at.
pub(super) async fn write_seen(
    session: &mut impl Downstream,
    cx: &mut RequestCx,
    head: Result<ResponseHeader, Cause>,
    body: Body,
) -> Result<()> {
    let filtered = head.and_then(|mut head| {
        let outgoing = filter(session.request(), &mut head, body, cx)?;
        Ok((head, outgoing))
    });
    match filtered {
        Ok((head, outgoing)) => send(session, cx, head, outgoing).await,
        Err(cause) => {
            // The filters are left out of the answer that tells of their failure.
            let mut failed = explain(session, cx, &cause);
            cx.cause.get_or_insert(cause);
            let body = std::mem::take(&mut failed.body);
            let head = head_of(failed, body.length())?;
            send(session, cx, head, Outgoing { body, is_filtered: false }).await
        }
    }
}

/// So much of a body filters see at once.
const PIECE: usize = 64 * 1024;

/// What follows a head, and whether filters are still to see it.
struct Outgoing {
    body: Body,
    is_filtered: bool,
}

/// Shows a body to the filters, as far as it is there.
fn filter(
    request: &RequestHeader,
    head: &mut ResponseHeader,
    body: Body,
    cx: &mut RequestCx,
) -> Result<Outgoing, Cause> {
    if !has_body(request, head.status) {
        return Ok(Outgoing { body, is_filtered: false });
    }
    let body = match body {
        // The head tells its length.
        body if !chain::filters_response_body(cx) && head.headers.contains_key(CONTENT_LENGTH) => body,
        body if !chain::filters_response_body(cx) => with_length(head, body)?,
        Body::Whole(bytes) if bytes.len() <= PIECE && pause::longest(cx).is_zero() => {
            with_length(head, filter_whole(bytes, cx)?.into())?
        }
        Body::Whole(bytes) => {
            return Ok(Outgoing { body: Body::stream(Pieces(bytes)), is_filtered: true });
        }
        body => return Ok(Outgoing { body, is_filtered: true }),
    };
    Ok(Outgoing { body, is_filtered: false })
}

fn with_length(head: &mut ResponseHeader, body: Body) -> Result<Body, Cause> {
    if let Some(length) = body.length() {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(length)).map_err(|_| Cause::Internal)?;
    }
    Ok(body)
}

/// A whole body, of which filters see no more at once than of one that is relayed.
struct Pieces(Bytes);

#[async_trait]
impl BodySource for Pieces {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        // Others have their turn between two pieces, which may have cost some work.
        tokio::task::yield_now().await;
        let piece = self.0.split_to(self.0.len().min(PIECE));
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn left(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

fn filter_whole(bytes: Bytes, cx: &mut RequestCx) -> Result<Bytes, Cause> {
    let mut piece = Some(bytes).filter(|bytes| !bytes.is_empty());
    chain::on_response_body(Passing::Body, &mut piece, true, cx)?;
    Ok(piece.unwrap_or_default())
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

/// Whether an answer with that status has a body.
fn has_body(request: &RequestHeader, status: StatusCode) -> bool {
    may_have_body(status) && request.method != Method::HEAD
}

async fn send(
    session: &mut impl Downstream,
    cx: &mut RequestCx,
    mut head: ResponseHeader,
    outgoing: Outgoing,
) -> Result<()> {
    let closes = !is_cheap_to_drain(session.request());
    session.close_if_unread(closes);
    if is_leaving(session) {
        session.close_after();
    }
    recording::tell_client(&mut head, cx);
    let Outgoing { body, is_filtered } = outgoing;
    // Filters may make something of nothing.
    let is_empty = body.length() == Some(0) && !is_filtered;
    let has_body = has_body(session.request(), head.status);
    if has_body && !is_empty {
        frame(session, &mut head)?;
    }
    let has_body = has_body && !is_empty;
    session.write_head(head, !has_body).await?;
    match body {
        _ if !has_body => Ok(()),
        Body::Whole(bytes) => session.write_piece(Some(bytes), true).await,
        Body::Stream(source) => send_pieces(session, cx, source, is_filtered).await,
    }
}

/// Tells the end of a body of which nobody knows the length: by chunks, or to HTTP/1.0 by the end of the connection
/// (RFC 9112 §6.3). Frames of HTTP/2 tell it themselves.
fn frame(session: &mut impl Downstream, head: &mut ResponseHeader) -> Result<()> {
    if head.headers.contains_key(CONTENT_LENGTH) {
        return Ok(());
    }
    match session.request().version {
        Version::HTTP_11 => head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        Version::HTTP_10 => {
            session.close_after();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Sends a body as it is made, or as filters make it, no faster than the client takes it.
async fn send_pieces(
    session: &mut impl Downstream,
    cx: &mut RequestCx,
    mut source: Box<dyn BodySource>,
    is_filtered: bool,
) -> Result<()> {
    loop {
        let until = cx.due().filter(|_| !cx.is_stored_answer());
        let mut piece = next_piece(session, until, &mut *source).await.map_err(|cause| cx.fail(cause))?;
        let end = piece.is_none() || source.left() == Some(0);
        if is_filtered {
            chain::on_response_body(Passing::Body, &mut piece, end, cx).map_err(|cause| cx.fail(cause))?;
        }
        let pause = if is_filtered { pause::take(cx) } else { None };
        if let (Some(pause), Some(piece)) = (pause, &piece) {
            session.hold(pause.hold, piece.len());
        }
        let written = session.write_piece(piece, end);
        match until.map(|until| until + pause.map_or(Duration::ZERO, |pause| pause.added)) {
            Some(until) => timeout_at(until, written).await.map_err(|_| cx.fail(Cause::TotalTimeout))??,
            None => written.await?,
        }
        if end {
            return Ok(());
        }
    }
}

async fn next_piece(
    session: &impl Downstream,
    until: Option<Instant>,
    source: &mut dyn BodySource,
) -> Result<Option<Bytes>, Cause> {
    // What is always there at once never waits, however long its client takes for it.
    if until.is_some_and(|until| Instant::now() >= until) {
        return Err(Cause::TotalTimeout);
    }
    within(session, until, source.next()).await?.map_err(|error| {
        log::warn!("the body of an answer broke off error={error}");
        Cause::AnswerBroken
    })
}
