use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::Outcome;

/// Loopback addresses whose ports were free a moment ago, all different: chosen by the kernel, then let go.
pub(crate) fn free<const COUNT: usize>() -> Outcome<[SocketAddr; COUNT]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    let mut held = Vec::with_capacity(COUNT);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}
