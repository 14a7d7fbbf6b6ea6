use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::Transport;

/// A transport's socket.
#[derive(Clone, Copy)]
pub(crate) enum Socket<'a> {
    Tcp(&'a TcpStream),
    Unix(&'a UnixStream),
}

impl<'a> Socket<'a> {
    /// The socket of a transport that adds nothing to it; the kernel may then move its bytes by itself.
    pub(crate) fn plain(transport: &'a Transport) -> Option<Self> {
        match transport {
            Transport::Tcp(stream) => Some(Self::Tcp(stream)),
            Transport::Unix(stream) => Some(Self::Unix(stream)),
            Transport::Tls(_) => None,
        }
    }

    pub(crate) fn poll_read_ready(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Does what the socket is ready for; where that would block, the socket counts as not ready from then on.
    pub(crate) fn try_io<T>(self, interest: Interest, io: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, io),
            Self::Unix(stream) => stream.try_io(interest, io),
        }
    }
}

impl Socket<'_> {
    /// Resolves when the peer breaks the connection off. That it has nothing more to say is not that.
    pub(crate) async fn broken(self) {
        let broken = match self {
            Self::Tcp(stream) => stream.ready(Interest::ERROR).await,
            Self::Unix(stream) => stream.ready(Interest::ERROR).await,
        };
        // An error of the wait itself is that of a connection that is gone.
        drop(broken);
    }

    /// Whether the peer has broken the connection off, and nobody was told yet.
    pub(crate) fn is_broken(self) -> bool {
        let error = match self {
            Self::Tcp(stream) => stream.take_error(),
            Self::Unix(stream) => stream.take_error(),
        };
        !matches!(error, Ok(None))
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
