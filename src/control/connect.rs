use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

/// Connects without waiting: a process that is stuck leaves connections in its queue until that is full, and a blocking
/// connect would wait there for ever.
///
/// # Errors
/// `WouldBlock` when the queue is full; `ConnectionRefused` when the socket was left behind.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}
