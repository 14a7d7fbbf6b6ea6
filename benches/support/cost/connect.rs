use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::support::Outcome;

/// How long to wait for any single step of a connection.
const STEP: Duration = Duration::from_secs(5);
/// Addresses that each client connects from.
const ADDRESSES: u64 = 16;

/// Connects from `source`, an address of the loopback network.
pub(crate) fn connect(source: Ipv4Addr, target: SocketAddr) -> Outcome<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    socket
        .connect_timeout(&target.into(), STEP)
        .map_err(|error| format!("cannot connect to {target} from {source}: {error}"))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    Ok(stream)
}

/// Where a client's next connection comes from: it takes turns with several addresses, lest it run out of ports.
pub(crate) fn source(client: u8, count: u64) -> Ipv4Addr {
    let turn = u8::try_from(count % ADDRESSES).unwrap_or_default();
    Ipv4Addr::new(127, 0, 1 + client, 1 + turn)
}
