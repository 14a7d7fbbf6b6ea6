use std::fmt;

/// What goes on at one moment, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// Connections of HTTP clients.
    pub(crate) http: usize,
    /// Requests on them that go on for as long as their clients like.
    pub(crate) tunnels: usize,
    /// Connections that are passed on.
    pub(crate) tcp: usize,
    /// Flows of datagrams.
    pub(crate) udp: usize,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { http, tunnels, tcp, udp } = self;
        write!(f, "http={http} tunnels={tunnels} tcp={tcp} udp={udp}")
    }
}
