use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, DATE};
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_core::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::hooks::EarlyBody;
use crate::runtime::{Cause, Connection, Hold};
use crate::types::{content_length, put_head};

use super::super::downstream::{Downstream, is_leaving};
use super::super::stored::Hit;

/// The client of a request of HTTP/1.1 without a body.
pub(super) struct Direct<'a, S> {
    pub(super) request: RequestHeader,
    connection: &'a Arc<Connection>,
    stream: &'a mut S,
    /// The status of the head that was written.
    written: Option<StatusCode>,
    /// That head, for the access log.
    pub(super) head: Option<ResponseHeader>,
    left: Left,
    sent: u64,
    /// Whether another request may follow.
    pub(super) keeps_on: bool,
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

/// Most heads are shorter.
const USUAL: usize = 512;

impl<'a, S> Direct<'a, S> {
    pub(super) fn new(
        request: RequestHeader,
        connection: &'a Arc<Connection>,
        stream: &'a mut S,
        keeps_on: bool,
    ) -> Self {
        Self {
            request,
            connection,
            stream,
            written: None,
            head: None,
            left: Left::Nothing,
            sent: 0,
            keeps_on,
        }
    }

    /// Whether an answer has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.written.is_some()
    }

    /// Whether no more is to come of the answer.
    pub(super) fn is_whole(&self) -> bool {
        self.left == Left::Nothing
    }

    /// Adds the fields that every head ends with. They cost less here than in a map.
    fn end_head(&self, lines: &mut Vec<u8>) {
        lines.extend_from_slice(b"Date: ");
        lines.extend_from_slice(get_cached_date().as_bytes());
        lines.extend_from_slice(if self.keeps_on {
            b"\r\nConnection: keep-alive\r\n\r\n"
        } else {
            b"\r\nConnection: close\r\n\r\n"
        });
    }
}

impl<S> Direct<'_, S>
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    /// Sends a stored answer of which these lines are the head, but for what each client is told anew.
    pub(super) async fn send_stored(&mut self, lines: &[u8], hit: &Hit) -> Result<()> {
        if is_leaving(self) {
            self.close_after();
        }
        let mut head = Vec::with_capacity(USUAL.max(lines.len() + USUAL / 2));
        head.extend_from_slice(lines);
        hit.tell(&mut head);
        self.end_head(&mut head);
        self.written = Some(hit.status());
        self.left = if hit.length() == 0 { Left::Nothing } else { Left::Length(hit.length()) };
        self.send(&head).await?;
        for piece in hit.pieces() {
            self.send_piece(piece, false).await?;
        }
        self.flush().await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.stream.write_all(bytes).await;
        sent.or_err(ErrorType::WriteError, "writing an answer").map_err(Error::into_down)
    }

    async fn flush(&mut self) -> Result<()> {
        let flushed = self.stream.flush().await;
        flushed.or_err(ErrorType::WriteError, "writing an answer").map_err(Error::into_down)
    }

    /// Sends a piece of a body, and what ends it.
    async fn send_piece(&mut self, piece: &[u8], end: bool) -> Result<()> {
        match self.left {
            Left::Nothing => return Ok(()),
            Left::Length(left) => {
                let left = left.checked_sub(piece.len() as u64).ok_or_else(|| wrong_length("more"))?;
                self.send(piece).await?;
                self.left = if left == 0 { Left::Nothing } else { Left::Length(left) };
                if end && left > 0 {
                    return Err(wrong_length("less"));
                }
            }
            Left::Chunks => self.send_chunk(piece, end).await?,
        }
        self.sent += piece.len() as u64;
        Ok(())
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

    fn written(&self) -> Option<StatusCode> {
        self.written
    }

    fn written_fields(&self) -> Option<&HeaderMap> {
        self.head.as_ref().map(|head| &head.headers)
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

    fn hold(&mut self, hold: Hold, size: usize) {
        self.connection.pacing().hold(hold, size);
    }

    async fn write_head(&mut self, mut head: ResponseHeader, is_all: bool) -> Result<()> {
        head.remove_header(&DATE);
        head.remove_header(&CONNECTION);
        self.left = match content_length(&head.headers) {
            _ if is_all => Left::Nothing,
            Some(length) => Left::Length(length),
            None => Left::Chunks,
        };
        let mut lines = Vec::with_capacity(USUAL);
        put_head(&head, &mut lines);
        self.end_head(&mut lines);
        self.written = Some(head.status);
        self.head = Some(head);
        self.send(&lines).await?;
        if is_all { self.flush().await } else { Ok(()) }
    }

    async fn write_piece(&mut self, piece: Option<Bytes>, end: bool) -> Result<()> {
        if self.left == Left::Nothing {
            return Ok(());
        }
        // Nobody knows when the next piece of an answer without a length comes.
        let is_due = end || self.left == Left::Chunks;
        self.send_piece(&piece.unwrap_or_default(), end).await?;
        if is_due { self.flush().await } else { Ok(()) }
    }
}

fn wrong_length(what: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, format!("a body of {what} bytes than its head tells"))
}
