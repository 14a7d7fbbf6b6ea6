use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, acceptfrom_with};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsStream;

use crate::types::EndpointAddr;

use super::Socket;

/// A listening socket of either family.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    pub(crate) async fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Transport::Tcp(stream), Some(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Transport::Unix(stream), None))
            }
        }
    }
}

impl Acceptor {
    /// The next of the connections that have come and were not accepted yet, without waiting for any; `None` when there
    /// is no more. Also those that the runtime has not noticed.
    pub(crate) fn accept_waiting(&self) -> io::Result<Option<(Transport, Option<SocketAddr>)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accepted = match self {
            Self::Tcp(listener) => acceptfrom_with(listener, flags).map(|(fd, peer)| {
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                (TcpStream::from_std(fd.into()).map(Transport::Tcp), peer)
            }),
            Self::Unix(listener) => acceptfrom_with(listener, flags)
                .map(|(fd, _)| (UnixStream::from_std(fd.into()).map(Transport::Unix), None)),
        };
        match accepted {
            Ok((transport, peer)) => Ok(Some((transport?, peer))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the bytes of a client or an endpoint come through.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// TLS that ends or begins here, over one of the others.
    Tls(Box<TlsStream<Self>>),
}

impl Transport {
    /// Connects to an endpoint. Small writes leave at once.
    pub(crate) async fn connect(address: &EndpointAddr) -> io::Result<Self> {
        match address {
            EndpointAddr::Inet(inet) => {
                let stream = TcpStream::connect(inet).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            EndpointAddr::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    /// Waits for bytes and shows them, but leaves them where they are; their number, zero at the end of the connection.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.peek(bytes).await,
            Self::Unix(stream) => {
                let peek = || Ok(rustix::net::recv(stream, &mut *bytes, RecvFlags::PEEK)?.1);
                stream.async_io(Interest::READABLE, peek).await
            }
            // What there is to see before TLS has been seen.
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The own address, which is what a client connected to; `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
            Self::Tls(stream) => stream.get_ref().0.local_addr(),
        }
    }
}

impl Transport {
    /// Closes the connection so that its peer learns that it was broken off. Unix sockets know no such end; theirs looks
    /// like any other.
    pub(crate) fn reset(self) {
        if let Socket::Tcp(stream) = self.socket() {
            // Fails only where the connection is gone already.
            let _ = stream.set_zero_linger();
        }
    }

    /// The socket at the bottom.
    pub(crate) fn socket(&self) -> Socket<'_> {
        match self {
            Self::Tcp(stream) => Socket::Tcp(stream),
            Self::Unix(stream) => Socket::Unix(stream),
            Self::Tls(stream) => stream.get_ref().0.socket(),
        }
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_raw_fd(),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
