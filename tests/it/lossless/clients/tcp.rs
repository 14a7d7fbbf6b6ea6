use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lossless::endpoints::pattern;

use super::http1::connect;
use super::streams::{Stream, length};
use super::{Assignment, in_time};

/// A connection on which all bytes come back.
pub(super) struct Connection {
    stream: TcpStream,
    client: u64,
}

impl Connection {
    pub(super) fn over(stream: TcpStream, client: u64) -> Self {
        Self { stream, client }
    }
}

impl Stream for Connection {
    async fn open(assignment: &Assignment) -> Result<Self, String> {
        Ok(Self::over(connect(assignment.addresses.tcp).await?, assignment.number))
    }

    async fn exchange(&mut self, number: u64) -> Result<(), String> {
        let message = pattern(self.client, number, length(number));
        in_time("sending", self.stream.write_all(&message)).await?;
        let mut heard = vec![0; message.len()];
        in_time("hearing", self.stream.read_exact(&mut heard)).await?;
        if heard == message { Ok(()) } else { Err("other bytes came back".to_owned()) }
    }

    async fn end(mut self) -> Result<(), String> {
        in_time("closing", self.stream.shutdown()).await?;
        let mut rest = Vec::new();
        in_time("hearing", self.stream.read_to_end(&mut rest)).await?;
        if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", rest.len())) }
    }
}
