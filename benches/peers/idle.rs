use std::{net::Ipv4Addr, thread, time::Duration};

use crate::{
    compare::{memory::resident, words::Compared},
    connection::Connection,
    peer::Proxy,
    request,
    support::Outcome,
};

/// Idle connections that are held open.
pub(crate) const CONNECTIONS: usize = 2_000;
/// They come from so many addresses, lest a limit per client be in the way.
const CLIENTS: usize = 20;
/// Requests before the first look, so that what every process sets up once is not counted.
const WARM_UP: usize = 500;
/// For a process to put away what the last request needed.
const SETTLE: Duration = Duration::from_millis(500);

/// Memory of each idle kept-alive connection that made one request, in bytes: the growth of a fresh process.
///
/// What the kernel holds for the sockets is not in it; it is the same for all.
pub(crate) fn bytes_per_connection(proxy: &Proxy) -> Outcome<f64> {
    let request = request::get("/", "");
    let mut warm = proxy.connect(Ipv4Addr::LOCALHOST)?;
    for _ in 0..WARM_UP {
        warm.exchange(&request)?;
    }
    thread::sleep(SETTLE);
    let before = resident(&proxy.process.tree())?;
    let mut held = open_all(proxy, &request)?;
    thread::sleep(SETTLE);
    let after = resident(&proxy.process.tree())?;
    check_open(&mut held, &request)?;
    Ok((after - before) / CONNECTIONS as f64)
}

fn open_all(proxy: &Proxy, request: &[u8]) -> Outcome<Vec<Connection>> {
    let clients = (2..).map(|last| Ipv4Addr::new(127, 0, 0, last)).take(CLIENTS).cycle();
    let mut held = Vec::with_capacity(CONNECTIONS);
    for source in clients.take(CONNECTIONS) {
        let mut connection = proxy.connect(source)?;
        let status = connection.exchange(request)?.status;
        if status != 200 {
            return Err(
                format!("{} answered {status} on connection {}", proxy.peer.name(), held.len()).into()
            );
        }
        held.push(connection);
    }
    Ok(held)
}

/// Checks that every connection is still good: memory of closed ones would be no memory of idle ones.
fn check_open(held: &mut [Connection], request: &[u8]) -> Outcome<()> {
    for (index, connection) in held.iter_mut().enumerate() {
        connection.exchange(request).map_err(|error| format!("idle connection {index} was lost: {error}"))?;
    }
    Ok(())
}
