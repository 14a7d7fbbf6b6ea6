use super::Assignment;
use super::http1::Http1;
use super::streams::Stream;
use super::tcp::Connection;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: site.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n";

/// An upgraded connection, whose bytes are none of the edge's business.
pub(super) struct Chat(Connection);

impl Stream for Chat {
    async fn open(assignment: &Assignment) -> Result<Self, String> {
        let mut connection = Http1::connect(assignment.addresses.web).await?;
        connection.send(UPGRADE.as_bytes()).await?;
        connection.head(101).await?;
        let (stream, ahead) = connection.into_parts();
        if !ahead.is_empty() {
            return Err(format!("{} bytes before anything was said", ahead.len()));
        }
        Ok(Self(Connection::over(stream, assignment.number)))
    }

    async fn exchange(&mut self, number: u64) -> Result<(), String> {
        self.0.exchange(number).await
    }

    async fn end(self) -> Result<(), String> {
        self.0.end().await
    }
}
