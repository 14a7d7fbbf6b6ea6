use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use nix::errno::Errno;
use tokio::time::Instant;

use crate::hooks::{PickCx, Variables};
use crate::pools::{Endpoint, Fault, Lease, Pick, Pool, Tried, Uncounted, is_among};
use crate::types::{EndpointAddr, Random};

use super::FlowEnd;
use super::UdpProxy;
use super::discards::Discard;
use super::flows::{Destinations, EndReason, Ended, FlowId, FlowKey};

/// Makes the sockets of flows.
pub(super) trait Dial {
    type Socket;

    /// A socket of its own for a flow, connected to the endpoint's address.
    fn dial(&mut self, id: FlowId, to: SocketAddr) -> nix::Result<Self::Socket>;
}

/// The way to the endpoints of the pool: picks them, connects to them, and tells the pool what they are worth.
pub(super) struct Uplinks<D> {
    proxy: Arc<UdpProxy>,
    /// Where flows begin.
    pool: Arc<Pool>,
    dial: D,
    random: Random,
    no_headers: HeaderMap,
    /// Whose flows have ended since it was asked; `None` while nobody asks.
    ended: Option<Vec<FlowKey>>,
}

/// A flow's place at an endpoint.
#[derive(Debug)]
pub(super) struct Hold<S> {
    pub(super) lease: Lease,
    /// That which the lease is of.
    pub(super) pool: Arc<Pool>,
    pub(super) socket: S,
}

/// So many endpoints are tried for one datagram.
const ATTEMPTS: usize = 3;

impl<D: Dial> Uplinks<D> {
    pub(super) fn new(proxy: Arc<UdpProxy>, pool: Arc<Pool>, dial: D, random: Random) -> Self {
        Self { proxy, pool, dial, random, no_headers: HeaderMap::new(), ended: None }
    }

    /// Has flows begin in another pool.
    pub(super) fn set_pool(&mut self, pool: Arc<Pool>) {
        self.pool = pool;
    }

    /// Takes note of the flows that end from here on, or of none.
    pub(super) fn note_ends(&mut self, are_noted: bool) {
        self.ended = are_noted.then(Vec::new);
    }

    /// Whose flows have ended since the last time.
    pub(super) fn take_ended(&mut self) -> Vec<FlowKey> {
        self.ended.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Picks by the policy; where that names an endpoint that was tried, another one.
    fn pick(&mut self, client: IpAddr, tried: &[Arc<Endpoint>], now: Instant) -> Result<Lease, Discard> {
        let client_ip = client.to_canonical();
        let cx = PickCx {
            client_ip,
            now,
            host: "",
            path: "",
            query: None,
            headers: &self.no_headers,
            variables: Variables::NONE,
            notes: None,
        };
        match self.pool.pick_by_policy(&cx, tried, &mut self.random) {
            Pick::Endpoint(lease) => Ok(lease),
            Pick::NoRoom => Err(Discard::NoRoom),
            Pick::NobodyFit => Err(Discard::NobodyFit),
            Pick::PolicyFailed => Err(Discard::PolicyFailed),
        }
    }

    /// Tells of an endpoint that failed, once in a while.
    pub(super) fn tell_failed(&self, pool: &Pool, lease: &Lease, error: impl Display, now: Instant) {
        let (listener, pool, endpoint) = (&self.proxy.listener, pool.name(), lease.endpoint());
        if endpoint.may_tell(now) {
            let address = endpoint.address();
            log::warn!(
                "endpoint takes no datagrams listener={listener} pool={pool} endpoint={address} error=\"{error}\""
            );
        }
    }
}

impl<D: Dial> Destinations for Uplinks<D> {
    type Place = Hold<D::Socket>;
    type Tried = Tried;

    fn reach(
        &mut self,
        id: FlowId,
        client: IpAddr,
        tried: &mut Tried,
        now: Instant,
    ) -> Result<Self::Place, Discard> {
        for _ in 0..ATTEMPTS {
            let lease = self.pick(client, tried, now)?;
            // The configuration refuses Unix sockets here.
            let EndpointAddr::Inet(address) = **lease.endpoint().address() else {
                return Err(Discard::Unreachable);
            };
            match self.dial.dial(id, address) {
                Ok(socket) => return Ok(Hold { lease, pool: self.pool.clone(), socket }),
                Err(error) if is_shortage(error) => return Err(Discard::NoSocket),
                Err(error) => {
                    self.tell_failed(&self.pool, &lease, error, now);
                    self.pool.failed(&lease, Fault::ConnectFailed, None, now);
                    remember(tried, lease.endpoint());
                }
            }
        }
        Err(Discard::Unreachable)
    }

    fn is_unfit(&self, place: &Self::Place) -> bool {
        use crate::pools::State::{Ejected, Unfit};
        // In a panic those that are not fit serve as well. What counts is the pool where the client would go.
        matches!(place.lease.endpoint().state(), Unfit | Ejected)
            && !self.pool.is_in_panic()
            && self.pool.has_another(&[], &place.lease)
    }

    fn avoid(&self, place: &Self::Place, tried: &mut Tried) {
        remember(tried, place.lease.endpoint());
    }

    fn answered(&mut self, place: &Self::Place, latency: Duration, now: Instant) {
        place.pool.answered(&place.lease, latency, now);
    }

    fn passed(&mut self, place: &Self::Place, uncounted: &mut Uncounted) {
        uncounted.settle(place.lease.endpoint());
    }

    fn ended(&mut self, ended: Ended<Self::Place>, now: Instant) {
        let Ended { key, tally, place: Hold { lease, pool, .. }, reason } = ended;
        if let Some(ended) = &mut self.ended {
            ended.push(key);
        }
        let is_answered = tally.first_reply.is_some();
        match reason {
            EndReason::EndpointFailed => pool.failed(&lease, Fault::ConnectFailed, None, now),
            // That nothing was answered says nothing: whoever sends what nobody answers could have endpoints ejected.
            _ if is_answered => pool.succeeded(&lease, now),
            _ => {}
        }
        (self.proxy.on_end)(&FlowEnd {
            client: key.client,
            pool: pool.name().clone(),
            endpoint: lease.endpoint().address().clone(),
            datagrams_in: tally.datagrams_in,
            datagrams_out: tally.datagrams_out,
            bytes_in: tally.bytes_in,
            bytes_out: tally.bytes_out,
            began: tally.began,
            lasted: now.saturating_duration_since(tally.began),
            first_reply: tally.first_reply,
            reason,
        });
    }
}

fn remember(tried: &mut Tried, endpoint: &Arc<Endpoint>) {
    if !is_among(tried, endpoint) {
        tried.push(endpoint.clone());
    }
}

/// Whether a socket could not be had for lack of descriptors, ports or memory, which says nothing of the endpoint.
fn is_shortage(error: Errno) -> bool {
    use Errno::{EADDRINUSE, EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC};
    matches!(error, EMFILE | ENFILE | ENOBUFS | ENOMEM | EAGAIN | EADDRINUSE | ENOSPC)
}
