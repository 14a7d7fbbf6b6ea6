use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::access_log::put::put;

use super::{Batch, Message, PAUSE, Sink, Unwritten};

/// Sends lines over a connection, each with its length before it (RFC 6587 §3.4.1).
///
/// A connection that breaks is made again at once, and goes on with the first line that was not handed to the kernel as a
/// whole: no line comes twice, and those that the kernel had are lost.
pub(super) struct Connection<M> {
    link: Link,
    message: M,
    frames: Frames,
    buffer: Vec<u8>,
}

/// A connection that is made when it is wanted.
struct Link {
    address: String,
    stream: Option<TcpStream>,
    /// When nobody could be connected to.
    failed: Option<Instant>,
}

/// What is to be sent.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    /// Where each one ends.
    ends: Vec<usize>,
}

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may take nothing.
const SEND: Duration = Duration::from_secs(10);

impl<M: Message> Connection<M> {
    pub(super) fn new(address: String, message: M) -> Self {
        let link = Link { address, stream: None, failed: None };
        Self { link, message, frames: Frames::default(), buffer: Vec::new() }
    }

    fn frame(&mut self, batch: &Batch) {
        self.frames.bytes.clear();
        self.frames.ends.clear();
        for line in batch.lines() {
            self.buffer.clear();
            self.message.write(line, &mut self.buffer);
            put(format_args!("{} ", self.buffer.len()), &mut self.frames.bytes);
            self.frames.bytes.extend_from_slice(&self.buffer);
            self.frames.ends.push(self.frames.bytes.len());
        }
    }
}

impl<M: Message> Sink for Connection<M> {
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        self.frame(batch);
        let (mut begin, mut is_again) = (0, false);
        loop {
            let stream = match self.link.stream() {
                Ok(stream) => stream,
                Err(error) => return Err(Unwritten::after(begin, &self.frames.ends, error)),
            };
            let Err((at, error)) = self.frames.send(begin, stream) else { return Ok(()) };
            self.link.stream = None;
            begin = self.frames.unsent_from(at);
            if is_again {
                return Err(Unwritten::after(begin, &self.frames.ends, error));
            }
            is_again = true;
        }
    }
}

impl Link {
    /// The connection that is there, or a new one.
    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.as_mut().is_some_and(is_gone) {
            self.stream = None;
        }
        match &mut self.stream {
            Some(stream) => Ok(stream),
            none => {
                if self.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
                    let message = "nobody could be connected to a moment ago";
                    return Err(io::Error::new(io::ErrorKind::NotConnected, message));
                }
                let connected = connect(&self.address);
                self.failed = connected.is_err().then(Instant::now);
                Ok(none.insert(connected?))
            }
        }
    }
}

impl Frames {
    /// Sends what begins there.
    ///
    /// # Errors
    /// With how far it came.
    fn send(&self, begin: usize, stream: &mut TcpStream) -> Result<(), (usize, io::Error)> {
        let mut at = begin;
        while at < self.bytes.len() {
            match stream.write(&self.bytes[at..]) {
                Ok(0) => return Err((at, io::ErrorKind::WriteZero.into())),
                Ok(sent) => at += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((at, error)),
            }
        }
        Ok(())
    }

    /// Where the first frame begins that is not within the first `sent` bytes.
    fn unsent_from(&self, sent: usize) -> usize {
        self.ends.iter().copied().take_while(|end| *end <= sent).last().unwrap_or(0)
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_write_timeout(Some(SEND))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether the server has closed the connection, which nothing that is written would tell in time.
fn is_gone(stream: &mut TcpStream) -> bool {
    let mut read = || -> io::Result<bool> {
        stream.set_nonblocking(true)?;
        // What it says means nothing.
        let read = stream.read(&mut [0; 512]);
        stream.set_nonblocking(false)?;
        Ok(match read {
            Ok(length) => length == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        })
    };
    read().unwrap_or(true)
}
