use std::sync::Arc;

use http::HeaderValue;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::time::Instant;

use crate::config;
use crate::config::spec::UpstreamProtocol;
use crate::hooks::{Load, Member, Scheme};
use crate::types::{EndpointAddr, ZoneName};

use super::generation::Generation;
use super::health::ProbeResult;
use super::lease::Lease;
use super::peer::peer_template;
use super::record::Record;

/// What an endpoint is at the moment: one state, the same for requests, probes, logs and displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum State {
    /// Its first probe has not ended: no work yet.
    Checking = 0,
    /// It gets work.
    Fit = 1,
    /// Its probes fail: no work.
    Unfit = 2,
    /// It failed too many requests, or an operator has said so: no work for a while.
    Ejected = 3,
    /// No new work; it finishes the old, and still serves clients that stick to it.
    Draining = 4,
    /// No new work, and the old is finished.
    Drained = 5,
}

impl State {
    /// All there are.
    pub(crate) const ALL: [Self; 6] =
        [Self::Checking, Self::Fit, Self::Unfit, Self::Ejected, Self::Draining, Self::Drained];

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

/// A member of a pool as one of its generations has it, shared by all threads.
pub(crate) struct Endpoint {
    /// What is known of its address.
    record: Arc<Record>,
    /// The same as in the record, one step nearer.
    member: Member,
    generation: Arc<Generation>,
    /// Its place in the generation's list.
    index: usize,
    peer: HttpPeer,
}

// === Endpoint ===

impl Endpoint {
    pub(super) fn new(record: Arc<Record>, index: usize, generation: &Arc<Generation>) -> Self {
        let peer = peer_template(record.address(), &generation.config, generation.tls.as_ref());
        Self { member: record.member().clone(), record, generation: generation.clone(), index, peer }
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Whether both stand for the same address, if of different generations.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.record, &other.record)
    }

    /// What its generation says of it.
    pub(crate) fn config(&self) -> &config::Endpoint {
        &self.pool().endpoints[self.index]
    }

    /// What its generation says of its pool: how to speak to the endpoint.
    pub(crate) fn pool(&self) -> &config::Pool {
        &self.generation.config
    }

    /// How TLS is begun with the endpoint, and the name that its certificate has to hold; `None` where none is spoken.
    pub(crate) fn tls_client(&self) -> Option<(&Arc<rustls::ClientConfig>, String)> {
        self.generation.tls_client(self.address())
    }

    /// The `Set-Cookie` that binds a client to the endpoint, if its pool has any.
    pub(crate) fn set_cookie(&self, scheme: Scheme) -> Option<&HeaderValue> {
        self.generation.sticky.as_ref().map(|sticky| sticky.set_cookie(self.index, scheme))
    }

    pub(crate) fn address(&self) -> &Arc<EndpointAddr> {
        self.member.shared_address()
    }

    /// Its place in the list of its generation.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn weight(&self) -> u16 {
        self.load().weight()
    }

    pub(crate) fn zone(&self) -> Option<&ZoneName> {
        self.config().zone.as_ref()
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.config().backup
    }

    pub(crate) fn load(&self) -> &Load {
        self.member.load()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.load().in_flight()
    }

    pub(crate) fn state(&self) -> State {
        self.record.state()
    }

    /// The last probes, the oldest first.
    pub(crate) fn probes(&self) -> Vec<ProbeResult> {
        self.record.history.snapshot()
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
        match self.pool().protocol {
            UpstreamProtocol::H1 => false,
            UpstreamProtocol::H2 | UpstreamProtocol::H2c => true,
            UpstreamProtocol::Auto => self.record.chose_h2(),
        }
    }

    /// Notes what the endpoint chose.
    pub(crate) fn note_version(&self, is_h2: bool) {
        self.record.note_choice(is_h2);
    }

    /// Whether a failure that requests repeat may be told again: once in a while is enough for the log.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        self.record.may_tell(now)
    }

    /// A hold on the endpoint, if it has room for another request.
    pub(super) fn try_lease(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        let lease = self.try_place()?;
        self.load().note_pick(now);
        Some(lease)
    }

    /// The same for a request that waits, which counts the pick when it goes on.
    pub(super) fn try_place(self: &Arc<Self>) -> Option<Lease> {
        self.load().try_begin().map(|begun| Lease::new(self.clone(), begun))
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
