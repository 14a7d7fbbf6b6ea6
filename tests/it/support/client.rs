use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// A client that sends exactly the bytes that it is told to, and reads HTTP/1 responses.
pub struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
    /// Whether the next response answers a HEAD.
    head: bool,
}

/// A response of HTTP/1.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// The status line and the fields, as they came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// The values of all fields of that name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.expect("connects in time").unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, read: Vec::new(), head: false }
    }

    /// Sends text as it stands.
    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        self.head = text.starts_with(b"HEAD ");
        timeout(PATIENCE, self.stream.write_all(text)).await.expect("is taken in time").unwrap();
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub async fn half_close(&mut self) {
        timeout(PATIENCE, self.stream.shutdown()).await.expect("closes in time").unwrap();
    }

    /// The socket, and what was read from it and not used.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.read)
    }

    /// Sends text to a peer that may already have closed the connection.
    pub async fn try_send(&mut self, text: impl AsRef<[u8]>) -> std::io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(text.as_ref())).await.expect("is taken in time")
    }

    /// Reads the next response, which answers a HEAD.
    pub async fn response_to_head(&mut self) -> Response {
        self.head = true;
        let response = self.response().await;
        self.head = false;
        response
    }

    /// Reads the next response, leaving what follows it.
    pub async fn response(&mut self) -> Response {
        let head = self.head().await;
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let response = Response { status, head, body: Vec::new() };
        let body = self.body(&response).await;
        Response { body, ..response }
    }

    /// Reads up to the end of a response's head.
    pub async fn head(&mut self) -> String {
        let head = self.until(b"\r\n\r\n").await;
        String::from_utf8(head).unwrap()
    }

    async fn body(&mut self, response: &Response) -> Vec<u8> {
        let has_none = self.head || response.status < 200 || matches!(response.status, 204 | 304);
        if has_none {
            return Vec::new();
        }
        if response.header("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        match response.header("content-length") {
            Some(length) => self.exactly(length.parse().unwrap()).await,
            None => self.rest().await,
        }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await;
            let size = std::str::from_utf8(&line).unwrap().trim().split(';').next().unwrap().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap();
            if size == 0 {
                while self.until(b"\r\n").await != b"\r\n" {}
                return body;
            }
            body.extend(self.exactly(size).await);
            assert_eq!(self.exactly(2).await, b"\r\n");
        }
    }

    /// Reads up to and with `end`.
    pub async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            assert!(self.more().await > 0, "closed within: {}", self.read.escape_ascii());
        }
    }

    /// Reads so many bytes.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await > 0, "closed within: {}", self.read.escape_ascii());
        }
        self.read.drain(..count).collect()
    }

    /// Reads to the end of the connection, however it ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Whether the peer closes the connection without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && self.more().await == 0
    }

    /// Whether nothing comes for so long, not even the end of the connection.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        let mut piece = [0; 1024];
        if !self.read.is_empty() {
            return false;
        }
        let Ok(read) = timeout(time, self.stream.read(&mut piece)).await else { return true };
        self.read.extend_from_slice(&piece[..read.unwrap_or(0)]);
        false
    }

    async fn more(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut piece)).await.expect("something comes in time");
        // A reset ends the connection like a close does.
        let count = read.unwrap_or(0);
        self.read.extend_from_slice(&piece[..count]);
        count
    }
}
