use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::result::Shared;

/// So much of an answer waits for its client: more is not read from the endpoint.
const SIZE: usize = 64 * 1024;

/// What Pingora takes for a connection.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: DuplexStream,
    shared: Arc<Shared>,
}

/// Gives Pingora its end, once.
#[derive(Debug)]
pub(super) struct ConnectPipe(Mutex<Option<Pipe>>);

/// Both ends of a pipe.
pub(super) fn pipe(shared: Arc<Shared>) -> (ConnectPipe, DuplexStream) {
    let (stream, ours) = duplex(SIZE);
    (ConnectPipe(Mutex::new(Some(Pipe { stream, shared }))), ours)
}

#[async_trait]
impl Connect for ConnectPipe {
    async fn connect(&self, _: &SocketAddr) -> Result<Stream> {
        let pipe = self.0.lock().take();
        let pipe = pipe.ok_or_else(|| Error::explain(ErrorType::InternalError, "the pipe is in use"))?;
        Ok(VirtualSocketStream::new(Box::new(pipe)).into())
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let is_end = buffer.filled().len() == filled && buffer.remaining() > 0;
        // So that it is never taken for the end of a body without a length.
        let is_broken = is_end && self.shared.has_failed();
        Poll::Ready(if is_broken { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl VirtualSocket for Pipe {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pingora_core::Error;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::pools::Unanswered;

    #[tokio::test]
    async fn an_end_is_an_error_only_after_a_failure() {
        for has_failed in [false, true] {
            let shared = Arc::new(Shared::default());
            let (theirs, mut ours) = pipe(shared.clone());
            let address = "127.0.0.1:1".parse::<std::net::SocketAddr>().unwrap();
            let mut stream = theirs.connect(&SocketAddr::Inet(address)).await.unwrap();
            assert!(theirs.connect(&SocketAddr::Inet(address)).await.is_err(), "it is given away once");
            ours.write_all(b"piece").await.unwrap();
            if has_failed {
                shared.fail(Unanswered { error: Error::new(ErrorType::ReadError), is_connect: false });
            }
            drop(ours);
            let mut read = Vec::new();
            assert_eq!(stream.read_to_end(&mut read).await.is_err(), has_failed);
            assert_eq!(read, b"piece");
        }
    }
}
