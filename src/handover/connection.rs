use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::error::Cause;
use super::frame::{Frame, Kind, MOST_BYTES, MOST_DESCRIPTORS, MOST_MESSAGE};
use super::message::Message;
use super::wire::Wire;

/// The socket between the two processes, in messages and what is announced by them.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    /// The last message was one of a later version, and what belongs to it may follow.
    is_skipping: bool,
}

impl Connection {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(socket)?, is_skipping: false })
    }

    /// Sends a message. A peer that is gone may have said why before.
    pub(super) async fn say(&mut self, message: &Message) -> Result<(), Cause> {
        let body = serde_json::to_vec(message).map_err(|error| Cause::Malformed(error.to_string()))?;
        if body.len() > MOST_MESSAGE {
            let (size, most) = (body.len() as u64, MOST_MESSAGE as u64);
            return Err(Cause::TooLarge { what: "a message", size, most });
        }
        self.send(Kind::Message, &body, &[]).await
    }

    /// The next message that this version knows.
    pub(super) async fn hear(&mut self, awaited: &'static str) -> Result<Message, Cause> {
        loop {
            let body = match self.wire.receive().await? {
                Frame::Message(body) => body,
                Frame::Bytes(_) | Frame::Descriptors(_) if self.is_skipping => continue,
                Frame::Bytes(_) => return Err(Cause::Unexpected { got: "bytes", awaited }),
                Frame::Descriptors(_) => return Err(Cause::Unexpected { got: "descriptors", awaited }),
            };
            let message =
                serde_json::from_slice(&body).map_err(|error| Cause::Malformed(error.to_string()))?;
            self.is_skipping = matches!(message, Message::Unknown);
            if !self.is_skipping {
                return Message::unless_given_up(message);
            }
        }
    }

    /// Sends bytes that a message has announced.
    pub(super) async fn give_bytes(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        for part in bytes.chunks(MOST_BYTES) {
            self.send(Kind::Bytes, part, &[]).await?;
        }
        Ok(())
    }

    /// Takes as many bytes as a message has announced. Memory is taken as they arrive.
    pub(super) async fn take_bytes(&mut self, size: usize) -> Result<Vec<u8>, Cause> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let part = match self.wire.receive().await? {
                Frame::Bytes(part) => part,
                other => return Err(out_of_turn(other, "bytes")),
            };
            if part.is_empty() || part.len() > size - bytes.len() {
                return Err(Cause::Malformed(format!(
                    "a part of {} bytes where {size} were announced",
                    part.len()
                )));
            }
            bytes.extend(part);
        }
        Ok(bytes)
    }

    /// Sends descriptors that a message has announced.
    pub(super) async fn give_descriptors(&mut self, descriptors: &[BorrowedFd<'_>]) -> Result<(), Cause> {
        for part in descriptors.chunks(MOST_DESCRIPTORS) {
            let count = u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
            self.send(Kind::Descriptors, &count, part).await?;
        }
        Ok(())
    }

    /// Takes as many descriptors as a message has announced.
    pub(super) async fn take_descriptors(&mut self, count: usize) -> Result<Vec<OwnedFd>, Cause> {
        let mut descriptors = Vec::new();
        while descriptors.len() < count {
            let part = match self.wire.receive().await? {
                Frame::Descriptors(part) => part,
                other => return Err(out_of_turn(other, "descriptors")),
            };
            let missing = count - descriptors.len();
            if part.is_empty() || part.len() > missing {
                return Err(Cause::WrongCount { got: part.len(), expected: missing });
            }
            descriptors.extend(part);
        }
        Ok(descriptors)
    }

    async fn send(&mut self, kind: Kind, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Cause> {
        match self.wire.send(kind, body, descriptors).await {
            Err(Cause::Closed) => Err(self.last_words().await),
            other => other,
        }
    }

    /// Why the peer is gone, if it has said so: what it wrote before its end can still be read.
    async fn last_words(&mut self) -> Cause {
        loop {
            match self.hear("").await {
                Ok(_) => {}
                Err(cause) if cause.is_given_up() => return cause,
                Err(_) => return Cause::Closed,
            }
        }
    }
}

/// What a message had announced has not come.
fn out_of_turn(frame: Frame, awaited: &'static str) -> Cause {
    match frame {
        Frame::Bytes(_) => Cause::Unexpected { got: "bytes", awaited },
        Frame::Descriptors(_) => Cause::Unexpected { got: "descriptors", awaited },
        Frame::Message(body) => match serde_json::from_slice::<Message>(&body) {
            Ok(message) => {
                let got = message.name();
                message.unless_given_up().err().unwrap_or(Cause::Unexpected { got, awaited })
            }
            Err(error) => Cause::Malformed(error.to_string()),
        },
    }
}
