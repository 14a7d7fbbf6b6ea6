use std::sync::Arc;

use tokio::time::Instant;

use crate::config::{self, Config, UpstreamTls};
use crate::hooks::{Keeping, Scope};
use crate::pools::PeerTls;
use crate::stores::{Redis, RedisSettings, StoreTls};

/// The stores. One whose settings are as before goes on with its connections. Where `load` fails, the configuration is refused.
pub(super) fn stores(
    config: &Config,
    keeping: &Keeping<'_>,
    now: Instant,
    mut load: impl FnMut(&UpstreamTls) -> Option<PeerTls>,
) -> Vec<Arc<Redis>> {
    let store = |store: &config::Store| {
        let scope = Scope::store(&store.name);
        let tls = store.tls.as_ref().and_then(&mut load);
        let settings = redis_settings(store, tls.as_ref());
        let make = || Redis::new(settings.clone(), now);
        keeping.keep_while(&scope, "redis", make, |known| *known.settings() == settings)
    };
    config.stores.iter().map(store).collect()
}

fn redis_settings(store: &config::Store, tls: Option<&PeerTls>) -> RedisSettings {
    RedisSettings {
        name: store.name.to_string(),
        address: store.redis.clone(),
        tls: tls.map(|tls| StoreTls { client: tls.client().clone(), digest: tls.digest() }),
        user: store.user.clone(),
        password: store.password.as_ref().map(|password| password.0.clone()),
        timeout: store.timeout.get(),
        connections: store.connections,
    }
}
