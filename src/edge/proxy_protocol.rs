//! Who a connection's client is, where a balancer in front tells it by a PROXY header.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

use crate::net::Transport;
use crate::runtime::{Ends, Listener, Peer};
use crate::types::{InvalidProxyHeader, ProxyHeader, Scan};

/// Why a connection is closed before it has begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    #[error(transparent)]
    Invalid(#[from] InvalidProxyHeader),
    #[error("the connection ended before the header did")]
    Ended,
    #[error("the header did not come in time")]
    TooSlow,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Finds both ends of a connection whose socket has `peer` at its other end. Where the listener expects a PROXY header,
/// it is taken off the connection, all of it and not a byte more, until `due`.
pub(super) async fn ends(
    transport: &mut Transport,
    peer: Peer,
    listener: &Listener,
    due: Instant,
) -> Result<Ends, NoHeader> {
    let of_socket = Ends { peer, reached: transport.local_addr() };
    if !listener.expects_proxy_header() {
        return Ok(of_socket);
    }
    let header = timeout_at(due, take_header(transport)).await.map_err(|_| NoHeader::TooSlow)??;
    Ok(match header {
        ProxyHeader::Local => of_socket,
        ProxyHeader::Unknown => Ends { peer: Peer::Hidden(peer.address()), ..of_socket },
        ProxyHeader::Unix => Ends { peer: Peer::Hidden(None), reached: None },
        ProxyHeader::Inet { client, reached } => Ends { peer: Peer::Inet(client), reached: Some(reached) },
    })
}

/// Takes a PROXY header off the connection. What has come is looked at first and read only as far as it belongs to the
/// header, so that whoever reads next finds the very first byte of what follows.
async fn take_header(transport: &mut Transport) -> Result<ProxyHeader, NoHeader> {
    /// All but headers with long TLVs.
    const USUAL: usize = 256;

    let mut bytes = vec![0; USUAL];
    let mut taken = 0;
    loop {
        if taken == bytes.len() {
            bytes.resize(ProxyHeader::LONGEST, 0);
        }
        let come = taken + transport.peek(&mut bytes[taken..]).await?;
        if come == taken {
            return Err(NoHeader::Ended);
        }
        let (header, end) = match ProxyHeader::scan(&bytes[..come])? {
            Scan::Partial => (None, come),
            Scan::Whole(header, length) => (Some(header), length),
        };
        transport.read_exact(&mut bytes[taken..end]).await?;
        if let Some(header) = header {
            return Ok(header);
        }
        taken = end;
    }
}
