use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::Response;

use super::in_time;

/// A connection of HTTP/1.1 whose end at the wrong time is a failure to be told of, and not the end of the test.
pub(in crate::lossless) struct Http1<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

/// Connects without a delay for small pieces.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = in_time("connecting", TcpStream::connect(address)).await?;
    stream.set_nodelay(true).map_err(|error| format!("connecting: {error}"))?;
    Ok(stream)
}

/// Connects over TLS.
pub(in crate::lossless) async fn secure(
    address: SocketAddr,
    trust: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, String> {
    let stream = connect(address).await?;
    let name = ServerName::try_from("site.example").unwrap();
    in_time("handshake", TlsConnector::from(trust.clone()).connect(name, stream)).await
}

impl Http1 {
    pub(in crate::lossless) async fn connect(address: SocketAddr) -> Result<Self, String> {
        connect(address).await.map(Self::over)
    }

    /// Whether the server has neither closed it nor said anything unasked.
    pub(super) fn is_at_rest(&self) -> bool {
        // The kernel is asked, since the runtime may not have heard yet.
        let socket = SockRef::from(&self.stream);
        let seen = socket.peek(&mut [MaybeUninit::uninit()]);
        seen.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Sends a request and reads its answer, which has to be a good one.
    pub(in crate::lossless) async fn ask(&mut self, request: &[u8]) -> Result<Response, String> {
        self.send(request).await?;
        self.answer().await
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        in_time("sending", self.stream.write_all(bytes)).await
    }

    /// Reads an answer of a length that is told.
    pub(super) async fn answer(&mut self) -> Result<Response, String> {
        let mut response = self.head(200).await?;
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        let length: usize = length.ok_or_else(|| format!("no length: {}", response.head))?;
        response.body = self.exactly(length).await?;
        Ok(response)
    }

    /// Reads a head with this status.
    pub(super) async fn head(&mut self, expected: u16) -> Result<Response, String> {
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.more("the answer's head").await?,
            }
        };
        let head = String::from_utf8_lossy(&self.read.drain(..end).collect::<Vec<_>>()).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if status == expected { Ok(Response { status, head, body: Vec::new() }) } else { Err(head) }
    }

    /// Reads so many bytes.
    pub(super) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, String> {
        while self.read.len() < count {
            self.more("the answer's body").await?;
        }
        Ok(self.read.drain(..count).collect())
    }

    /// What it was made over, and what was read and not used.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.read)
    }

    async fn more(&mut self, what: &str) -> Result<(), String> {
        match in_time(what, self.stream.read_buf(&mut self.read)).await? {
            0 => Err(format!("closed within {what}, after: {}", self.read.escape_ascii())),
            _ => Ok(()),
        }
    }
}

/// Whether the connection may be used for another request.
pub(super) fn stays(response: &Response) -> bool {
    response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"))
}
