use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crossbeam_utils::CachePadded;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::upstreams::peer::HttpPeer;

use crate::config::spec::{Timeouts, UpstreamKeepalive};
use crate::hooks::{Load, Member};
use crate::types::{EndpointAddr, Weight};

/// Whether an endpoint gets work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fitness {
    /// Its first probe has not ended: no work yet.
    Checking = 0,
    /// It gets work.
    Fit = 1,
    /// Its probes fail: no work.
    Unfit = 2,
}

impl Fitness {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Fit => "fit",
            Self::Unfit => "unfit",
        }
    }
}

/// One member of a pool, shared by all threads.
pub(crate) struct Endpoint {
    address: Arc<EndpointAddr>,
    weight: Weight,
    load: Arc<CachePadded<Load>>,
    fitness: AtomicU8,
    peer: HttpPeer,
}

/// A request's hold on an endpoint: it counts as in flight until this is dropped, however the request ends.
#[derive(Debug)]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
}

// === Endpoint ===

impl Endpoint {
    pub(crate) fn new(
        address: EndpointAddr,
        weight: Weight,
        timeouts: &Timeouts,
        keepalive: &UpstreamKeepalive,
        fitness: Fitness,
    ) -> Self {
        let peer = peer_template(&address, timeouts, keepalive);
        Self {
            address: Arc::new(address),
            weight,
            load: Arc::default(),
            fitness: AtomicU8::new(fitness as u8),
            peer,
        }
    }

    pub(crate) fn address(&self) -> &Arc<EndpointAddr> {
        &self.address
    }

    pub(crate) fn weight(&self) -> Weight {
        self.weight
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    pub(crate) fn fitness(&self) -> Fitness {
        match self.fitness.load(Ordering::Acquire) {
            0 => Fitness::Checking,
            1 => Fitness::Fit,
            _ => Fitness::Unfit,
        }
    }

    pub(super) fn set_fitness(&self, fitness: Fitness) {
        self.fitness.store(fitness as u8, Ordering::Release);
    }

    /// How policies see the endpoint.
    pub(super) fn member(&self) -> Member {
        Member::new(self.address.clone(), self.weight, self.load.clone())
    }

    /// How Pingora reaches the endpoint; each attempt takes a copy.
    pub(crate) fn peer(&self) -> &HttpPeer {
        &self.peer
    }

    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        self.load.begin();
        Lease { endpoint: self.clone() }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("fitness", &self.fitness())
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

fn peer_template(address: &EndpointAddr, timeouts: &Timeouts, keepalive: &UpstreamKeepalive) -> HttpPeer {
    // The address given here is replaced: the constructor would resolve names, which ours never are.
    let mut peer = HttpPeer::new(std::net::SocketAddr::from(([127, 0, 0, 1], 1)), false, String::new());
    peer._address = pingora_addr(address);
    peer.options.connection_timeout = Some(timeouts.connect.get());
    peer.options.total_connection_timeout = Some(timeouts.connect.get());
    peer.options.write_timeout = Some(timeouts.idle.get());
    peer.options.idle_timeout = Some(keepalive.idle.get());
    peer
}

// === Lease ===

impl Lease {
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.load.end();
    }
}
