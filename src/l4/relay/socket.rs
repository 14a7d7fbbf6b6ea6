use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};

use crate::net::Transport;

/// A transport's socket.
#[derive(Clone, Copy)]
pub(super) enum Socket<'a> {
    Tcp(&'a TcpStream),
    Unix(&'a UnixStream),
}

impl<'a> Socket<'a> {
    /// The socket of a transport that adds nothing to it; the kernel may then move its bytes by itself.
    pub(super) fn plain(transport: &'a Transport) -> Option<Self> {
        match transport {
            Transport::Tcp(stream) => Some(Self::Tcp(stream)),
            Transport::Unix(stream) => Some(Self::Unix(stream)),
            Transport::Tls(_) => None,
        }
    }

    pub(super) fn poll_read_ready(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_write_ready(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Does what the socket is ready for; where that would block, the socket counts as not ready from then on.
    pub(super) fn try_io<T>(self, interest: Interest, io: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, io),
            Self::Unix(stream) => stream.try_io(interest, io),
        }
    }
}

impl AsFd for Socket<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Closes a connection with a clean end; TLS says so as far as that is possible without waiting.
pub(super) fn close(mut transport: Transport) {
    if Socket::plain(&transport).is_none() {
        let _ = Pin::new(&mut transport).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
    drop(transport);
}
