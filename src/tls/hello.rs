use std::io;
use std::time::Duration;

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;

use super::HandshakeError;

/// A client's first message, before it is decided how it is answered.
pub(super) struct Hello {
    pub(super) accepted: Accepted,
    pub(super) replay: Replay,
}

/// All that was read of a client, so that the handshake can be begun again.
pub(super) struct Replay {
    bytes: Vec<u8>,
    /// How many of them the message took.
    consumed: usize,
}

/// What is read at once; a ClientHello with a post-quantum key share has about 1800 bytes. rustls takes 64 KiB at most.
const CHUNK: usize = 2048;

impl Hello {
    /// Reads until the message is complete. A client that sends something else has got its alert.
    pub(super) async fn read<S>(stream: &mut S) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut acceptor = Acceptor::default();
        let mut bytes = Vec::with_capacity(CHUNK);
        let mut consumed = 0;
        loop {
            bytes.reserve(CHUNK);
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(HandshakeError::Closed);
            }
            while consumed < bytes.len() {
                consumed += acceptor.read_tls(&mut &bytes[consumed..])?;
                match acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => return Ok(Self { accepted, replay: Replay { bytes, consumed } }),
                    Err((error, alert)) => {
                        send(stream, &written(alert)).await;
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// The host that the client names, in lower case and without a closing dot.
    pub(super) fn server_name(&self) -> Option<Box<str>> {
        self.accepted.client_hello().server_name().map(without_dot).map(Into::into)
    }
}

pub(super) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl Replay {
    /// The message, as if it had just come.
    pub(super) fn accepted(&mut self) -> io::Result<Accepted> {
        let mut acceptor = Acceptor::default();
        let mut bytes = &self.bytes[..self.consumed];
        while acceptor.read_tls(&mut bytes)? > 0 {
            if let Ok(Some(accepted)) = acceptor.accept() {
                // Bytes come in other portions than before, so it may be complete earlier.
                self.consumed -= bytes.len();
                return Ok(accepted);
            }
        }
        Err(io::Error::other("a message that was complete is not any more"))
    }

    /// What the client sent after the message.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }
}

/// What rustls has to say to a client, in the form of the wire.
pub(super) fn written(mut alert: AcceptedAlert) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = alert.write_all(&mut bytes);
    bytes
}

/// Tells the client why there is no connection; whether it still listens makes no difference.
pub(super) async fn send<S: AsyncWrite + Unpin>(stream: &mut S, alert: &[u8]) {
    if stream.write_all(alert).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

/// Closes a connection on which an alert was sent. What the client has sent ahead is read and dropped for a moment, since
/// closing over it would reset the connection, and the alert with it.
pub(super) async fn part<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    const MOST: u64 = 64 * 1024;
    const LONGEST: Duration = Duration::from_secs(1);
    if stream.shutdown().await.is_ok() {
        // However it ends, the connection is closed.
        let _ = timeout(LONGEST, copy(&mut stream.take(MOST), &mut sink())).await;
    }
}
