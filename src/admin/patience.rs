use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep};

use crate::runtime::Waiting;

/// The way to a peer that has so long to take something, whenever there is something to be taken. Without that one that
/// reads nothing would keep its place for as long as it likes.
#[derive(Debug)]
pub(super) struct Patient<T> {
    inner: T,
    limit: Duration,
    /// Runs while the peer takes nothing.
    late: Option<Pin<Box<Sleep>>>,
    waiting: Arc<Waiting>,
}

impl<T> Patient<T> {
    pub(super) fn new(inner: T, limit: Duration, waiting: Arc<Waiting>) -> Self {
        Self { inner, limit, late: None, waiting }
    }

    /// What came of a write, unless nothing has for too long.
    fn bounded<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            if self.late.take().is_some() {
                self.waiting.note_taken();
            }
            return written;
        }
        let late = self.late.get_or_insert_with(|| {
            self.waiting.note_not_taken(Instant::now());
            Box::pin(sleep(self.limit))
        });
        ready!(late.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.bounded(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.bounded(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.bounded(cx, closed)
    }
}
