use std::net::IpAddr;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::types::{EndpointAddr, Random};

use super::load::Load;
use super::pick_notes::{PickNotes, PickedBy};
use super::variables::Variables;

/// Chooses the endpoint that serves a request.
///
/// A policy is built anew whenever the set of endpoints that get work changes, or a weight does, so it may prepare
/// tables for the members that it gets; it must not keep request counts of its own, since what a [`Member`] tells
/// survives the change.
///
/// A pick that panics or is out of range fails its request with 500. Where the picked member has no room the least
/// loaded of those that have some serves the request instead, and so it is for an attempt that follows a failed one:
/// it asks no policy, so that it takes no turn from the requests that come after it.
pub trait Policy: Send + Sync {
    /// Picks one of `members` by index, which must be below `members.len()`; `members` is never empty and is
    /// the set that the policy was built for. Called once for a request, and again when
    /// that had to wait for the first probes or for room: it must not block or allocate, and should take well under a
    /// microsecond.
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize;
}

/// What is known of the request for which an endpoint is picked.
#[derive(Clone, Copy, Debug)]
pub struct PickCx<'a> {
    pub(crate) client_ip: IpAddr,
    pub(crate) now: Instant,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) variables: &'a Variables,
    /// Where the policy tells how it picks, if anybody wants to know.
    pub(crate) notes: Option<&'a PickNotes>,
}

impl<'a> PickCx<'a> {
    /// The client's address, after trusted proxies were believed.
    pub fn client_ip(&self) -> IpAddr {
        self.client_ip
    }

    /// The time of the pick. Policies take it from here, never from the system's clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The host that the client asked for, lower case and without a port.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The normalised path that the client asked for.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The query without its `?`; `None` when there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The first header of that name, as the filters left it.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&'a HeaderValue> {
        self.headers.get(name)
    }

    /// The value of a cookie, the first of that name over all `Cookie` headers.
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        crate::types::cookie(self.headers, name)
    }

    /// A pick begins, perhaps again.
    pub(crate) fn begin_notes(&self) {
        if let Some(notes) = self.notes {
            notes.begin();
        }
    }

    /// Tells by what the pick is made, if anybody wants to know.
    pub(crate) fn decided_by(&self, by: PickedBy) {
        if let Some(notes) = self.notes {
            notes.decide(by);
        }
    }

    /// Tells whom the pick compares, and at what cost each, if anybody wants to know.
    pub(crate) fn compared<'m>(
        &self,
        members: impl Iterator<Item = &'m Member>,
        cost: impl Fn(&Member) -> f64,
    ) {
        if let Some(notes) = self.notes {
            members.for_each(|member| notes.sample(member, cost(member), self.now));
        }
    }
}

/// One endpoint as policies see it.
#[derive(Clone, Debug)]
pub struct Member {
    address: Arc<EndpointAddr>,
    load: Arc<CachePadded<Load>>,
}

impl Member {
    pub(crate) fn new(address: Arc<EndpointAddr>, load: Arc<CachePadded<Load>>) -> Self {
        Self { address, load }
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    pub(crate) fn shared_address(&self) -> &Arc<EndpointAddr> {
        &self.address
    }

    /// Where the endpoint is.
    pub fn address(&self) -> &EndpointAddr {
        &self.address
    }

    /// Its weight, 1 to 1000. A change at run time builds the policy anew.
    pub fn weight(&self) -> u16 {
        self.load.weight()
    }

    /// Its weight in thousandths, less while it starts slowly: 1 to 1 000 000.
    pub fn share(&self, now: Instant) -> u64 {
        self.load.share(now)
    }

    /// How far it has come with its slow start, 0.1 to 1.0; for policies whose tables hold full weights.
    pub fn warmth(&self, now: Instant) -> f64 {
        self.load.warmth(now)
    }

    /// Requests that were sent to it and have not ended.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Requests that were sent to any endpoint of its pool and have not ended.
    pub fn in_flight_of_pool(&self) -> u32 {
        self.load.pool().in_flight()
    }

    /// Whether it may take another request.
    pub fn has_room(&self) -> bool {
        self.load.has_room()
    }

    /// How often it was picked within the last half second or so, in 1024ths of a pick.
    pub fn recent_picks(&self, now: Instant) -> u64 {
        self.load.recent_picks(now)
    }

    /// The time to the head of an answer that is to be expected, in seconds: an average that follows rises at once
    /// and fades over ten seconds, in which a failure counts as five seconds or what its `Retry-After` says, up to
    /// 300. `None` before the first answer.
    pub fn latency(&self, now: Instant) -> Option<f64> {
        self.load.latency(now)
    }
}
