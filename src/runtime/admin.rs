use std::sync::Arc;

use async_trait::async_trait;

use crate::config;
use crate::net::Transport;
use crate::pools::Pool;
use crate::types::HostPattern;

use super::{Ending, Listener};

/// Where those who look after the process reach it over HTTP, and what they are told by one configuration.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) listener: Arc<Listener>,
    /// Names under which it may be asked for.
    pub(crate) hosts: Vec<HostPattern>,
    /// Those that have to serve for the process to be ready.
    pub(crate) ready_pools: Vec<Arc<Pool>>,
    /// So many endpoints of each have to be fit.
    pub(crate) min_fit: usize,
}

/// Whoever answers them.
#[async_trait]
pub(crate) trait AdminService: Send + Sync {
    /// Serves a connection to its end, which comes soon once `ending` begins.
    async fn serve(&self, transport: Transport, ending: Ending);
}

impl Admin {
    /// The `pools` are those of the configuration.
    pub(super) fn new(config: &config::Admin, pools: &[Arc<Pool>]) -> Self {
        let ready = &config.ready;
        Self {
            listener: Arc::new(Listener::of_admin(config)),
            hosts: config.hosts.clone(),
            ready_pools: ready.pools.iter().map(|index| pools[*index].clone()).collect(),
            min_fit: usize::try_from(ready.min_fit.get()).unwrap_or(usize::MAX),
        }
    }
}
