//! Pools for the unit tests of this layer.

use std::sync::Arc;

use tokio::time::Instant;

use crate::config;
use crate::config::load_text;
use crate::hooks::{Member, Policy};
use crate::types::{Random, ZoneName};

use super::{PolicyFactory, Pool, PoolParts, policy};

/// A pool's configuration as a file would give it, with defaults but for `keys`.
pub(super) fn pool_config_with(endpoints: &[&str], keys: &str) -> config::Pool {
    let endpoints = endpoints.join(", ");
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: [{endpoints}]{keys} }} }}\n\
         routes: [{{ pool: app }}]\n"
    );
    let loaded = load_text("test.yaml", "".as_ref(), &text).unwrap().sound().unwrap();
    loaded.config.pools.into_iter().next().unwrap()
}

pub(super) fn pool_config(endpoints: &[&str]) -> config::Pool {
    pool_config_with(endpoints, "")
}

/// A sticky cookie of that name with all defaults.
pub(super) fn sticky_config(cookie: &str) -> config::Sticky {
    pool_config_with(&["10.0.0.1:80"], &format!(", sticky: {{ cookie: {cookie} }}")).sticky.unwrap()
}

/// A pool with the policy `least_requests`, born at `now`.
pub(super) fn pool(endpoints: &[&str], keys: &str, now: Instant) -> Arc<Pool> {
    pool_in_zone(endpoints, keys, None, now)
}

/// The same for an edge in a zone.
pub(super) fn pool_in_zone(
    endpoints: &[&str],
    keys: &str,
    zone: Option<&ZoneName>,
    now: Instant,
) -> Arc<Pool> {
    let config = pool_config_with(endpoints, keys);
    pool_of(&config, zone, Box::new(least_requests), None, now)
}

/// The pool with another configuration, before it takes over.
pub(super) fn successor(pool: &Arc<Pool>, endpoints: &[&str], keys: &str, now: Instant) -> Arc<Pool> {
    let config = pool_config_with(endpoints, keys);
    pool_of(&config, None, Box::new(least_requests), Some(pool), now)
}

fn least_requests(_: &[Member], _: &mut Random) -> Box<dyn Policy> {
    Box::new(policy::LeastRequests)
}

pub(super) fn pool_of(
    config: &config::Pool,
    own_zone: Option<&ZoneName>,
    new_policy: PolicyFactory,
    predecessor: Option<&Arc<Pool>>,
    now: Instant,
) -> Arc<Pool> {
    let random = Random::with_seed(1);
    let secret = b"secret";
    let journal = Arc::default();
    Pool::new(PoolParts {
        config,
        tls: None,
        own_zone,
        secret,
        new_policy,
        random,
        predecessor,
        journal,
        now,
    })
}
