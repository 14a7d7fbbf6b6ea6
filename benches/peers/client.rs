use std::net::{Ipv4Addr, SocketAddr};

use rustls::{ClientConnection, StreamOwned};

use crate::{
    connection::Connection, cost::connect::connect, support::Outcome, tls::client::server_name, wire::Wire,
};

/// Connects from `source`, an address of the loopback network. Over TLS, hands are shaken with the first request.
pub(crate) fn open(source: Ipv4Addr, target: SocketAddr, wire: &Wire) -> Outcome<Connection> {
    let tcp = connect(source, target)?;
    Ok(match wire {
        Wire::Plain => Connection::over(tcp),
        Wire::Tls(config) => {
            Connection::over(StreamOwned::new(ClientConnection::new(config.clone(), server_name()?)?, tcp))
        }
    })
}
