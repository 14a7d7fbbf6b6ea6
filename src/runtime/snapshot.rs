use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::cache::Cache;
use crate::config::spec::DrainSpec;
use crate::filters::Pages;
use crate::hooks::Job;
use crate::pools::{Journal, Pool};
use crate::router::Router;
use crate::split::Split;
use crate::stores::Redis;
use crate::telemetry::{Pulse, Redaction};
use crate::tracing::Tracing;
use crate::types::{Cidr, PoolName, RouteName};

use super::edge_paths::EdgePaths;
use super::{Action, Admin, DebugKey, Listener, Listeners, Route, RouteStats, Watchers};

/// One configuration, fully built; it never changes. A request keeps the one that it began with to its end.
pub(crate) struct Snapshot {
    pub(crate) router: Router,
    /// By `RouteId`.
    pub(crate) routes: Vec<Route>,
    /// What requests come to that have no route.
    pub(crate) unrouted: Arc<RouteStats>,
    /// What has changed lately; that of the process.
    pub(crate) journal: Arc<Journal>,
    /// By `PoolRef`.
    pub(crate) pools: Vec<Arc<Pool>>,
    /// By `PoolRef`.
    pub(crate) pool_names: Vec<PoolName>,
    /// In the order of the file.
    pub(crate) caches: Vec<Arc<Cache>>,
    /// In the order of the file.
    pub(crate) stores: Vec<Arc<Redis>>,
    /// Pages for errors that no route has one for.
    pub(crate) error_pages: Pages,
    pub(crate) listeners: Listeners,
    /// Where the process tells how it does, if it does. No route knows of it.
    pub(crate) admin: Option<Admin>,
    /// What is told of traces, if anything is.
    pub(crate) tracing: Option<Arc<Tracing>>,
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// Whether peers on Unix sockets are believed in what they say of the client.
    pub(crate) trusts_unix: bool,
    /// What its requests come to.
    pub(crate) pulse: Arc<Pulse>,
    /// What clients have of time when they have to go.
    pub(crate) drain: DrainSpec,
    /// Whether a change of the configuration's file is served by itself.
    pub(crate) watches_file: bool,
    /// What its hooks have going on beside the requests.
    pub(crate) jobs: Vec<Arc<dyn Job>>,
    /// Where requests may be answered without an endpoint.
    pub(crate) edge_paths: EdgePaths,
    /// What requests are signed with whose clients may know what becomes of them.
    pub(crate) debug_key: Option<DebugKey>,
    /// Who wants to know what becomes of requests. They stay when the configuration changes.
    pub(crate) watchers: Arc<Watchers>,
    /// What of requests is told to nobody.
    pub(crate) redaction: Arc<Redaction>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (routes, pools) = (&self.routes, &self.pool_names);
        f.debug_struct("Snapshot").field("routes", routes).field("pools", pools).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Is told when requests begin to come here. What outlives a configuration goes on by this one from now on.
    pub(crate) fn take_over(&self, now: Instant) {
        self.pools.iter().for_each(|pool| pool.take_over(now));
        self.splits().for_each(|(_, split)| split.take_over(now));
    }

    /// The splits, each with the name of its route.
    pub(crate) fn splits(&self) -> impl Iterator<Item = (&RouteName, &Split)> {
        self.routes.iter().filter_map(|route| match &route.action {
            Action::Split(split) => Some((&route.name, split)),
            _ => None,
        })
    }

    /// What differs in the files that the TLS of listeners and pools stands on, which were there before too.
    pub(crate) fn file_changes(&self, before: &Self) -> Vec<String> {
        let terminations = |listener: &Arc<Listener>| {
            let former = before.listeners.iter().find(|known| known.name == listener.name)?;
            let (now, former) = (listener.tls.as_ref()?, former.tls.as_ref()?);
            let told = |change| format!("listeners.{}: {change}", listener.name);
            Some(now.changes_since(former).into_iter().map(told).collect::<Vec<_>>())
        };
        let listeners = self.listeners.iter().filter_map(terminations).flatten();
        let former: HashMap<_, _> = before.pools.iter().map(|pool| (pool.name(), pool)).collect();
        let is_changed =
            |pool: &&Arc<Pool>| former.get(pool.name()).is_some_and(|former| pool.tls_files_changed(former));
        let pools = self.pools.iter().filter(is_changed);
        listeners.chain(pools.map(|pool| format!("pools.{}: files of tls", pool.name()))).collect()
    }

    /// Whether a peer at `ip` is believed in what it says of the client.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(ip))
    }
}
