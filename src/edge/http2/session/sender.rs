use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};
use parking_lot::Mutex;

use crate::edge::cut::Breakable;

/// The sending half of a stream. Besides the session, the task that serves it has one, to see when the client gives the
/// stream up; both run in one task, so that nobody ever waits for the other.
#[derive(Clone)]
pub(super) struct Sender(Arc<Shared>);

struct Shared {
    half: Mutex<Half>,
    /// Whether an endpoint has been reached.
    has_endpoint: AtomicBool,
    /// Whether the request goes on for as long as its client likes.
    is_lasting: AtomicBool,
    /// Whether nothing is read any more, and nothing written that would wait.
    is_broken_off: AtomicBool,
}

struct Half {
    opening: SendResponse<Bytes>,
    /// Once the final head is sent.
    stream: Option<SendStream<Bytes>>,
    /// Nothing may follow.
    is_whole: bool,
}

impl Breakable for Sender {
    fn is_lasting(&self) -> bool {
        self.0.is_lasting.load(Ordering::Relaxed)
    }

    fn break_off(&self) {
        self.0.is_broken_off.store(true, Ordering::Relaxed);
    }
}

impl Sender {
    pub(super) fn new(opening: SendResponse<Bytes>) -> Self {
        let half = Mutex::new(Half { opening, stream: None, is_whole: false });
        Self(Arc::new(Shared {
            half,
            has_endpoint: AtomicBool::new(false),
            is_lasting: AtomicBool::new(false),
            is_broken_off: AtomicBool::new(false),
        }))
    }

    pub(super) fn send_informational(&self, head: Response<()>) -> Result<(), h2::Error> {
        self.0.half.lock().opening.send_informational(head)
    }

    pub(super) fn send_head(&self, head: Response<()>, end: bool) -> Result<(), h2::Error> {
        let mut half = self.0.half.lock();
        half.stream = Some(half.opening.send_response(head, end)?);
        half.is_whole = end;
        Ok(())
    }

    pub(super) fn send_data(&self, piece: Bytes, end: bool) -> Result<(), h2::Error> {
        let half = &mut *self.0.half.lock();
        half.is_whole |= end;
        half.stream.as_mut().map_or(Ok(()), |stream| stream.send_data(piece, end))
    }

    pub(super) fn send_trailers(&self, trailers: HeaderMap) -> Result<(), h2::Error> {
        let half = &mut *self.0.half.lock();
        half.is_whole = true;
        half.stream.as_mut().map_or(Ok(()), |stream| stream.send_trailers(trailers))
    }

    pub(super) fn send_reset(&self, reason: Reason) {
        self.0.half.lock().opening.send_reset(reason);
    }

    /// Asks for room for so many bytes.
    pub(super) fn reserve(&self, size: usize) {
        if let Some(stream) = &mut self.0.half.lock().stream {
            stream.reserve_capacity(size);
        }
    }

    /// For how many bytes there is room; `None` once the stream has ended.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Option<Result<usize, h2::Error>>> {
        match &mut self.0.half.lock().stream {
            Some(stream) => stream.poll_capacity(cx),
            None => Poll::Ready(None),
        }
    }

    /// Resolves once the client has reset the stream, or the connection has ended.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        let half = &mut *self.0.half.lock();
        match &mut half.stream {
            Some(stream) => stream.poll_reset(cx),
            None => half.opening.poll_reset(cx),
        }
    }

    /// From here on nothing waits but for the client and for an endpoint.
    pub(super) fn note_endpoint(&self) {
        self.0.has_endpoint.store(true, Ordering::Relaxed);
    }

    pub(super) fn mark_lasting(&self) {
        self.0.is_lasting.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.0.is_broken_off.load(Ordering::Relaxed)
    }

    /// Resolves once nothing that an endpoint, which has been reached, does with the request can matter any more: its
    /// answer is whole, or the client has given it up.
    pub(super) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.0.has_endpoint.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if self.0.half.lock().is_whole { Poll::Ready(()) } else { self.poll_reset(cx).map(drop) }
    }
}
