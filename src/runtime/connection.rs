use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::task::AtomicWaker;
use http::HeaderValue;

use crate::hooks::Scheme;

use super::{Listener, Snapshot};

/// A client's connection: what the listener knows of it and the gateway needs, for the connection's life.
///
/// It rides on the stream as Pingora's proxy digest, the only place that reaches the hooks on HTTP/1 and HTTP/2
/// alike.
#[derive(Debug)]
pub(crate) struct Connection {
    listener: Arc<Listener>,
    peer_ip: IpAddr,
    peer_ip_value: HeaderValue,
    is_unix: bool,
    scheme: Scheme,
    upgraded: AtomicBool,
    reader: AtomicWaker,
}

impl Connection {
    pub(crate) fn new(listener: Arc<Listener>, peer: Option<SocketAddr>, scheme: Scheme) -> Self {
        let peer_ip = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        // RFC 7239 §6.2 has this word for a peer without an address; lists of proxies know it.
        let peer_ip_value = peer.map_or(HeaderValue::from_static("unknown"), |_| ip_value(peer_ip));
        Self {
            listener,
            peer_ip,
            peer_ip_value,
            is_unix: peer.is_none(),
            scheme,
            upgraded: false.into(),
            reader: AtomicWaker::new(),
        }
    }

    pub(crate) fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// The address at the other end of the socket; `0.0.0.0` for a Unix socket.
    pub(crate) fn peer_ip(&self) -> IpAddr {
        self.peer_ip
    }

    /// The same as a header's value, made once.
    pub(crate) fn peer_ip_value(&self) -> &HeaderValue {
        &self.peer_ip_value
    }

    /// Whether the peer is one whose forwarding headers are believed.
    pub(crate) fn is_trusted_by(&self, snapshot: &Snapshot) -> bool {
        if self.is_unix { snapshot.trusts_unix } else { snapshot.trusts(self.peer_ip) }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Lets through what the client sends from now on: it speaks the protocol that both sides agreed on.
    pub(crate) fn mark_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// Who is woken when the connection is upgraded.
    pub(crate) fn reader(&self) -> &AtomicWaker {
        &self.reader
    }
}

/// An IP address as a header's value.
pub(crate) fn ip_value(ip: IpAddr) -> HeaderValue {
    // Digits, letters, dots and colons are legal in every header.
    HeaderValue::try_from(ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
