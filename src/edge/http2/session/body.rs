use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use pingora_core::protocols::http::body_buffer::FixedBuffer;
use pingora_http::RequestHeader;

/// So much of a body is kept, so that it can be sent again.
const KEPT: usize = 64 * 1024;

/// What comes from the client on a stream. Its window opens again only as pieces are taken.
pub(super) struct Body {
    /// Until the client has ended it.
    stream: Option<RecvStream>,
    /// The request says that its body is empty, whether or not its stream has ended.
    is_none: bool,
    read: usize,
    kept: Option<FixedBuffer>,
}

impl Body {
    pub(super) fn new(stream: RecvStream, request: &RequestHeader) -> Self {
        let is_none = stream.is_end_stream()
            || request.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
        Self { stream: Some(stream), is_none, read: 0, kept: None }
    }

    /// The next piece; `None` at the end. Trailers are not handed on, as endpoints of HTTP/1 could not have them.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, h2::Error>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(None)) };
        let Some(piece) = ready!(stream.poll_data(cx)).transpose()? else {
            ready!(stream.poll_trailers(cx))?;
            self.stream = None;
            return Poll::Ready(Ok(None));
        };
        stream.flow_control().release_capacity(piece.len())?;
        self.read += piece.len();
        if let Some(kept) = &mut self.kept {
            kept.write_to_buffer(&piece);
        }
        Poll::Ready(Ok(Some(piece)))
    }

    /// Whether no piece follows.
    pub(super) fn is_done(&self) -> bool {
        self.is_none || self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read == 0 && self.is_done()
    }

    pub(super) fn read(&self) -> usize {
        self.read
    }

    /// Keeps what is read from here on.
    pub(super) fn keep(&mut self) {
        self.kept.get_or_insert_with(|| FixedBuffer::new(KEPT));
    }

    /// Whether more was read than is kept.
    pub(super) fn is_beyond_keeping(&self) -> bool {
        self.kept.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    pub(super) fn kept(&self) -> Option<Bytes> {
        self.kept.as_ref().filter(|kept| !kept.is_truncated()).and_then(FixedBuffer::get_buffer)
    }

    /// What the client has not ended yet.
    pub(super) fn take(&mut self) -> Option<RecvStream> {
        self.stream.take().filter(|stream| !stream.is_end_stream())
    }
}
