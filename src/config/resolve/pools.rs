use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::node::Node;
use crate::config::spec::{BalanceSpec, EndpointSpec, NamedMap, PoolSpec};
use crate::config::{BalanceUse, Endpoint, KeyPath, Listener, Pool, Route};
use crate::types::{EndpointAddr, MAX_UNIX_PATH, PoolName};

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn pools(&mut self, specs: NamedMap<PoolName, PoolSpec>, at: &KeyPath) -> Vec<Pool> {
        specs.into_iter().map(|(name, spec)| self.one_pool(&at.child(name.as_str()), name, spec)).collect()
    }

    fn one_pool(&mut self, path: &KeyPath, name: PoolName, spec: PoolSpec) -> Pool {
        let endpoints = self.endpoints(spec.endpoints, spec.max_requests, &path.child("endpoints"));
        self.check_protocol(spec.protocol, spec.tls.0.is_some(), &path.child("protocol"));
        Pool {
            name,
            balance: self.balance(spec.balance, path.child("balance")),
            tls: spec.tls.0.and_then(|tls| self.upstream_tls(tls, &endpoints, path)),
            protocol: spec.protocol,
            h2_streams: spec.h2_streams,
            send_proxy_protocol: spec.send_proxy_protocol,
            health: spec.health.and_then(|health| self.health(health, &endpoints, &path.child("health"))),
            endpoints,
            outlier: spec.outlier.0.map(|limits| self.outlier(limits, &path.child("outlier"))),
            slow_start: spec.slow_start,
            panic: spec.panic,
            queue: spec.queue,
            retry: self.retry(spec.retry, &path.child("retry")),
            sticky: spec.sticky.and_then(|sticky| self.sticky(sticky, &path.child("sticky"))),
            timeouts: spec.timeouts,
            keepalive: spec.keepalive,
        }
    }

    fn balance(&self, spec: BalanceSpec, at: KeyPath) -> BalanceUse {
        let is_map = matches!(self.source.root().at(&at), Some(Node::Map(_)));
        let settings = is_map.then(|| at.child(spec.policy.as_str()));
        BalanceUse { policy: spec.policy, settings, at }
    }

    fn endpoints(&mut self, specs: Vec<EndpointSpec>, max_requests: u32, at: &KeyPath) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::with_capacity(specs.len());
        let mut places: Vec<KeyPath> = Vec::with_capacity(specs.len());
        let paths = self.items(at);
        for (spec, path) in specs.into_iter().zip(paths) {
            let address = spec.address.relative_to(self.base);
            if let EndpointAddr::Unix(socket) = &address {
                self.check_socket_path(socket, &path);
            }
            if let Some(first) = endpoints.iter().position(|known| known.address == address) {
                let message = format!("`{address}` is `{}` already", places[first]);
                self.error(&path, message).help("remove one; `weight` gives an endpoint a larger share");
            }
            endpoints.push(Endpoint {
                address,
                weight: spec.weight,
                max_requests: spec.max_requests.unwrap_or(max_requests),
                zone: spec.zone,
                backup: spec.backup,
            });
            places.push(path);
        }
        match endpoints.len() {
            _ if self.is_partial(at) => {}
            0 => {
                self.error(at, "the list is empty; a pool needs at least one endpoint");
            }
            _ if endpoints.iter().all(|endpoint| endpoint.backup) => {
                self.error(at, "every endpoint is a backup, of none")
                    .help("take `backup` from those that serve first");
            }
            1 => {
                self.warning(at, "there is only one endpoint, and the pool fails with it");
            }
            _ if endpoints.iter().all(|endpoint| endpoint.weight.get() == 0) => {
                self.warning(at, "every endpoint has the weight 0, so that none gets new work");
            }
            _ => {}
        }
        endpoints
    }

    /// The length that a Unix socket's path has with its directory; on its own it was checked when it was read.
    pub(super) fn check_socket_path(&mut self, socket: &Path, path: &KeyPath) {
        let length = socket.as_os_str().as_bytes().len();
        if length > MAX_UNIX_PATH {
            let message = format!(
                "with the directory of this file the socket's path has {length} bytes; {MAX_UNIX_PATH} at most are allowed"
            );
            self.error(path, message).help("write a shorter absolute path");
        }
    }

    /// Filters can send requests to any pool, so a pool counts as used when a filter's settings name it.
    pub(super) fn warn_of_unused_pools(&mut self, pools: &[Pool], routes: &[Route], listeners: &[Listener]) {
        let of_routes = routes.iter().flat_map(|route| route.action.pools());
        let of_listeners = listeners.iter().flat_map(|listener| listener.service.pools());
        let used: HashSet<usize> = of_routes.chain(of_listeners).collect();
        for (index, pool) in pools.iter().enumerate() {
            if !used.contains(&index) && !self.is_named_by_a_filter(pool.name.as_str(), routes) {
                let path = KeyPath::default().child("pools").child(pool.name.as_str());
                self.warning(&path, "nothing uses it");
            }
        }
    }

    pub(super) fn is_named_by_a_filter(&self, name: &str, routes: &[Route]) -> bool {
        let mut settings = routes.iter().flat_map(|route| &route.filters).map(|filter| &filter.settings);
        settings.any(|path| self.source.root().at(path).is_some_and(|node| node.mentions(name)))
    }
}
