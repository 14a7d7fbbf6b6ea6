use std::{
    net::{Ipv4Addr, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    compare::memory::resident,
    cost::connect::{connect, source},
    exchange::exchange,
    peer::Proxy,
    rows::Row,
    support::Outcome,
};

/// Idle connections that are held open.
pub(crate) const CONNECTIONS: u16 = 4_000;
/// Connections before the first look, so that what every process sets up once is not counted.
const WARM_UP: u16 = 500;
/// For a process to put away what the last exchange needed.
const SETTLE: Duration = Duration::from_millis(500);

/// Memory of each idle connection, with the one to its endpoint, that made one exchange, in bytes: the growth of a fresh
/// process.
///
/// What the kernel holds for the sockets is not in it; it is the same for all.
pub(crate) fn bytes_per_connection(proxy: &Proxy) -> Outcome<f64> {
    let target = proxy.address(Row::Idle);
    for _ in 0..WARM_UP {
        exchange(&mut connect(Ipv4Addr::LOCALHOST, target)?)?;
    }
    thread::sleep(SETTLE);
    let before = resident(&proxy.process.tree())?;
    let mut held: Vec<TcpStream> = Vec::with_capacity(CONNECTIONS.into());
    for count in 0..CONNECTIONS {
        let mut stream = connect(source(0, count.into()), target)?;
        exchange(&mut stream)?;
        held.push(stream);
    }
    thread::sleep(SETTLE);
    let after = resident(&proxy.process.tree())?;
    // Memory of closed connections would be no memory of idle ones.
    for (index, stream) in held.iter_mut().enumerate() {
        exchange(stream).map_err(|error| format!("idle connection {index} was lost: {error}"))?;
    }
    Ok((after - before) / f64::from(CONNECTIONS))
}
