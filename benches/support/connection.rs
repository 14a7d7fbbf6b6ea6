use std::io::{Read, Write};

use crate::{message, support::Outcome};

/// A blocking HTTP/1.1 client on one kept-alive connection; knows only answers with a Content-Length.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// What HTTP/1.1 goes through: TCP, or TLS over it.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn over(stream: impl Read + Write + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::with_capacity(4096) }
    }

    /// Sends `request` and reads the whole answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Outcome<Answer> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let body_start = self.read_until(message::body_start)?;
        let head = std::str::from_utf8(self.buffer.get(..body_start).unwrap_or_default())?;
        let (status, length) = (message::status(head)?, message::length(head)?);
        self.read_until(|buffer| (buffer.len() >= body_start + length).then_some(0))?;
        let body = self.buffer.get(body_start..).unwrap_or_default();
        Ok(Answer { status, body: String::from_utf8_lossy(body).into_owned() })
    }

    fn read_until(&mut self, mut complete: impl FnMut(&[u8]) -> Option<usize>) -> Outcome<usize> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(position) = complete(&self.buffer) {
                return Ok(position);
            }
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err("the connection was closed in the middle of an answer".into());
            }
            self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }
}
