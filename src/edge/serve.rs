use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pingora_core::apps::HttpServerApp;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::spec::HttpVersion;
use crate::l4::{Arrival, Layer4, UdpProxy};
use crate::net::{Acceptor, Transport, is_shortage};
use crate::runtime::{Cause, Connection, ConnectionTls, Counted, Ending, Ends, Listener, Peer, Stage};
use crate::telemetry::AccessLog;
use crate::tls::{Accepted, HandshakeError};

use super::bind::{BACKLOG, BoundListener, StdSocket};
use super::limits::{ConnectionLimits, Full, ListenerLimits, Place};
use super::open::Open;
use super::refusal::refuse;
use super::stream::EdgeStream;
use super::{http1, http2, proxy_protocol};

/// RFC 9113 §3.4.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts clients on every listener, and hands their requests to `app` or passes their connections on.
pub(crate) struct Edge<A> {
    app: Arc<A>,
    layer4: Layer4,
    log: Arc<AccessLog>,
    limits: Arc<ConnectionLimits>,
    /// One for each listener for datagrams.
    datagrams: Mutex<Vec<Arc<UdpProxy>>>,
    /// One for each listener whose connections are passed on.
    passed_on: Mutex<Vec<Arc<ListenerLimits>>>,
    /// Whether nobody is accepted any more.
    is_closed: AtomicBool,
}

impl<A> Edge<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    /// At most `connections` clients at once over all listeners.
    pub(crate) fn new(
        app: Arc<A>,
        layer4: Layer4,
        log: Arc<AccessLog>,
        connections: usize,
        ipv6_prefix: u8,
    ) -> Arc<Self> {
        let limits = ConnectionLimits::new(connections, ipv6_prefix);
        Arc::new(Self {
            app,
            layer4,
            log,
            limits,
            datagrams: Mutex::default(),
            passed_on: Mutex::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Accepts until the drain begins, then waits until every connection has ended.
    pub(crate) async fn run(self: &Arc<Self>, bound: Vec<BoundListener>, ending: &Ending) -> io::Result<()> {
        let loops = self.listen(bound, ending);
        let result = match loops {
            Ok(mut loops) => {
                while loops.join_next().await.is_some() {}
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.is_closed.store(true, Ordering::Release);
        result?;
        self.drained().await;
        Ok(())
    }

    /// Has tasks serve what was bound. They end when there are no clients left to be accepted.
    fn listen(self: &Arc<Self>, bound: Vec<BoundListener>, ending: &Ending) -> io::Result<JoinSet<()>> {
        let mut loops = JoinSet::new();
        for BoundListener { listener, sockets } in bound {
            let datagrams = self.layer4.datagrams(&listener);
            let most = listener.limits.connections.map_or(usize::MAX, |most| most.get() as usize);
            let limits = ListenerLimits::new(self.limits.clone(), most, listener.limits.per_client.get());
            match &datagrams {
                Some(proxy) => {
                    listener.count_by(proxy.clone());
                    self.datagrams.lock().push(proxy.clone());
                }
                None => listener.count_by(limits.clone()),
            }
            if listener.tcp().is_some() {
                self.passed_on.lock().push(limits.clone());
            }
            for socket in sockets {
                let acceptor = match socket.socket {
                    StdSocket::Tcp(socket) => Acceptor::Tcp(TcpListener::from_std(socket)?),
                    StdSocket::Unix(socket) => Acceptor::Unix(UnixListener::from_std(socket)?),
                    StdSocket::Udp(sockets) => {
                        for socket in sockets {
                            loops.spawn(pass_datagrams(datagrams.clone(), socket, ending.clone()));
                        }
                        continue;
                    }
                };
                loops.spawn(self.clone().accept(acceptor, listener.clone(), limits.clone(), ending.clone()));
            }
        }
        Ok(loops)
    }

    /// Clients that are connected at this moment.
    pub(crate) fn open_connections(&self) -> usize {
        self.limits.open()
    }

    /// What goes on at this moment.
    pub(crate) fn open(&self, ending: &Ending) -> Open {
        let tcp = self.passed_on.lock().iter().map(|limits| limits.counts().open).sum();
        Open {
            http: self.open_connections().saturating_sub(tcp),
            tunnels: ending.lasting(),
            tcp,
            udp: self.open_flows(),
        }
    }

    /// Flows of datagrams at this moment.
    fn open_flows(&self) -> usize {
        self.datagrams.lock().iter().map(|proxy| proxy.open_flows()).sum()
    }

    /// Waits until nobody is accepted any more, no client is connected, and no flow of datagrams goes on.
    pub(crate) async fn drained(&self) {
        let is_closed = || self.is_closed.load(Ordering::Acquire);
        while !is_closed() || self.open_connections() > 0 || self.open_flows() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn accept(
        self: Arc<Self>,
        acceptor: Acceptor,
        listener: Arc<Listener>,
        limits: Arc<ListenerLimits>,
        ending: Ending,
    ) {
        let stop = ending.reached(Stage::Draining);
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = acceptor.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => self.take_in(accepted, &listener, &limits, &ending),
                Err(error) => rest_after(&error, &listener).await,
            }
        }
        self.empty(&acceptor, &listener, &limits, &ending);
    }

    /// Takes in whoever has connected and waits to be accepted: to close the socket would reset them.
    fn empty(
        self: &Arc<Self>,
        acceptor: &Acceptor,
        listener: &Arc<Listener>,
        limits: &Arc<ListenerLimits>,
        ending: &Ending,
    ) {
        // No more than can have waited, or whoever goes on connecting would hold the drain up.
        for _ in 0..BACKLOG {
            match acceptor.accept_waiting() {
                Ok(Some(accepted)) => self.take_in(accepted, listener, limits, ending),
                Ok(None) => return,
                // Gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::warn!("cannot accept before closing listener={} error={error:?}", listener.name);
                    return;
                }
            }
        }
    }

    /// Has a task serve a connection, if there is a place for it.
    fn take_in(
        self: &Arc<Self>,
        (transport, peer): (Transport, Option<SocketAddr>),
        listener: &Arc<Listener>,
        limits: &Arc<ListenerLimits>,
        ending: &Ending,
    ) {
        let Some(place) = admit(listener, limits, peer.map(|peer| peer.ip())) else {
            return refuse_silently(transport, listener);
        };
        let accepted = Instant::now();
        let arrived = Arrived { transport, peer, place, listener: listener.clone(), accepted };
        if listener.tcp().is_some() {
            tokio::spawn(self.clone().pass(arrived, ending.clone()));
        } else {
            tokio::spawn(self.clone().serve(arrived, ending.clone()));
        }
    }

    /// Passes a connection on that is not understood here.
    async fn pass(self: Arc<Self>, arrived: Arrived, ending: Ending) {
        let (listener, accepted) = (arrived.listener.clone(), arrived.accepted);
        // Boxed, like all that is soon over: what stands here in full is memory of every connection for its life.
        let Some(opened) = Box::pin(open(arrived, &ending)).await else { return };
        let Opened { transport, ends, tls, place } = opened;
        let tls = tls.map(|tls| tls.session);
        self.layer4.pass(Arrival { client: transport, ends, tls, listener, accepted }).await;
        drop(place);
    }

    async fn serve(self: Arc<Self>, arrived: Arrived, ending: Ending) {
        let (listener, accepted) = (arrived.listener.clone(), arrived.accepted);
        let Some(opened) = Box::pin(open(arrived, &ending)).await else { return };
        let Opened { transport, ends, tls, place: _place } = opened;
        let agreed = tls.as_ref().map(|tls| tls.session.alpn.unwrap_or(HttpVersion::H1));
        let connection = Connection::new(listener.clone(), ends, tls, ending.clone());
        let Ok(mut stream) = EdgeStream::new(transport, Arc::new(connection)) else { return };
        let limit = listener.limits.header.timeout.get();
        // A client that says nothing at all does not hold a drain up; one that has begun is served.
        let has_begun = tokio::select! {
            biased;
            arrived = timeout(limit, stream.arrival()) => matches!(arrived, Ok(Ok(1..))),
            () = ending.gives_up(accepted) => false,
        };
        if !has_begun {
            return;
        }
        let deadline = Instant::now() + limit;
        let version = match agreed {
            Some(version) => version,
            None => match timeout_at(deadline, sniff(&mut stream)).await {
                Ok(Ok(Some(version))) => version,
                Ok(_) => return,
                Err(_) => return refuse(stream, &Cause::HeaderTimeout, &self.log).await,
            },
        };
        if !listener.serves(version) {
            return refuse(stream, &Cause::VersionRefused, &self.log).await;
        }
        match version {
            HttpVersion::H1 => http1::serve(&self.app, stream, deadline, &self.log).await,
            HttpVersion::H2 => Box::pin(http2::serve(&self.app, stream, &self.log)).await,
        }
    }
}

async fn pass_datagrams(proxy: Option<Arc<UdpProxy>>, socket: UdpSocket, ending: Ending) {
    let Some(proxy) = proxy else { return };
    let ended = tokio::select! {
        ended = proxy.run(socket, ending.draining()) => ended,
        // Its flows end with it.
        () = ending.reached(Stage::AllCut) => Ok(()),
    };
    if let Err(error) = ended {
        log::error!("datagrams cannot be served error={error}");
    }
}

/// A connection that was accepted.
struct Arrived {
    transport: Transport,
    /// Where it comes from; `None` for a Unix socket.
    peer: Option<SocketAddr>,
    place: Place,
    listener: Arc<Listener>,
    accepted: Instant,
}

/// A connection whose PROXY header and TLS handshake are done, if there were any.
struct Opened {
    transport: Transport,
    ends: Ends,
    tls: Option<ConnectionTls>,
    place: Place,
}

/// Does what comes before a client's own first byte. `None` when there is no connection to serve.
async fn open(arrived: Arrived, ending: &Ending) -> Option<Opened> {
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
/// balancers' own addresses are not counted.
fn admit(listener: &Listener, limits: &Arc<ListenerLimits>, peer: Option<IpAddr>) -> Option<Place> {
    if !listener.admits(peer) {
        log::debug!("connection refused listener={} peer={peer:?} error=\"no balancer\"", listener.name);
        return None;
    }
    let counted = peer.filter(|_| !listener.expects_proxy_header());
    let place = limits.enter(counted);
    place.inspect_err(|full| tell_full(listener, peer, *full)).ok()
}

/// Closes a connection without a word. Where it would have been passed on, a clean end would look like the endpoint's.
fn refuse_silently(transport: Transport, listener: &Listener) {
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
        place.count(client).inspect_err(|full| tell_full(listener, Some(client), *full)).ok()?;
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
            let tls = ConnectionTls { session: Arc::new(session), policy };
            Some((Transport::Tls(Box::new(stream.into())), Some(tls)))
        }
        Ok(Err(error)) => {
            tell_handshake(listener, peer, &error);
            None
        }
        Err(_) => {
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

/// Tells the version by the first bytes: HTTP/2 begins with its preface, whose first differing byte decides.
async fn sniff(stream: &mut EdgeStream) -> io::Result<Option<HttpVersion>> {
    loop {
        let start = &stream.inbound()[..stream.inbound().len().min(PREFACE.len())];
        if !PREFACE.starts_with(start) {
            return Ok(Some(HttpVersion::H1));
        }
        if start.len() == PREFACE.len() {
            return Ok(Some(HttpVersion::H2));
        }
        if stream.arrival().await? == 0 {
            return Ok(None);
        }
    }
}

/// Out of descriptors or memory, accepting again at once would only burn the processor.
async fn rest_after(error: &io::Error, listener: &Listener) {
    if is_shortage(error) {
        log::warn!("cannot accept listener={} error={error:?}", listener.name);
        sleep(Duration::from_millis(100)).await;
    }
}
