use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::net::{Socket, Transport};

use super::pipes::{Lent, Pipes};

/// One way of a relay.
#[derive(Default)]
pub(super) struct Direction {
    /// Bytes taken from the source.
    taken: u64,
    /// Taken, and not yet taken by the destination.
    kept: Bytes,
    /// While bytes pass through it.
    pipe: Option<Lent>,
    pace: Pace,
    /// The source has said all.
    ended: bool,
    /// The destination may hold back what it was given, as TLS does.
    unflushed: bool,
    /// The destination was told that this was all.
    told: bool,
}

/// What the stream is like at this time, which decides how it is moved.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Messages, which are copied; so many reads in a row brought as much as there was room for.
    Messages { full: u8 },
    /// More than that; moved by the kernel. So much came since the source was last dry.
    Bulk { burst: usize },
    /// Copied whatever it is like, since the kernel cannot move it or no pipe was to be had.
    Copied,
}

impl Default for Pace {
    fn default() -> Self {
        Self::Messages { full: 0 }
    }
}

/// Whose connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Source,
    Destination,
}

impl Fault {
    pub(super) fn by<T>(self, source: T, destination: T) -> T {
        match self {
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}

impl Direction {
    /// Delivers `bytes` first.
    pub(super) fn with_replay(bytes: Vec<u8>) -> Self {
        Self { taken: bytes.len() as u64, kept: bytes.into(), unflushed: true, ..Self::default() }
    }

    /// Bytes that the destination was given.
    pub(super) fn delivered(&self) -> u64 {
        self.taken - self.held() as u64
    }

    /// Bytes taken that the destination was not given.
    pub(super) fn held(&self) -> usize {
        self.kept.len() + self.pipe.as_ref().map_or(0, Lent::filled)
    }

    /// Whether bytes are under way.
    pub(super) fn holds(&self) -> bool {
        self.held() > 0 || self.unflushed
    }

    pub(super) fn has_begun(&self) -> bool {
        self.taken > 0
    }

    /// Whether the source has said all.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the destination was given all of it, too.
    pub(super) fn is_over(&self) -> bool {
        self.ended && !self.holds()
    }

    /// Moves what can be moved now, but no more than one turn's share.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Transport,
        to: &mut Transport,
        pipes: &Arc<Pipes>,
    ) -> Result<(), Fault> {
        match self.poll_move(cx, from, to, pipes) {
            Poll::Ready(Err(fault)) => Err(fault),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Once all is delivered, tells the destination that this was all.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut Transport) -> Poll<io::Result<()>> {
        if self.is_over() && !self.told {
            ready!(Pin::new(to).poll_shutdown(cx))?;
            self.told = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Transport,
        to: &mut Transport,
        pipes: &Arc<Pipes>,
    ) -> Poll<Result<(), Fault>> {
        let share = self.taken + TURN;
        loop {
            ready!(self.poll_deliver(cx, to)).map_err(|_| Fault::Destination)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.taken >= share {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match (&self.pace, Socket::plain(from), Socket::plain(to)) {
                (Pace::Bulk { .. }, Some(from), Some(_)) => {
                    ready!(self.poll_fill(cx, from, pipes)).map_err(|_| Fault::Source)?;
                }
                _ => ready!(self.poll_copy(cx, from, to))?,
            }
        }
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, to: &mut Transport) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.kept))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                all if all == self.kept.len() => self.kept = Bytes::new(),
                part => self.kept.advance(part),
            }
        }
        if let (Some(pipe), Some(to)) = (&mut self.pipe, Socket::plain(to)) {
            ready!(poll_drain(cx, pipe, to))?;
        }
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Moves a message through memory that is needed for that long only. Not inlined, so that nothing else pays for
    /// so much of the stack.
    #[inline(never)]
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Transport,
        to: &mut Transport,
    ) -> Poll<Result<(), Fault>> {
        let mut scratch = [MaybeUninit::uninit(); SCRATCH];
        let mut scratch = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(from).poll_read(cx, &mut scratch)).map_err(|_| Fault::Source)?;
        let bytes = scratch.filled();
        if bytes.is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        self.taken += bytes.len() as u64;
        self.pace.copied(bytes.len());
        let written = match Pin::new(&mut *to).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Destination)),
            Poll::Pending => 0,
        };
        if written < bytes.len() {
            self.kept = Bytes::copy_from_slice(&bytes[written..]);
        }
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// Moves what the source has received into a pipe, for [`Self::poll_deliver`] to move on.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: Socket<'_>,
        pipes: &Arc<Pipes>,
    ) -> Poll<io::Result<()>> {
        ready!(from.poll_read_ready(cx))?;
        let Some(pipe) = self.pipe.take().or_else(|| pipes.lend()) else {
            self.pace = Pace::Copied;
            return Poll::Ready(Ok(()));
        };
        let pipe = self.pipe.insert(pipe);
        match from.try_io(Interest::READABLE, || pipe.fill(from)) {
            // A splice also stops for good where urgent data stands before an end of stream; a read does not.
            Ok(0) => {
                self.pipe = None;
                self.pace = Pace::default();
            }
            Ok(moved) => {
                self.taken += moved as u64;
                self.pace.moved(moved);
            }
            Err(error) => {
                self.pipe = None;
                self.pace = self.pace.after(error)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Pace {
    fn copied(&mut self, bytes: usize) {
        *self = match *self {
            Self::Messages { full } if bytes == SCRATCH && full + 1 == FULL_READS => Self::Bulk { burst: 0 },
            Self::Messages { full } if bytes == SCRATCH => Self::Messages { full: full + 1 },
            Self::Messages { .. } => Self::Messages { full: 0 },
            other => other,
        };
    }

    fn moved(&mut self, bytes: usize) {
        if let Self::Bulk { burst } = self {
            *burst += bytes;
        }
    }

    /// What it is after nothing could be moved into a pipe.
    fn after(self, error: io::Error) -> io::Result<Self> {
        match error.kind() {
            io::ErrorKind::WouldBlock => Ok(match self {
                Self::Bulk { burst } if burst >= SMALL_BURST => Self::Bulk { burst: 0 },
                Self::Bulk { .. } => Self::Messages { full: 0 },
                other => other,
            }),
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {
                Ok(Self::Copied)
            }
            _ => Err(error),
        }
    }
}

fn poll_drain(cx: &mut Context<'_>, pipe: &mut Lent, to: Socket<'_>) -> Poll<io::Result<()>> {
    while pipe.filled() > 0 {
        ready!(to.poll_write_ready(cx))?;
        // What moved a part may have been interrupted, as by a stop of the process: only a call that moves nothing tells
        // that there is no room.
        let drained = to.try_io(Interest::WRITABLE, || pipe.drain(to));
        match drained {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
            _ => {}
        }
    }
    Poll::Ready(Ok(()))
}

const SCRATCH: usize = 32 * 1024;

/// So many reads in a row that fill the scratch are bulk.
const FULL_READS: u8 = 2;

/// A source that is dry after less is no longer bulk.
const SMALL_BURST: usize = 64 * 1024;

/// What one direction may move before others have their turn.
const TURN: u64 = 1024 * 1024;
