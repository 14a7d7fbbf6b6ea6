use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, HeaderValue};
use tokio::time::Instant;

use crate::types::{EndpointAddr, ListenerName, PoolName, RouteName};

use super::{PoolRef, TlsSession};

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
    pub(crate) route: &'a RouteName,
    pub(crate) pools: &'a [PoolName],
    pub(crate) pool: &'a mut Option<PoolRef>,
    pub(crate) endpoint: Option<&'a Arc<EndpointAddr>>,
    pub(crate) extensions: &'a mut Extensions,
    pub(crate) now: Instant,
}

impl FilterCx<'_> {
    /// What was known of the request before its route was.
    pub fn facts(&self) -> &Facts {
        self.facts
    }

    /// The route that the request took.
    pub fn route(&self) -> &RouteName {
        self.route
    }

    /// The pool that will serve the request; `None` on routes that answer by themselves.
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
