use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_utils::CachePadded;
use tokio::time::Instant;

use crate::types::{EndpointAddr, Random, Weight};

/// Chooses the endpoint that serves a request.
///
/// A policy is built anew whenever the set of fit endpoints changes, so it may prepare tables for the members
/// that it gets; it must not keep request counts of its own, since [`Member::in_flight`] survives the change.
///
/// A pick that panics or is out of range fails its request with 500. An attempt that follows one that could
/// not connect asks no policy: it goes to the least loaded of the other members.
pub trait Policy: Send + Sync {
    /// Picks one of `members` by index, which must be below `members.len()`; `members` is never empty and is
    /// the set that the policy was built for. Called once for a request, and again when a kept connection turns
    /// out to be closed: it must not block or allocate, and should take well under a microsecond.
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize;
}

/// What is known of the request for which an endpoint is picked.
#[derive(Clone, Copy, Debug)]
pub struct PickCx<'a> {
    pub(crate) client_ip: IpAddr,
    pub(crate) now: Instant,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

impl PickCx<'_> {
    /// The client's address, after trusted proxies were believed.
    pub fn client_ip(&self) -> IpAddr {
        self.client_ip
    }

    /// The time of the pick. Policies take it from here, never from the system's clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The host that the client asked for, lower case and without a port.
    pub fn host(&self) -> &str {
        self.host
    }

    /// The normalised path that the client asked for.
    pub fn path(&self) -> &str {
        self.path
    }
}

/// One endpoint as policies see it.
#[derive(Clone, Debug)]
pub struct Member {
    address: Arc<EndpointAddr>,
    weight: Weight,
    load: Arc<CachePadded<Load>>,
}

/// The work that an endpoint has at the moment, shared by all threads and kept over reloads.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
}

impl Member {
    pub(crate) fn new(address: Arc<EndpointAddr>, weight: Weight, load: Arc<CachePadded<Load>>) -> Self {
        Self { address, weight, load }
    }

    /// Where the endpoint is.
    pub fn address(&self) -> &EndpointAddr {
        &self.address
    }

    /// Its weight, 1 to 1000.
    pub fn weight(&self) -> u16 {
        self.weight.get()
    }

    /// Requests that were sent to it and have not ended.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight.load(Ordering::Relaxed)
    }
}

impl Load {
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}
