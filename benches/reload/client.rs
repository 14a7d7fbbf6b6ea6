use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    connection::{Answer, Connection},
    request,
    support::Outcome,
};

/// How long to wait for any single step of a connection.
const STEP: Duration = Duration::from_secs(5);

/// An HTTP/1.1 client on one connection, which is opened anew when it was closed.
pub(crate) struct Client {
    target: SocketAddr,
    open: Option<(TcpStream, Connection)>,
    pub(crate) mishaps: Mishaps,
}

/// What became of a client's connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mishaps {
    /// Closed while they were idle.
    pub(crate) closed: u32,
    /// Closed under a request, which was sent again.
    pub(crate) broken: u32,
}

impl Client {
    pub(crate) fn new(target: SocketAddr) -> Self {
        Self { target, open: None, mishaps: Mishaps::default() }
    }

    /// Sends `request` until it is answered, twice at most.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Outcome<Answer> {
        if self.open.as_ref().is_some_and(|(stream, _)| !is_quiet(stream)) {
            self.mishaps.closed += 1;
            self.open = None;
        }
        if let Some((_, connection)) = &mut self.open {
            match connection.exchange(request) {
                Ok(answer) => return Ok(answer),
                Err(_) => self.mishaps.broken += 1,
            }
        }
        let (_, connection) = self.open.insert(connect(self.target)?);
        connection.exchange(request)
    }
}

/// The body that is at a path, over a connection of its own.
pub(crate) fn body(target: SocketAddr, path: &str) -> Outcome<String> {
    let (_, mut connection) = connect(target)?;
    Ok(connection.exchange(&request::get(path, "Connection: close\r\n"))?.body)
}

fn connect(target: SocketAddr) -> Outcome<(TcpStream, Connection)> {
    let stream = TcpStream::connect_timeout(&target, STEP)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    Ok((stream.try_clone()?, Connection::over(stream)))
}

/// Whether nothing came in since the last answer, neither bytes nor the end.
fn is_quiet(stream: &TcpStream) -> bool {
    let peek = || {
        stream.set_nonblocking(true)?;
        let nothing = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        nothing
    };
    peek().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
