use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::{Batch, Message, Sink, Unwritten};

/// Sends each line as a datagram.
///
/// A server that is gone costs the lines of its absence, and is found again when it is back.
pub(super) struct Datagrams<M> {
    place: Place,
    message: M,
    socket: Option<Socket>,
    buffer: Vec<u8>,
}

/// Where datagrams go.
#[derive(Debug)]
pub(super) enum Place {
    Unix(PathBuf),
    /// A host and a port.
    Udp(String),
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl<M> Datagrams<M> {
    pub(super) fn new(place: Place, message: M) -> Self {
        Self { place, message, socket: None, buffer: Vec::new() }
    }

    /// Sends what is in the buffer, on a new socket if the one that is there does not take it.
    fn send(&mut self) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(&self.buffer) {
                Ok(()) => return Ok(()),
                // No other socket would take it.
                Err(error) if error.raw_os_error() == Some(nix::libc::EMSGSIZE) => return Err(error),
                Err(_) => self.socket = None,
            }
        }
        let socket = self.place.connect()?;
        socket.send(&self.buffer)?;
        self.socket = Some(socket);
        Ok(())
    }
}

impl<M: Message> Sink for Datagrams<M> {
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        let mut unwritten: Option<Unwritten> = None;
        for line in batch.lines() {
            self.buffer.clear();
            self.message.write(line, &mut self.buffer);
            if let Err(error) = self.send() {
                unwritten.get_or_insert(Unwritten { lines: 0, error }).lines += 1;
            }
        }
        unwritten.map_or(Ok(()), Err)
    }
}

impl Place {
    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Socket::Unix(socket))
            }
            Self::Udp(address) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in address.to_socket_addrs()? {
                    let socket = UdpSocket::bind(any_port(address))?;
                    match socket.connect(address) {
                        Ok(()) => return Ok(Socket::Udp(socket)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// Of the same family.
fn any_port(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
        .map(drop)
    }
}
