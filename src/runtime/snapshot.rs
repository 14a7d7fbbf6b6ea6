use std::net::IpAddr;
use std::sync::Arc;

use crate::pools::Pool;
use crate::router::Router;
use crate::types::{Cidr, PoolName};

use super::{Listeners, Route};

/// One configuration, fully built; it never changes. A request keeps the one that it began with to its end.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) router: Router,
    /// By `RouteId`.
    pub(crate) routes: Vec<Route>,
    /// By `PoolRef`.
    pub(crate) pools: Vec<Arc<Pool>>,
    /// By `PoolRef`.
    pub(crate) pool_names: Vec<PoolName>,
    pub(crate) listeners: Listeners,
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// Whether peers on Unix sockets are believed in what they say of the client.
    pub(crate) trusts_unix: bool,
}

impl Snapshot {
    /// Whether a peer at `ip` is believed in what it says of the client.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(ip))
    }
}
