use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::time::Instant;

use crate::config;
use crate::config::spec::UpstreamProtocol;
use crate::hooks::{Load, Member};
use crate::types::{EndpointAddr, Rarely, Weight, ZoneName};

use super::health::{History, ProbeResult};
use super::lease::Lease;
use super::peer::{PeerTls, peer_template};
use super::queue::Queue;
use super::window::Window;

/// What an endpoint is at the moment: one state, the same for requests, probes, logs and displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum State {
    /// Its first probe has not ended: no work yet.
    Checking = 0,
    /// It gets work.
    Fit = 1,
    /// Its probes fail: no work.
    Unfit = 2,
    /// It failed too many requests: no work for a while.
    Ejected = 3,
    /// No new work; it finishes the old, and still serves clients that stick to it.
    Draining = 4,
    /// No new work, and the old is finished.
    Drained = 5,
}

impl State {
    /// Whether an operator took it out.
    pub(crate) fn is_in_drain(self) -> bool {
        matches!(self, Self::Draining | Self::Drained)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Fit => "fit",
            Self::Unfit => "unfit",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }
}

/// One member of a pool, shared by all threads.
pub(crate) struct Endpoint {
    /// How policies see it.
    member: Member,
    /// Its place in the pool's list.
    index: usize,
    zone: Option<ZoneName>,
    is_backup: bool,
    state: AtomicU8,
    gets_work: AtomicBool,
    epoch: AtomicU32,
    /// Failures in a row.
    pub(super) failures_in_row: AtomicU32,
    pub(super) window: Window,
    pub(super) history: History,
    queue: Arc<Queue>,
    peer: HttpPeer,
    speaks_h2: AtomicBool,
    told: Rarely,
}

/// What all endpoints of a pool share when they are made.
pub(super) struct Common<'a> {
    pub(super) config: &'a config::Pool,
    pub(super) tls: Option<&'a PeerTls>,
    pub(super) queue: &'a Arc<Queue>,
    pub(super) load: &'a Arc<crate::hooks::PoolLoad>,
    pub(super) state: State,
    pub(super) now: Instant,
}

// === Endpoint ===

impl Endpoint {
    pub(super) fn new(config: &config::Endpoint, index: usize, common: &Common<'_>) -> Self {
        let pool = common.config;
        let load = Load::new(
            config.weight,
            config.max_requests,
            pool.slow_start.get(),
            common.load.clone(),
            common.now,
        );
        let window = pool.outlier.as_ref().map_or(Duration::ZERO, |outlier| outlier.window.get());
        Self {
            member: Member::new(Arc::new(config.address.clone()), Arc::new(CachePadded::new(load))),
            index,
            zone: config.zone.clone(),
            is_backup: config.backup,
            state: AtomicU8::new(common.state as u8),
            gets_work: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            failures_in_row: AtomicU32::new(0),
            window: Window::new(window),
            history: History::default(),
            queue: common.queue.clone(),
            peer: peer_template(&config.address, pool, common.tls),
            speaks_h2: AtomicBool::new(matches!(pool.protocol, UpstreamProtocol::H2 | UpstreamProtocol::H2c)),
            told: Rarely::default(),
        }
    }

    pub(crate) fn address(&self) -> &Arc<EndpointAddr> {
        self.member.shared_address()
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn weight(&self) -> u16 {
        self.load().weight()
    }

    pub(super) fn set_weight(&self, weight: Weight) {
        self.load().set_weight(weight);
    }

    pub(crate) fn zone(&self) -> Option<&ZoneName> {
        self.zone.as_ref()
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.is_backup
    }

    pub(crate) fn load(&self) -> &Load {
        self.member.load()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.load().in_flight()
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Checking,
            1 => State::Fit,
            2 => State::Unfit,
            3 => State::Ejected,
            _ if self.in_flight() > 0 => State::Draining,
            _ => State::Drained,
        }
    }

    pub(super) fn publish(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// The last probes, the oldest first.
    pub(crate) fn probes(&self) -> Vec<ProbeResult> {
        self.history.snapshot()
    }

    /// Whether it is among those that may be picked.
    pub(super) fn gets_work(&self) -> bool {
        self.gets_work.load(Ordering::SeqCst)
    }

    pub(super) fn set_gets_work(&self, gets_work: bool) {
        self.gets_work.store(gets_work, Ordering::SeqCst);
    }

    /// The number of its ejections and returns: what requests of an earlier epoch come to says nothing of this one.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn begin_ejection(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.load().end_trial();
    }

    /// Lets one request at a time through, until it is known whether the endpoint has recovered.
    pub(super) fn begin_trial(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.load().forget_latency();
        self.window.forget();
        self.failures_in_row.store(0, Ordering::Relaxed);
        self.load().begin_trial();
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How policies see the endpoint.
    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    /// How Pingora reaches the endpoint; each attempt takes a copy.
    pub(crate) fn peer(&self) -> &HttpPeer {
        &self.peer
    }

    /// Whether the endpoint speaks HTTP/2. Where it chooses for itself, this is what it chose last.
    pub(crate) fn speaks_h2(&self) -> bool {
        self.speaks_h2.load(Ordering::Relaxed)
    }

    pub(crate) fn note_version(&self, is_h2: bool) {
        if self.speaks_h2() != is_h2 {
            self.speaks_h2.store(is_h2, Ordering::Relaxed);
        }
    }

    /// Whether a failure that requests repeat may be told again: once in a while is enough for the log.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        self.told.may_tell(now)
    }

    /// A hold on the endpoint, if it has room for another request.
    pub(super) fn try_lease(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        let lease = self.try_place()?;
        self.load().note_pick(now);
        Some(lease)
    }

    /// The same for a request that waits, which counts the pick when it goes on.
    fn try_place(self: &Arc<Self>) -> Option<Lease> {
        self.load().try_begin().map(|begun| Lease::new(self.clone(), begun))
    }

    /// Gives room that it has to requests that wait.
    pub(super) fn serve_waiting(self: &Arc<Self>) {
        while self.queue.waiting() > 0 && self.gets_work() {
            let Some(place) = self.try_place() else { return };
            // Back it comes when nobody waits any more, and ends here.
            if self.queue.hand_over(place).is_err() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", self.address())
            .field("state", &self.state())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// The address in Pingora's own type.
pub(super) fn pingora_addr(address: &EndpointAddr) -> PingoraAddr {
    match address {
        EndpointAddr::Inet(inet) => PingoraAddr::Inet(*inet),
        #[expect(clippy::expect_used, reason = "the address type refuses paths that sockaddr_un cannot hold")]
        EndpointAddr::Unix(path) => PingoraAddr::Unix(
            std::os::unix::net::SocketAddr::from_pathname(path).expect("a checked Unix socket path"),
        ),
    }
}
