use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderValue};
use tokio::time::Instant;

use crate::types::{EndpointAddr, ListenerName, PoolName, RouteName, VarName};

use super::variables::Variables;
use super::{HookError, PoolRef, TlsSession, Way};

/// How the client speaks to the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is known of a request before its route is: where it came in, from whom and when.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The client's address, after trusted proxies were believed; IPv4 is never in its mapped form.
    /// `0.0.0.0` for a peer on a Unix socket that named no client.
    pub client_ip: IpAddr,
    /// The client's connection: a number that no other has in this process.
    pub connection: u64,
    /// The listener that accepted the connection.
    pub listener: ListenerName,
    /// Whether the client speaks TLS to the edge.
    pub scheme: Scheme,
    /// What its handshake came to, if it does.
    pub tls: Option<Arc<TlsSession>>,
    /// The id that goes to the endpoint and into the log: a UUIDv7, or what a trusted proxy sent.
    pub request_id: HeaderValue,
    /// When the request's header had been read.
    pub received: Instant,
}

/// A filter's surroundings while it handles one request.
///
/// It lives for one call; what must live as long as the request goes into the [extensions](Self::extensions_mut).
#[derive(Debug)]
pub struct FilterCx<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) way: &'a Way,
    pub(crate) route: &'a RouteName,
    pub(crate) pools: &'a [PoolName],
    pub(crate) pool: &'a mut Option<PoolRef>,
    pub(crate) endpoint: Option<&'a Arc<EndpointAddr>>,
    pub(crate) extensions: &'a mut Extensions,
    pub(crate) variables: &'a mut Variables,
    pub(crate) bounds: &'a mut Bounds,
    pub(crate) now: Instant,
}

/// What filters allow a request, where that is less than its pool and its listener do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// All that it may take.
    pub(crate) total: Option<Duration>,
    /// Bytes of its body.
    pub(crate) body: Option<u64>,
    /// From when on the piece that passes may go on.
    pub(crate) delay_from: Duration,
    /// And by when all of it has.
    pub(crate) delay: Duration,
    /// When another endpoint is asked too.
    pub(crate) hedge: Option<HedgeAfter>,
}

/// How long the head of an answer may take before another endpoint is asked too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// So long.
    Fixed(Duration),
    /// As long as 95 of 100 of the pool have taken lately; not before there are so many.
    P95 {
        /// So many heads of answers in the last half to whole minute.
        min_samples: u32,
    },
}

/// No piece waits for longer before it begins to pass.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// In the extensions of a request whose answer may depend on whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Personal;

/// In the extensions of a request that is answered with what an endpoint has said before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored;

impl FilterCx<'_> {
    /// What was known of the request before its route was.
    pub fn facts(&self) -> &Facts {
        self.facts
    }

    /// The route that the request took.
    pub fn route(&self) -> &RouteName {
        self.route
    }

    /// The pool that will serve the request; `None` on routes that answer by themselves, and on those that split between
    /// several pools as long as the request passes the filters: which of them it is depends on what they find out.
    pub fn pool(&self) -> Option<&PoolName> {
        self.pool.map(|pool| &self.pools[pool.0])
    }

    /// Sends the request to another pool than the route's. Only before an endpoint was chosen, so only from
    /// [`Filter::on_request`]; later it has no effect on this request.
    ///
    /// [`Filter::on_request`]: super::Filter::on_request
    pub fn set_pool(&mut self, pool: PoolRef) {
        *self.pool = Some(pool);
    }

    /// The endpoint of the current attempt; `None` before one was chosen and for answers made at the edge.
    pub fn endpoint(&self) -> Option<&EndpointAddr> {
        self.endpoint.map(|endpoint| &**endpoint)
    }

    /// Whether the answer is one of an endpoint, given now or stored before.
    pub fn is_of_endpoint(&self) -> bool {
        self.endpoint.is_some() || self.extensions.get::<Stored>().is_some()
    }

    /// Says that the filter has found out whose the request is, by whatever it shows or did show: its answer is then one to
    /// credentials, as if it had `Authorization`. Caches keep such an answer from others unless it says that it is for all, or
    /// they are told to share it (RFC 9111 §3.5). Filters that let a request pass on account of its sender call this.
    pub fn mark_personal(&mut self) {
        self.extensions.insert(Personal);
    }

    /// Sets a variable of the request, for filters after this one, for keys (`{ var: NAME }`) and for templates
    /// (`{var.NAME}`). The first one allocates.
    ///
    /// # Errors
    /// When the value is longer than 4096 bytes.
    pub fn set_var(&mut self, name: &VarName, value: impl Into<Bytes>) -> Result<(), HookError> {
        self.variables.set(name, value.into())
    }

    /// The value of a variable, if a filter has set it.
    pub fn var(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name)
    }

    pub(super) fn variables(&self) -> &Variables {
        self.variables
    }

    /// Gives the request so long in all, from its header on, if that is less than it has otherwise. Only from
    /// [`Filter::on_request`].
    ///
    /// [`Filter::on_request`]: super::Filter::on_request
    pub fn limit_total(&mut self, total: Duration) {
        let known = self.bounds.total.unwrap_or(Duration::MAX);
        self.bounds.total = Some(known.min(total));
    }

    /// Lets the request's body have so many bytes, if that is less than its listener allows; of a call of gRPC, each message.
    /// Only from [`Filter::on_request`].
    ///
    /// [`Filter::on_request`]: super::Filter::on_request
    pub fn limit_body(&mut self, bytes: u64) {
        let known = self.bounds.body.unwrap_or(u64::MAX);
        self.bounds.body = Some(known.min(bytes));
    }

    /// Holds the piece of a body that passes up for so long, 60 s at most; of several filters the longest counts. Only from
    /// [`Filter::on_request_body`] and [`Filter::on_response_body`] of a filter that has said that it
    /// [pauses](super::Needs::pauses). Such pauses count neither for the request's total nor for any limit on a silence,
    /// and both directions of a request rest while one lasts.
    ///
    /// [`Filter::on_request_body`]: super::Filter::on_request_body
    /// [`Filter::on_response_body`]: super::Filter::on_response_body
    pub fn delay(&mut self, by: Duration) {
        let by = by.min(LONGEST_DELAY);
        self.pace(by, by);
    }

    /// Lets the piece of a body that passes go on evenly between these times from now on, however long that takes; it begins
    /// within 60 s. The piece of a request's body goes on as a whole when it has made up for it. Otherwise as
    /// [`delay`](Self::delay).
    pub fn pace(&mut self, from: Duration, until: Duration) {
        let bounds = &mut *self.bounds;
        bounds.delay_from = bounds.delay_from.max(from).min(LONGEST_DELAY);
        bounds.delay = bounds.delay.max(until).max(bounds.delay_from);
    }

    /// Has another endpoint of the pool asked too where the first one takes long to answer, once a request; the last call
    /// counts. Only from [`Filter::on_request`]. It is for requests that have no body and may be sent twice, and within the
    /// pool's retry budget; nothing comes of it for others.
    ///
    /// [`Filter::on_request`]: super::Filter::on_request
    pub fn hedge(&mut self, after: HedgeAfter) {
        self.bounds.hedge = Some(after);
    }

    /// When the current phase began. Filters take the time from here, never from the system's clock, so that
    /// tests can set it.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Values that filters keep for the length of this request, by type.
    pub fn extensions(&self) -> &Extensions {
        self.extensions
    }

    /// Values that filters keep for the length of this request, by type. The first insertion allocates.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions
    }
}
