use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::meter::{Abuse, Meter};

/// Sees every byte of an HTTP/2 connection on its way between the stream and the h2 crate, and stops reading once the
/// client has sent too much.
pub(in crate::edge) struct Guard {
    meter: Meter,
    /// From the first byte of a header block to its last.
    header_timeout: Duration,
    overdue: Option<Pin<Box<Sleep>>>,
    verdict: Arc<Verdict>,
}

/// What the guard has found.
///
/// Whoever waits for it is the task that drives the connection, and so the one within whose turn the guard reads. That
/// is why waiting registers no waker: the guard wakes the task that it runs in.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    abuse: OnceLock<Abuse>,
    is_worn: AtomicBool,
}

impl Verdict {
    /// Resolves once the client has done too much of something.
    pub(super) async fn abused(&self) -> Abuse {
        poll_fn(|_| self.abuse.get().map_or(Poll::Pending, |abuse| Poll::Ready(*abuse))).await
    }

    /// Resolves once the connection had better be replaced.
    pub(super) async fn worn(&self) {
        let poll = |is_worn| if is_worn { Poll::Ready(()) } else { Poll::Pending };
        poll_fn(|_| poll(self.is_worn.load(Ordering::Acquire))).await;
    }
}

impl Guard {
    pub(super) fn new(meter: Meter, header_timeout: Duration) -> (Self, Arc<Verdict>) {
        let verdict = Arc::new(Verdict::default());
        (Self { meter, header_timeout, overdue: None, verdict: verdict.clone() }, verdict)
    }

    /// Whether nothing more may be read.
    pub(in crate::edge) fn is_shut(&self) -> bool {
        self.verdict.abuse.get().is_some()
    }

    /// Looks at what a read has put into `buf` after the first `before` bytes. Nothing of a read that goes too far is
    /// handed on, and the read then stays pending, so that the connection can still say why it ends.
    pub(in crate::edge) fn on_read(
        &mut self,
        cx: &mut Context<'_>,
        read: Poll<io::Result<()>>,
        buf: &mut ReadBuf<'_>,
        before: usize,
    ) -> Poll<io::Result<()>> {
        let judged = match read {
            Poll::Ready(Ok(())) => self.meter.received(&buf.filled()[before..], Instant::now()),
            Poll::Pending if self.is_overdue(cx) => Err(Abuse::SlowHeader),
            _ => Ok(()),
        };
        if let Err(abuse) = judged {
            // The first one counts.
            let _ = self.verdict.abuse.set(abuse);
            buf.set_filled(before);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.meter.is_worn() && !self.verdict.is_worn.swap(true, Ordering::AcqRel) {
            cx.waker().wake_by_ref();
        }
        read
    }

    /// Looks at what was taken to be sent.
    pub(in crate::edge) fn on_write(&mut self, bytes: &[u8]) {
        self.meter.sent(bytes);
    }

    /// Whether a header block has been coming for too long; asked when there is nothing more to read.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(began) = self.meter.block_began() else {
            self.overdue = None;
            return false;
        };
        let due = began + self.header_timeout;
        let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if overdue.deadline() != due {
            overdue.as_mut().reset(due);
        }
        overdue.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::task::noop_waker_ref;

    use super::super::frames::kind;
    use super::super::samples::{Sample, bytes_of};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn guard() -> (Guard, Arc<Verdict>) {
        Guard::new(Meter::new(0, 10, 1024, Instant::now()), TIMEOUT)
    }

    /// Has the guard look at a read of these bytes; how many it hands on, if it hands on any.
    fn read(guard: &mut Guard, bytes: &[u8]) -> Poll<usize> {
        let mut memory = vec![0; bytes.len() + 10];
        let mut buf = ReadBuf::new(&mut memory);
        buf.put_slice(b"before");
        let before = buf.filled().len();
        buf.put_slice(bytes);
        let read = if bytes.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) };
        let judged = guard.on_read(&mut Context::from_waker(noop_waker_ref()), read, &mut buf, before);
        judged.map(|read| {
            read.unwrap();
            buf.filled().len() - before
        })
    }

    #[tokio::test]
    async fn what_goes_too_far_is_not_handed_on() {
        let (mut guard, verdict) = guard();
        let ping = bytes_of(&[Sample::new(kind::PING, 0, 0, [0; 8])]);
        assert_eq!(read(&mut guard, &ping), Poll::Ready(ping.len()));
        assert!(!guard.is_shut());
        assert_eq!(verdict.abused().now_or_never(), None);
        assert_eq!(read(&mut guard, &ping.repeat(100)), Poll::Pending);
        assert!(guard.is_shut());
        assert_eq!(verdict.abused().await, Abuse::Pings);
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_block_has_its_time() {
        let (mut guard, verdict) = guard();
        let begin = |stream| bytes_of(&[Sample::new(kind::HEADERS, 0, stream, [])]);
        let crumb = |flags, stream| bytes_of(&[Sample::new(kind::CONTINUATION, flags, stream, [])]);
        assert!(read(&mut guard, &begin(1)).is_ready());
        for _ in 0..3 {
            assert!(read(&mut guard, &[]).is_pending());
            tokio::time::advance(TIMEOUT / 4).await;
            assert!(read(&mut guard, &crumb(0, 1)).is_ready());
        }
        assert!(read(&mut guard, &crumb(0x4, 1)).is_ready());
        tokio::time::advance(TIMEOUT).await;
        assert!(read(&mut guard, &[]).is_pending());
        assert!(!guard.is_shut());
        // The next one has a time of its own, however it drips.
        assert!(read(&mut guard, &begin(3)).is_ready());
        assert!(read(&mut guard, &[]).is_pending());
        tokio::time::advance(TIMEOUT / 2).await;
        assert!(read(&mut guard, &crumb(0, 3)).is_ready());
        tokio::time::advance(TIMEOUT / 2).await;
        assert!(read(&mut guard, &[]).is_pending());
        assert_eq!(verdict.abused().now_or_never(), Some(Abuse::SlowHeader));
    }

    #[tokio::test(start_paused = true)]
    async fn many_resets_wear_a_connection_out_and_do_not_shut_it() {
        let (mut guard, verdict) = guard();
        let reset = bytes_of(&[Sample::new(kind::RST_STREAM, 0, 1, [0; 4])]);
        for _ in 0..10_000 {
            assert!(verdict.worn().now_or_never().is_none());
            assert!(read(&mut guard, &reset).is_ready());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        verdict.worn().await;
        assert!(!guard.is_shut());
    }
}
