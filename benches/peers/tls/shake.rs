use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{CipherSuite, ClientConfig, ClientConnection, HandshakeKind, NamedGroup};

use super::{client::server_name, tickets::Tickets};
use crate::{cost::connect::connect, support::Outcome};

/// What a connection came to that was made for its handshake alone.
#[derive(Debug)]
pub(crate) struct Shaken {
    pub(crate) kind: HandshakeKind,
    pub(super) suite: Option<CipherSuite>,
    pub(super) group: Option<NamedGroup>,
    pub(super) alpn: Option<String>,
    /// How many tickets came with it.
    pub(super) tickets: usize,
}

/// Connects, shakes hands, waits for a ticket, says goodbye, and waits until the server has left too: then all of its
/// work for this connection is done.
pub(crate) fn shake(
    source: Ipv4Addr,
    target: SocketAddr,
    config: &Arc<ClientConfig>,
    tickets: &Tickets,
) -> Outcome<Shaken> {
    let before = tickets.count();
    let mut tcp = connect(source, target)?;
    let mut tls = ClientConnection::new(config.clone(), server_name()?)?;
    tls.complete_io(&mut tcp)?;
    while tickets.count() == before {
        if tls.read_tls(&mut tcp)? == 0 {
            return Err("the server left without a ticket".into());
        }
        tls.process_new_packets()?;
    }
    tls.send_close_notify();
    while tls.wants_write() {
        tls.write_tls(&mut tcp)?;
    }
    wait_for_end(&mut tls, &mut tcp)?;
    Ok(Shaken {
        kind: tls.handshake_kind().ok_or("a handshake without an end")?,
        suite: tls.negotiated_cipher_suite().map(|suite| suite.suite()),
        group: tls.negotiated_key_exchange_group().map(|group| group.name()),
        alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        tickets: tickets.count() - before,
    })
}

/// Reads until the server closes. Some reset the connection instead of reading its end.
fn wait_for_end(tls: &mut ClientConnection, tcp: &mut TcpStream) -> Outcome<()> {
    match tcp.shutdown(Shutdown::Write) {
        Err(error) if error.kind() != ErrorKind::NotConnected => return Err(error.into()),
        _ => {}
    }
    loop {
        match tls.read_tls(tcp) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                tls.process_new_packets()?;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
