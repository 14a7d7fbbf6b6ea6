use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
};

use socket2::SockRef;

use super::batch::Batch;
use crate::support::Outcome;

/// So that no datagram is lost here: the kernel's default holds fewer than all clients together have under way.
const BUFFER: usize = 4 << 20;
const AT_ONCE: usize = 64;

/// Sends each datagram back to where it came from.
pub(super) fn serve() -> Outcome<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
    let address = socket.local_addr()?;
    thread::Builder::new().name("datagrams".to_owned()).spawn(move || send_back(&socket))?;
    Ok(address)
}

fn send_back(socket: &UdpSocket) {
    let mut batch = Batch::new(AT_ONCE);
    loop {
        let done = batch.receive(socket).and_then(|count| batch.send_back(socket, count));
        // A client's socket that is gone is told of here; the next call works again.
        if done.is_err_and(|error| error.kind() != io::ErrorKind::ConnectionRefused) {
            return;
        }
    }
}
