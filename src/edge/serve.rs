use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::spec::HttpVersion;
use crate::gateway::HttpApp;
use crate::l4::{Arrival, Layer4};
use crate::net::Transport;
use crate::runtime::{AdminService, Cause, Connection, Ending, Peer, Stage, Via};
use crate::telemetry::AccessLog;

use super::accepting::{Means, Service};
use super::adopt::Accepted;
use super::entry::{Arrived, Opened, admit, open, refuse_silently};
use super::limits::{ConnectionLimits, Place};
use super::open::Open;
use super::refusal::refuse;
use super::seats::{Seat, Seats};
use super::stream::EdgeStream;
use super::{http1, http2};

/// How often it is looked whether a drain is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// RFC 9113 §3.4.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts clients on every listener, and hands their connections on.
pub(crate) struct Edge {
    serves: Serves,
    /// That of the process, or of what those have who look after it.
    pub(super) ending: Ending,
    pub(super) limits: Arc<ConnectionLimits>,
    /// How many sockets take the datagrams of an address.
    pub(super) threads: usize,
    pub(super) accepted: Mutex<Accepted>,
    /// How many sockets are accepted on, or were left to another process while their flows go on.
    pub(super) busy: Arc<AtomicUsize>,
}

/// Whom connections go to.
enum Serves {
    Traffic(Arc<Traffic>),
    Admin(Attendants),
}

/// Has those who look after the process answered by a service, as long as it is there.
#[derive(Default)]
struct Attendants {
    service: OnceLock<Weak<dyn AdminService>>,
    seats: Arc<Seats<Place>>,
}

/// Hands requests to `app`, or passes connections on.
struct Traffic {
    app: Arc<HttpApp>,
    layer4: Layer4,
    log: Arc<AccessLog>,
}

/// What holds for all listeners together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EdgeLimits {
    /// So many clients may be connected at once.
    pub(crate) connections: usize,
    /// So many bits of an IPv6 address stand for one of them.
    pub(crate) ipv6_prefix: u8,
}

impl Edge {
    /// An edge without listeners that serves on so many threads, until the `ending` of the process.
    pub(crate) fn new(
        app: Arc<HttpApp>,
        layer4: Layer4,
        log: Arc<AccessLog>,
        ending: Ending,
        EdgeLimits { connections, ipv6_prefix }: EdgeLimits,
        threads: usize,
    ) -> Arc<Self> {
        let limits = ConnectionLimits::new(connections, ipv6_prefix);
        let (accepted, busy) = (Mutex::default(), Arc::default());
        let serves = Serves::Traffic(Arc::new(Traffic { app, layer4, log }));
        Arc::new(Self { serves, ending, limits, threads, accepted, busy })
    }

    /// One for those who look after the process. It has an end of its own, so that it answers them while the process
    /// drains, and limits of its own, so that it does when clients have taken all there is.
    pub(crate) fn for_admin() -> Arc<Self> {
        Arc::new(Self {
            serves: Serves::Admin(Attendants::default()),
            ending: Ending::default(),
            limits: ConnectionLimits::new(usize::MAX, 128),
            threads: 1,
            accepted: Mutex::default(),
            busy: Arc::default(),
        })
    }

    /// Has those who look after the process answered by this, as long as somebody keeps it.
    pub(crate) fn answer_by(&self, service: &Arc<dyn AdminService>) {
        if let Serves::Admin(attendants) = &self.serves {
            // It is set once.
            let _ = attendants.service.set(Arc::downgrade(service));
        }
    }

    /// Ends what was accepted here, and accepts nobody any more unless it is to [`resume`](Self::resume).
    pub(crate) fn end(&self) {
        self.ending.advance(Stage::Draining);
    }

    pub(super) fn layer4(&self) -> Option<&Layer4> {
        match &self.serves {
            Serves::Traffic(traffic) => Some(&traffic.layer4),
            Serves::Admin(_) => None,
        }
    }

    /// Has other limits from here on. No connection ends for that.
    pub(crate) fn change_limits(&self, EdgeLimits { connections, ipv6_prefix }: EdgeLimits) {
        self.limits.change(connections, ipv6_prefix);
    }

    /// Serves what was adopted, and what will be, on the runtime that this is called on, until the drain is over: nobody is
    /// accepted any more, and every connection has ended.
    pub(crate) async fn run(self: &Arc<Self>) {
        self.start_here();
        loop {
            self.ending.reached(Stage::Draining).await;
            while self.ending.has_reached(Stage::Draining) {
                if self.is_drained() {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// What goes on at this moment.
    pub(crate) fn open(&self) -> Open {
        let tcp = self.limits.passed_on();
        Open {
            http: self.limits.open().saturating_sub(tcp),
            tunnels: self.ending.lasting(),
            tcp,
            udp: self.open_flows(),
        }
    }

    /// Waits until nobody is accepted any more, no client is connected, and no flow of datagrams goes on.
    pub(crate) async fn drained(&self) {
        while !self.is_drained() {
            sleep(LOOK_EVERY).await;
        }
    }

    fn is_drained(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0 && self.limits.open() == 0 && self.open_flows() == 0
    }

    /// Has a task serve a connection, if there is a place for it, or one can be had.
    pub(super) fn take_in(
        &self,
        (transport, peer): (Transport, Option<SocketAddr>),
        Service { listener, ending, means }: &Service,
    ) {
        let Means::Connections(limits) = means else { return };
        let ip = peer.map(|peer| peer.ip());
        let Some(mut place) = admit(listener, limits, ip, || self.makes_room()) else {
            return refuse_silently(transport, listener);
        };
        if listener.tcp().is_some() {
            place.pass_on();
        }
        let (accepted, ending) = (Instant::now(), ending.clone());
        let arrived = Arrived { transport, peer, place, listener: listener.clone(), accepted };
        match &self.serves {
            Serves::Traffic(traffic) if listener.tcp().is_some() => {
                tokio::spawn(traffic.clone().pass(arrived, ending));
            }
            Serves::Traffic(traffic) => {
                tokio::spawn(traffic.clone().serve(arrived, ending));
            }
            Serves::Admin(attendants) => {
                let Some(service) = attendants.service.get().and_then(Weak::upgrade) else { return };
                let Arrived { transport, peer, place, .. } = arrived;
                let seat = attendants.seats.keep(place, accepted);
                let via = Via::Listener(Peer::of_socket(peer));
                tokio::spawn(attend(service, transport, via, ending, seat));
            }
        }
    }

    /// Whether the place of a client that keeps others waiting was taken from it.
    fn makes_room(&self) -> bool {
        match &self.serves {
            Serves::Traffic(_) => false,
            Serves::Admin(attendants) => attendants.seats.free_one(),
        }
    }
}

/// Answers somebody who looks after the process, until the connection or its place is gone.
async fn attend(
    service: Arc<dyn AdminService>,
    transport: Transport,
    via: Via,
    ending: Ending,
    mut seat: Seat<Place>,
) {
    let waiting = seat.waiting.clone();
    tokio::select! {
        () = service.serve(transport, via, ending, waiting) => {}
        () = seat.given_away() => {}
    }
}

impl Traffic {
    /// Passes a connection on that is not understood here.
    async fn pass(self: Arc<Self>, arrived: Arrived, ending: Ending) {
        let (listener, accepted) = (arrived.listener.clone(), arrived.accepted);
        // Boxed, like all that is soon over: what stands here in full is memory of every connection for its life.
        let Some(opened) = Box::pin(open(arrived, &ending)).await else { return };
        let Opened { transport, ends, tls, place } = opened;
        let tls = tls.map(|tls| tls.session);
        self.layer4.pass(Arrival { client: transport, ends, tls, listener, accepted, ending }).await;
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
                Err(_) => return Box::pin(refuse(stream, &Cause::HeaderTimeout, &self.app, &self.log)).await,
            },
        };
        if !listener.serves(version) {
            return Box::pin(refuse(stream, &Cause::VersionRefused, &self.app, &self.log)).await;
        }
        match version {
            HttpVersion::H1 => http1::serve(&self.app, stream, deadline, &self.log).await,
            HttpVersion::H2 => Box::pin(http2::serve(&self.app, stream, &self.log)).await,
        }
    }
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
