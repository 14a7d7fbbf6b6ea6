use std::any::Any;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures::task::AtomicWaker;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

use crate::hooks::{Scheme, TlsSession};
use crate::tls::PolicyId;

use super::{Ending, Ends, Lasting, Listener, Pacing, Peer, Snapshot};

/// A client's connection: what the listener knows of it and the gateway needs, for the connection's life.
///
/// It rides on the stream as Pingora's proxy digest, the only place that reaches the hooks on HTTP/1 and HTTP/2
/// alike.
pub(crate) struct Connection {
    number: u64,
    listener: Arc<Listener>,
    ends: Ends,
    peer_ip: IpAddr,
    peer_ip_value: HeaderValue,
    tls: Option<ConnectionTls>,
    upgraded: AtomicBool,
    reader: AtomicWaker,
    trailers: Mutex<Option<Bytes>>,
    pacing: Pacing,
    parked: Mutex<Option<Parked>>,
    ending: Ending,
    /// Where its request goes on for as long as the client likes.
    lasting: Mutex<Option<Lasting>>,
    is_lasting: AtomicBool,
    is_broken_off: AtomicBool,
    is_sipping: AtomicBool,
}

/// While it lives, the body of a request of HTTP/1 is handed over in short pieces.
#[derive(Debug)]
pub(crate) struct Sipping<'a>(&'a AtomicBool);

impl Drop for Sipping<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Among the extensions of a request of HTTP/2: the trailers that follow the last piece of its answer.
#[derive(Clone, Debug)]
pub(crate) struct LastTrailers(pub(crate) HeaderMap);

/// What is known of a request by its type alone.
pub(crate) type Parked = Box<dyn Any + Send + Sync>;

/// What the TLS handshake of a connection came to.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionTls {
    pub(crate) session: Arc<TlsSession>,
    pub(crate) policy: PolicyId,
}

impl Connection {
    pub(crate) fn new(
        listener: Arc<Listener>,
        ends: Ends,
        tls: Option<ConnectionTls>,
        ending: Ending,
    ) -> Self {
        let peer = ends.peer.address();
        let peer_ip = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        // RFC 7239 §6.2 has this word for a peer without an address; lists of proxies know it.
        let peer_ip_value = peer.map_or(HeaderValue::from_static("unknown"), |_| ip_value(peer_ip));
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            listener,
            ends,
            peer_ip,
            peer_ip_value,
            tls,
            upgraded: false.into(),
            reader: AtomicWaker::new(),
            trailers: Mutex::new(None),
            pacing: Pacing::default(),
            parked: Mutex::new(None),
            ending,
            lasting: Mutex::new(None),
            is_lasting: false.into(),
            is_broken_off: false.into(),
            is_sipping: false.into(),
        }
    }

    /// What no other connection of the process has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Who speaks, and what was connected to.
    pub(crate) fn ends(&self) -> Ends {
        self.ends
    }

    /// The client's address, of the socket or by its PROXY header; `0.0.0.0` where there is none.
    pub(crate) fn peer_ip(&self) -> IpAddr {
        self.peer_ip
    }

    /// The same as a header's value, made once.
    pub(crate) fn peer_ip_value(&self) -> &HeaderValue {
        &self.peer_ip_value
    }

    /// Whether the peer is one whose forwarding headers are believed.
    pub(crate) fn is_trusted_by(&self, snapshot: &Snapshot) -> bool {
        match self.ends.peer {
            Peer::Inet(_) => snapshot.trusts(self.peer_ip),
            Peer::Unix => snapshot.trusts_unix,
            Peer::Hidden(_) => false,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// What its handshake came to, if it speaks TLS.
    pub(crate) fn tls(&self) -> Option<&Arc<TlsSession>> {
        self.tls.as_ref().map(|tls| &tls.session)
    }

    /// Its listener as the configuration of a request has it, and as it was accepted once there is none of that name.
    pub(crate) fn listener_in<'a>(&'a self, snapshot: &'a Snapshot) -> &'a Listener {
        snapshot.listeners.with_id(self.listener.id).unwrap_or(&self.listener)
    }

    /// Whether a request for `host` may be served on it: not when other clients' certificates are asked for there, or when
    /// TLS is by now that the connection does not speak.
    pub(crate) fn serves(&self, host: &str, snapshot: &Snapshot) -> bool {
        match (&self.listener_in(snapshot).tls, &self.tls) {
            (Some(termination), Some(tls)) => termination.serves(host, tls.policy),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Lets through what the client sends from now on: it speaks the protocol that both sides agreed on.
    pub(crate) fn mark_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// How far the end of the process has come.
    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Says of the request of HTTP/1 that is served that it may go on for as long as its client likes.
    pub(crate) fn mark_lasting(&self) {
        *self.lasting.lock() = Some(self.ending.begin_lasting());
        self.is_lasting.store(true, Ordering::Release);
    }

    /// Says that this request has ended.
    pub(crate) fn end_lasting(&self) {
        if self.is_lasting.swap(false, Ordering::AcqRel) {
            *self.lasting.lock() = None;
        }
    }

    pub(crate) fn is_lasting(&self) -> bool {
        self.is_lasting.load(Ordering::Acquire)
    }

    /// Has the request of HTTP/1 fail that is served. Its task has to be polled for it to learn so.
    pub(crate) fn break_off(&self) {
        self.is_broken_off.store(true, Ordering::Release);
    }

    pub(crate) fn is_broken_off(&self) -> bool {
        self.is_broken_off.load(Ordering::Acquire)
    }

    /// Has the body of the request of HTTP/1 handed over in pieces of 4 KiB at most, for whoever may read only so much of it.
    pub(crate) fn sip(&self) -> Sipping<'_> {
        self.is_sipping.store(true, Ordering::Release);
        Sipping(&self.is_sipping)
    }

    pub(crate) fn is_sipping(&self) -> bool {
        self.is_sipping.load(Ordering::Acquire)
    }

    /// Leaves the trailers of the response, in the lines of HTTP/1, for the end of its chunks.
    pub(crate) fn leave_trailers(&self, lines: Bytes) {
        *self.trailers.lock() = Some(lines);
    }

    /// The trailers that were left, which are then gone.
    pub(crate) fn take_trailers(&self) -> Option<Bytes> {
        self.trailers.lock().take()
    }

    /// How fast the body of the answer of HTTP/1 goes on that is written. Streams of HTTP/2 have each their own.
    pub(crate) fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    /// Leaves what is known of the request of HTTP/1 that comes next, for whoever serves it.
    pub(crate) fn park(&self, parked: Parked) {
        *self.parked.lock() = Some(parked);
    }

    /// What was left of the request, if something was.
    pub(crate) fn take_parked(&self) -> Option<Parked> {
        self.parked.lock().take()
    }

    /// Who is woken when the connection is upgraded.
    pub(crate) fn reader(&self) -> &AtomicWaker {
        &self.reader
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("listener", &self.listener.name)
            .field("peer", &self.peer_ip)
            .finish_non_exhaustive()
    }
}

/// An IP address as a header's value.
pub(crate) fn ip_value(ip: IpAddr) -> HeaderValue {
    // Digits, letters, dots and colons are legal in every header.
    HeaderValue::try_from(ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
