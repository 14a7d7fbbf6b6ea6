use std::net::{IpAddr, SocketAddr};

/// Both ends of a client's connection, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Who speaks.
    pub(crate) peer: Peer,
    /// The address that was connected to; `None` for a Unix socket.
    pub(crate) reached: Option<SocketAddr>,
}

/// Who speaks on a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Whoever is at this address.
    Inet(SocketAddr),
    /// Somebody on this machine, through a Unix socket.
    Unix,
    /// Somebody behind a balancer that does not tell the address. The balancer's own stands in for it, if there is one,
    /// but what is believed of the balancer is not believed of whoever stands behind it.
    Hidden(Option<SocketAddr>),
}

impl Peer {
    /// Where the connection comes from, with nothing in front of it that tells more.
    pub(crate) fn of_socket(address: Option<SocketAddr>) -> Self {
        address.map_or(Self::Unix, Self::Inet)
    }

    /// The address, if there is one.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(address),
            Self::Unix => None,
            Self::Hidden(address) => address,
        }
    }

    /// The address under which its connections are counted. Many may stand behind that of a balancer.
    pub(crate) fn counted_ip(self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip()),
            Self::Unix | Self::Hidden(_) => None,
        }
    }
}
