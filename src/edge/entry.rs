//! What comes before a client's own first byte: limits, the PROXY header, TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::net::Transport;
use crate::runtime::{ConnectionTls, Ending, Ends, HandshakeEnd, Listener, Peer};
use crate::tls::{Accepted, HandshakeError};

use super::limits::{Full, ListenerLimits, Place};
use super::proxy_protocol;

/// A connection that was accepted.
pub(super) struct Arrived {
    pub(super) transport: Transport,
    /// Where it comes from; `None` for a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    pub(super) place: Place,
    pub(super) listener: Arc<Listener>,
    pub(super) accepted: Instant,
}

/// A connection whose PROXY header and TLS handshake are done, if there were any.
pub(super) struct Opened {
    pub(super) transport: Transport,
    pub(super) ends: Ends,
    pub(super) tls: Option<ConnectionTls>,
    pub(super) place: Place,
}

/// Does what comes before a client's own first byte. `None` when there is no connection to serve.
pub(super) async fn open(arrived: Arrived, ending: &Ending) -> Option<Opened> {
    let Arrived { mut transport, peer, mut place, listener, accepted } = arrived;
    let due = accepted + listener.limits.handshake.get();
    let ends = tokio::select! {
        biased;
        ends = meet(&mut transport, &listener, peer, &mut place, due) => ends,
        () = ending.gives_up(accepted) => None,
    };
    let Some(ends) = ends else {
        refuse_silently(transport, &listener);
        return None;
    };
    if listener.tls.is_some() && !begins(&transport, due, ending, accepted).await {
        return None;
    }
    let (transport, tls) = secure(transport, &listener, ends.peer.address(), due).await?;
    Some(Opened { transport, ends, tls, place })
}

/// A place for a connection that was accepted. Where balancers stand in front, whoever else comes gets none, and the
/// balancers' own addresses are not counted. Where there is none, `make_room` may free one, or says that it cannot.
pub(super) fn admit(
    listener: &Listener,
    limits: &Arc<ListenerLimits>,
    peer: Option<IpAddr>,
    make_room: impl Fn() -> bool,
) -> Option<Place> {
    if !listener.admits(peer) {
        log::debug!("connection refused listener={} peer={peer:?} error=\"no balancer\"", listener.name);
        return None;
    }
    let counted = peer.filter(|_| !listener.expects_proxy_header());
    let place = loop {
        match limits.enter(counted) {
            Ok(place) => break place,
            Err(_) if make_room() => {}
            Err(full) => {
                limits.note_refused();
                tell_full(listener, peer, full);
                return None;
            }
        }
    };
    listener.stats.count_accepted();
    Some(place)
}

/// Closes a connection without a word. Where it would have been passed on, a clean end would look like the endpoint's.
pub(super) fn refuse_silently(transport: Transport, listener: &Listener) {
    if listener.tcp().is_some() {
        transport.reset();
    }
}

/// Finds both ends of a connection, and counts it as one of its client. `None` when there is no connection to serve.
async fn meet(
    transport: &mut Transport,
    listener: &Listener,
    peer: Option<SocketAddr>,
    place: &mut Place,
    due: Instant,
) -> Option<Ends> {
    let met = proxy_protocol::ends(transport, Peer::of_socket(peer), listener, due).await;
    let ends = met
        .inspect_err(|error| {
            log::debug!("no PROXY header listener={} peer={peer:?} error=\"{error}\"", listener.name);
        })
        .ok()?;
    if listener.expects_proxy_header()
        && let Some(client) = ends.peer.counted_ip()
    {
        let counted = place.count(client).inspect_err(|full| {
            place.note_refused();
            tell_full(listener, Some(client), *full);
        });
        counted.ok()?;
    }
    Some(ends)
}

fn tell_full(listener: &Listener, peer: Option<IpAddr>, full: Full) {
    log::debug!("connection refused listener={} peer={peer:?} full={full:?}", listener.name);
}

/// Whether the client begins a handshake in time. One that says nothing does not hold a drain up either.
async fn begins(transport: &Transport, due: Instant, ending: &Ending, accepted: Instant) -> bool {
    let mut first = [0];
    tokio::select! {
        biased;
        begun = timeout_at(due, transport.peek(&mut first)) => matches!(begun, Ok(Ok(1..))),
        () = ending.gives_up(accepted) => false,
    }
}

/// Ends TLS where the listener speaks it. `None` when there is no connection to serve: the client has got its alert.
async fn secure(
    transport: Transport,
    listener: &Listener,
    peer: Option<SocketAddr>,
    due: Instant,
) -> Option<(Transport, Option<ConnectionTls>)> {
    let Some(termination) = &listener.tls else { return Some((transport, None)) };
    match timeout_at(due, termination.accept(transport)).await {
        Ok(Ok(accepted)) => {
            let Accepted { stream, session, policy } = accepted;
            let is_resumed = session.is_resumed;
            listener.stats.count_handshake(if is_resumed {
                HandshakeEnd::Resumed
            } else {
                HandshakeEnd::Full
            });
            let tls = ConnectionTls { session: Arc::new(session), policy };
            Some((Transport::Tls(Box::new(stream.into())), Some(tls)))
        }
        Ok(Err(error)) => {
            listener.stats.count_handshake(HandshakeEnd::Failed);
            tell_handshake(listener, peer, &error);
            None
        }
        Err(_) => {
            listener.stats.count_handshake(HandshakeEnd::TimedOut);
            log::debug!("handshake failed listener={} peer={peer:?} error=\"too slow\"", listener.name);
            None
        }
    }
}

/// Everybody's scanners come by here, so that most failures are told only to those who ask for it. What operators may have
/// to put right, like the certificates of their own clients, is a warning once in a while.
fn tell_handshake(listener: &Listener, peer: Option<SocketAddr>, error: &HandshakeError) {
    let is_warning = !error.is_noise() && listener.handshakes_told.may_tell(Instant::now());
    let level = if is_warning { log::Level::Warn } else { log::Level::Debug };
    log::log!(level, "handshake failed listener={} peer={peer:?} error=\"{error}\"", listener.name);
}
