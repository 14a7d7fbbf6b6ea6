//! PROXY headers, versions 1 and 2: what a balancer sends first on a connection, to tell whose it is. Both directions,
//! without any I/O. <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

mod v1;
mod v2;

use std::net::{IpAddr, SocketAddr};

pub(crate) use v2::Tlvs;

/// What a PROXY header tells of the connection that it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// The sender speaks for itself, as in a health probe.
    Local,
    /// A client's, and the sender does not know its address or does not tell it.
    Unknown,
    /// A client's that reached the sender over a Unix socket.
    Unix,
    /// A client's.
    Inet {
        /// Where the client is.
        client: SocketAddr,
        /// What it connected to.
        reached: SocketAddr,
    },
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// The beginning of a header that goes on.
    Partial,
    /// This header, in so many bytes.
    Whole(ProxyHeader, usize),
}

/// Why bytes do not begin with a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidProxyHeader {
    #[error("there is no header")]
    Missing,
    #[error("the line does not end within 107 bytes")]
    LongLine,
    #[error("the line is not one of version 1")]
    Line,
    #[error("version or command {0:#04x} is not known")]
    Command(u8),
    #[error("address family or transport {0:#04x} is not known")]
    Family(u8),
    #[error("its length of {0} bytes is over 4096")]
    TooLong(u16),
    #[error("it has no room for its addresses")]
    Addresses,
    #[error("its TLVs are not as long as it is")]
    Tlvs,
    #[error("its checksum is wrong")]
    Checksum,
}

// === ProxyHeader ===

impl ProxyHeader {
    /// No header is longer; version 2 could be, but has no use for it.
    pub(crate) const LONGEST: usize = v2::PREFIX + v2::LONGEST_REST as usize;

    /// Looks for a header of either version at the beginning of `bytes`.
    ///
    /// # Errors
    /// As soon as no further byte could make a header of them.
    pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, InvalidProxyHeader> {
        if v2::begins(bytes) {
            v2::scan(bytes)
        } else if v1::begins(bytes) {
            v1::scan(bytes)
        } else {
            Err(InvalidProxyHeader::Missing)
        }
    }

    /// The header of a client's connection. `client` may have come another way than over the connection itself, so that
    /// the two addresses need not be of one family; `None` for one without an address.
    pub(crate) fn of_client(client: Option<SocketAddr>, reached: Option<SocketAddr>) -> Self {
        let Some(client) = client.map(canonical) else { return Self::Unknown };
        let nowhere = || SocketAddr::new(IpAddr::from([0; 4]), 0);
        let reached = reached.map_or_else(nowhere, canonical);
        if client.is_ipv4() == reached.is_ipv4() {
            Self::Inet { client, reached }
        } else {
            Self::Inet { client: as_ipv6(client), reached: as_ipv6(reached) }
        }
    }

    /// The line of version 1.
    pub(crate) fn to_v1(self) -> Vec<u8> {
        v1::write(self)
    }

    /// The bytes of version 2, with what else there is to tell.
    pub(crate) fn to_v2(self, tlvs: Tlvs<'_>) -> Vec<u8> {
        v2::write(self, tlvs)
    }
}

/// An IPv4 address that came in mapped to IPv6 is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A header has room for addresses of one family only.
fn as_ipv6(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddr::new(ip.into(), address.port())
}

#[cfg(test)]
mod tests;
