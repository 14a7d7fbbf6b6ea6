//! Requests that need no endpoint, answered before Pingora sees them.
//!
//! What the edge answers itself, a stored answer above all, needs little of what Pingora does for a request that it
//! proxies, which is most of its price. So plain requests for routes that may answer by themselves are admitted here, by the
//! same code and the same filters, and answered on the connection. One that turns out to need an endpoint is handed on to
//! Pingora as it was admitted.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, DATE, EXPECT, UPGRADE};
use http::{HeaderMap, HeaderValue};
use memchr::memchr;
use pingora_core::protocols::http::date::get_cached_date;
use pingora_core::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::hooks::EarlyBody;
use crate::runtime::{Cause, Connection};

use super::admit::{self, content_length};
use super::cx::RequestCx;
use super::downstream::Downstream;
use super::failure::cause_of;
use super::{Gateway, cache, record, reply, serve, split};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is answered, and another may follow on its connection.
    KeepsOn,
    /// It is answered, or cannot be, and its connection ends.
    Ends,
    /// It is for Pingora.
    No,
}

/// A request that was admitted and is for Pingora.
pub(super) struct Parked {
    request: RequestHeader,
    cx: Box<RequestCx>,
}

/// The client of a request of HTTP/1.1 without a body.
struct Direct<'a, S> {
    request: RequestHeader,
    connection: &'a Arc<Connection>,
    stream: &'a mut S,
    written: Option<ResponseHeader>,
    left: Left,
    sent: u64,
    keeps_on: bool,
}

/// What is to come of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks, and the one that ends them.
    Chunks,
}

impl Gateway {
    /// Whether it is worth while to look at a request, of which this is the sound head and which has no body: its path is one
    /// that may be answered at the edge.
    pub(super) fn may_answer(&self, head: &[u8]) -> bool {
        let Some(target) = head.strip_prefix(b"GET ").or_else(|| head.strip_prefix(b"HEAD ")) else {
            return false;
        };
        self.live.snapshot().edge_paths.may_have(target)
    }

    /// Answers a request, of which this is the sound head and which has no body, if that needs no endpoint.
    pub(super) async fn answer<S>(
        &self,
        head: Bytes,
        connection: &Arc<Connection>,
        stream: &mut S,
        keeps_on: bool,
    ) -> Answered
    where
        S: AsyncWrite + Unpin + Send + Sync,
    {
        let Some(request) = parse(&head) else { return Answered::No };
        let Some(options) = Options::of(&request.headers) else { return Answered::No };
        let keeps_on = keeps_on && options != Options::Close;
        let mut cx = Box::new(RequestCx::new(self.live.snapshot()));
        let (written, left) = (None, Left::Nothing);
        let mut client = Direct { request, connection, stream, written, left, sent: 0, keeps_on };
        match go(&mut client, &mut cx).await {
            Ok(true) => {}
            Ok(false) => {
                cx.is_admitted = true;
                connection.park(Box::new(Parked { request: client.request, cx }));
                return Answered::No;
            }
            Err(error) => fail(&mut client, &error, &mut cx).await,
        }
        let is_whole = client.left == Left::Nothing;
        record::finish(&client, &mut cx, &self.log);
        if client.keeps_on && is_whole { Answered::KeepsOn } else { Answered::Ends }
    }
}

impl Parked {
    /// Has Pingora's session go on where the edge has left off.
    pub(super) fn resume(self, request: &mut RequestHeader, cx: &mut Box<RequestCx>) {
        *request = self.request;
        *cx = self.cx;
    }
}

/// Answers a request; false where an endpoint is to.
async fn go<S>(client: &mut Direct<'_, S>, cx: &mut RequestCx) -> Result<bool>
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    let flow = admit::admit(client, cx).await.map_err(|cause| cx.fail(cause))?;
    if reply::follow(client, cx, flow).await? {
        return Ok(true);
    }
    match cache::stored(client, cx) {
        Some((mut head, body)) => {
            split::bind_client(&mut head, cx).ok_or_else(|| cx.fail(Cause::Internal))?;
            serve::write_parts(client, cx, head, body).await.map(|()| true)
        }
        None => Ok(false),
    }
}

async fn fail<S>(client: &mut Direct<'_, S>, error: &Error, cx: &mut RequestCx)
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    let cause = cx.cause.get_or_insert_with(|| cause_of(error)).clone();
    let is_broken_off = client.written.is_some() || cause == Cause::ClientGone;
    if is_broken_off || cause.breaks_http() {
        client.keeps_on = false;
    }
    if !is_broken_off && reply::tell(client, cx, &cause).await.is_err() {
        client.keeps_on = false;
    }
}

// === The request ===

/// What a client says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Options {
    KeepAlive,
    Close,
}

impl Options {
    /// `None` for requests that want more of their connection than to be answered on it.
    fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(UPGRADE) || headers.contains_key(EXPECT) {
            return None;
        }
        let mut fields = headers.get_all(CONNECTION).iter();
        let Some(field) = fields.next() else { return Some(Self::KeepAlive) };
        match field.as_bytes() {
            _ if fields.next().is_some() => None,
            option if option.eq_ignore_ascii_case(b"keep-alive") => Some(Self::KeepAlive),
            option if option.eq_ignore_ascii_case(b"close") => Some(Self::Close),
            _ => None,
        }
    }
}

/// The header of a request for a path, as Pingora would make it of these bytes; `None` for what it is better asked about.
/// The edge has checked each line.
fn parse(head: &Bytes) -> Option<RequestHeader> {
    /// Few requests have more fields.
    const FIELDS: usize = 16;

    let (line, mut rest) = split_line(head)?;
    let method_end = memchr(b' ', line)?;
    let target = line[method_end + 1..].strip_suffix(b" HTTP/1.1")?;
    if !target.starts_with(b"/") {
        return None;
    }
    let mut request = RequestHeader::build(&line[..method_end], target, Some(FIELDS)).ok()?;
    loop {
        let (line, after) = split_line(rest)?;
        if line.is_empty() {
            return Some(request);
        }
        let colon = memchr(b':', line)?;
        let value = head.slice_ref(line[colon + 1..].trim_ascii());
        let value = HeaderValue::from_maybe_shared(value).ok()?;
        request.append_header(head.slice_ref(&line[..colon]), value).ok()?;
        rest = after;
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    Some((bytes[..end].strip_suffix(b"\r")?, &bytes[end + 1..]))
}

// === The answer ===

impl<S> Downstream for Direct<'_, S>
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    fn request(&self) -> &RequestHeader {
        &self.request
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    fn connection(&self) -> Option<&Arc<Connection>> {
        Some(self.connection)
    }

    fn written(&self) -> Option<&ResponseHeader> {
        self.written.as_ref()
    }

    fn bytes_read(&self) -> u64 {
        0
    }

    async fn read_early(&mut self, _: usize) -> Result<EarlyBody, Cause> {
        Ok(EarlyBody { bytes: Bytes::new(), is_whole: true })
    }

    fn bytes_sent(&self) -> u64 {
        self.sent
    }

    fn close_after(&mut self) {
        self.keeps_on = false;
    }

    fn close_if_unread(&mut self, _: bool) {}

    async fn write_head(&mut self, mut head: ResponseHeader, is_all: bool) -> Result<()> {
        head.remove_header(&DATE);
        head.remove_header(&CONNECTION);
        self.left = match content_length(&head.headers) {
            _ if is_all => Left::Nothing,
            Some(length) => Left::Length(length),
            None => Left::Chunks,
        };
        let text = text_of(&head, self.keeps_on);
        self.written = Some(head);
        self.send(&text).await?;
        if is_all { self.flush().await } else { Ok(()) }
    }

    async fn write_piece(&mut self, piece: Option<Bytes>, end: bool) -> Result<()> {
        let piece = piece.unwrap_or_default();
        match self.left {
            Left::Nothing => return Ok(()),
            Left::Length(left) => {
                let left = left.checked_sub(piece.len() as u64).ok_or_else(|| wrong_length("more"))?;
                self.send(&piece).await?;
                self.left = if left == 0 { Left::Nothing } else { Left::Length(left) };
                if end && left > 0 {
                    return Err(wrong_length("less"));
                }
            }
            Left::Chunks => self.send_chunk(&piece, end).await?,
        }
        self.sent += piece.len() as u64;
        // Nobody knows when the next piece of an answer without a length comes.
        if end || self.left == Left::Chunks { self.flush().await } else { Ok(()) }
    }
}

impl<S> Direct<'_, S>
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.stream.write_all(bytes).await;
        sent.or_err(ErrorType::WriteError, "writing an answer").map_err(Error::into_down)
    }

    async fn flush(&mut self) -> Result<()> {
        let flushed = self.stream.flush().await;
        flushed.or_err(ErrorType::WriteError, "writing an answer").map_err(Error::into_down)
    }

    async fn send_chunk(&mut self, piece: &[u8], end: bool) -> Result<()> {
        if !piece.is_empty() {
            let size = format!("{:x}\r\n", piece.len());
            self.send(size.as_bytes()).await?;
            self.send(piece).await?;
            self.send(b"\r\n").await?;
        }
        if end {
            self.send(b"0\r\n\r\n").await?;
            self.left = Left::Nothing;
        }
        Ok(())
    }
}

/// A head in the lines of HTTP/1.1.
fn text_of(head: &ResponseHeader, keeps_on: bool) -> BytesMut {
    const USUAL: usize = 512;

    let mut text = BytesMut::with_capacity(USUAL);
    text.put_slice(b"HTTP/1.1 ");
    text.put_slice(head.status.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    text.put_slice(b"\r\n");
    head.header_to_h1_wire(&mut text);
    // These two cost less here than in the map.
    text.put_slice(b"Date: ");
    text.put_slice(get_cached_date().as_bytes());
    text.put_slice(if keeps_on {
        b"\r\nConnection: keep-alive\r\n\r\n"
    } else {
        b"\r\nConnection: close\r\n\r\n"
    });
    text
}

fn wrong_length(what: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, format!("a body of {what} bytes than its head tells"))
}

#[cfg(test)]
mod tests;
