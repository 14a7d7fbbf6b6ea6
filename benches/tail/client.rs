use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::{
    message::{body_start, field, length, status},
    request,
    support::Outcome,
    wire::Wire,
};

/// An HTTP/1.1 client that opens a connection whenever all that it has are busy, and keeps them all.
#[derive(Debug)]
pub(crate) struct Client {
    target: SocketAddr,
    /// The one that was busy last is on top.
    idle: Mutex<Vec<Wire>>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(target: SocketAddr) -> Self {
        Self { target, idle: Mutex::default() }
    }

    pub(crate) async fn get(&self, path: &str) -> io::Result<Answer> {
        let mut wire = match self.kept() {
            Some(wire) => wire,
            None => Wire::new(TcpStream::connect(self.target).await?)?,
        };
        wire.send(&request::get(path, "")).await?;
        let message = wire.receive(answer_length).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let (answer, stays_open) = read(message)?;
        if stays_open {
            self.idle.lock().push(wire);
        }
        Ok(answer)
    }

    /// An idle connection that the other side has not closed.
    fn kept(&self) -> Option<Wire> {
        let mut idle = self.idle.lock();
        while let Some(wire) = idle.pop() {
            if wire.is_quiet() {
                return Some(wire);
            }
        }
        None
    }
}

fn answer_length(message: &[u8]) -> io::Result<Option<usize>> {
    let Some(start) = body_start(message) else { return Ok(None) };
    let length = head(message, start).and_then(length).map_err(unreadable)?;
    Ok(Some(start + length))
}

/// The answer, and whether its connection stays open.
fn read(mut message: Vec<u8>) -> io::Result<(Answer, bool)> {
    let start = body_start(&message).unwrap_or(message.len());
    let body = message.split_off(start);
    let head = head(&message, start).map_err(unreadable)?;
    let status = status(head).map_err(unreadable)?;
    let closes = field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((Answer { status, body }, !closes))
}

fn head(message: &[u8], length: usize) -> Outcome<&str> {
    Ok(std::str::from_utf8(message.get(..length).unwrap_or_default())?)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
fn unreadable(error: Box<dyn std::error::Error>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}
