use std::{
    io::{self, ErrorKind},
    mem,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One end of a connection, with what came in and is not a whole message yet.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(2048) })
    }

    /// Whether nothing came in since the last message, neither bytes nor the end.
    pub(crate) fn is_quiet(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        self.buffer.is_empty() && nothing.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    pub(crate) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message).await
    }

    /// The next message; `length` tells its length once that can be seen. `None` at the end of the connection.
    pub(crate) async fn receive(
        &mut self,
        length: impl Fn(&[u8]) -> io::Result<Option<usize>>,
    ) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(length) = length(&self.buffer)?.filter(|length| *length <= self.buffer.len()) {
                let rest = self.buffer.split_off(length);
                return Ok(Some(mem::replace(&mut self.buffer, rest)));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                let clean = self.buffer.is_empty();
                return if clean { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}
