use std::iter::Sum;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::recency::FlowId;
use super::share::Seat;
use crate::l4::udp::discards::Discard;
use crate::pools::Uncounted;

/// What makes datagrams one flow: who sends them, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::l4::udp) struct FlowKey {
    pub(in crate::l4::udp) client: SocketAddr,
    /// The address of this machine that the client sent to, and that its answers come from.
    pub(in crate::l4::udp) reached: IpAddr,
}

/// So many datagrams that came at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::l4::udp) struct Volume {
    pub(in crate::l4::udp) datagrams: u64,
    pub(in crate::l4::udp) bytes: u64,
}

/// What went through a flow.
#[derive(Clone, Copy, Debug)]
pub(in crate::l4::udp) struct Tally {
    pub(in crate::l4::udp) began: Instant,
    /// From the first datagram to the first response.
    pub(in crate::l4::udp) first_reply: Option<Duration>,
    pub(in crate::l4::udp) datagrams_in: u64,
    pub(in crate::l4::udp) datagrams_out: u64,
    pub(in crate::l4::udp) bytes_in: u64,
    pub(in crate::l4::udp) bytes_out: u64,
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// Nothing was sent for as long as flows may be silent.
    Idle,
    /// It got all the responses that were expected.
    Responses,
    /// It was idle the longest when another needed its place or its socket.
    Evicted,
    /// Its endpoint could not be reached or refused a datagram.
    EndpointFailed,
    /// Its endpoint no longer gets work, since probes or other flows failed, while others do.
    EndpointUnfit,
    /// The listener ended.
    Drained,
}

/// A flow that ended, with its hold on the endpoint.
#[derive(Debug)]
pub(in crate::l4::udp) struct Ended<P> {
    pub(in crate::l4::udp) key: FlowKey,
    pub(in crate::l4::udp) tally: Tally,
    pub(in crate::l4::udp) place: P,
    pub(in crate::l4::udp) reason: EndReason,
}

/// Where flows go: finds their endpoints, and hears what becomes of them.
pub(in crate::l4::udp) trait Destinations {
    /// A flow's hold on its endpoint, with the means to send there.
    type Place;
    /// The endpoints that failed a client since one last answered it.
    type Tried: Default;

    /// Finds an endpoint for a flow, one that was not tried if there is any. Adds those that cannot be reached to
    /// `tried`.
    fn reach(
        &mut self,
        id: FlowId,
        client: IpAddr,
        tried: &mut Self::Tried,
        now: Instant,
    ) -> Result<Self::Place, Discard>;

    /// Whether an endpoint no longer gets work, while another does.
    fn is_unfit(&self, place: &Self::Place) -> bool;

    /// The flow's endpoint failed: it is not to be found again soon.
    fn avoid(&self, place: &Self::Place, tried: &mut Self::Tried);

    /// The first response of a flow came.
    fn answered(&mut self, place: &Self::Place, latency: Duration, now: Instant);

    /// So many bytes went through a flow that nobody has counted.
    fn passed(&mut self, place: &Self::Place, uncounted: &mut Uncounted);

    fn ended(&mut self, ended: Ended<Self::Place>, now: Instant);
}

/// A client's entry in the table.
pub(super) struct Flow<D: Destinations> {
    pub(super) key: FlowKey,
    /// `None` while the flow's endpoint has failed and the client has sent nothing since.
    pub(super) place: Option<D::Place>,
    pub(super) tried: D::Tried,
    pub(super) tally: Tally,
    pub(super) uncounted: Uncounted,
    pub(super) last: Instant,
    /// `None` only while the flow begins.
    pub(super) seat: Option<Seat>,
}

// === Volume ===

impl Sum for Volume {
    fn sum<I: Iterator<Item = Self>>(volumes: I) -> Self {
        volumes.fold(Self { datagrams: 0, bytes: 0 }, |sum, volume| Self {
            datagrams: sum.datagrams + volume.datagrams,
            bytes: sum.bytes + volume.bytes,
        })
    }
}

// === Tally ===

impl Tally {
    pub(super) fn new(began: Instant) -> Self {
        let first_reply = None;
        Self { began, first_reply, datagrams_in: 0, datagrams_out: 0, bytes_in: 0, bytes_out: 0 }
    }

    pub(super) fn count_in(&mut self, volume: Volume) {
        self.datagrams_in += volume.datagrams;
        self.bytes_in += volume.bytes;
    }

    pub(super) fn count_out(&mut self, volume: Volume) {
        self.datagrams_out += volume.datagrams;
        self.bytes_out += volume.bytes;
    }
}

// === Flow ===

impl<D: Destinations> Flow<D> {
    /// Datagrams came from the client.
    pub(super) fn count_in(&mut self, volume: Volume, to: &mut D) {
        self.tally.count_in(volume);
        self.uncounted.sent(volume.bytes);
        self.settle_if_due(to);
    }

    /// Datagrams came from the endpoint.
    pub(super) fn count_out(&mut self, volume: Volume, to: &mut D) {
        self.tally.count_out(volume);
        self.uncounted.received(volume.bytes);
        self.settle_if_due(to);
    }

    fn settle_if_due(&mut self, to: &mut D) {
        if let Some(place) = self.place.as_ref().filter(|_| self.uncounted.is_due()) {
            to.passed(place, &mut self.uncounted);
        }
    }

    pub(super) fn new(key: FlowKey, now: Instant) -> Self {
        Self {
            key,
            place: None,
            tried: D::Tried::default(),
            tally: Tally::new(now),
            uncounted: Uncounted::default(),
            last: now,
            seat: None,
        }
    }
}
