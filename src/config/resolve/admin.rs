use std::collections::BTreeSet;

use crate::config::spec::{AdminSpec, ReadySpec};
use crate::config::{Admin, KeyPath, Listener, Pool, Ready, Route};
use crate::types::{BindAddr, Cidr};

use super::Resolver;
use super::listeners::{TCP, Taken};
use super::names::PoolNames;

/// What the admin listener may refer to.
pub(super) struct Served<'a> {
    pub(super) listeners: &'a [Listener],
    pub(super) pools: &'a [Pool],
    pub(super) routes: &'a [Route],
    pub(super) pool_names: &'a PoolNames<'a>,
}

impl Resolver<'_> {
    pub(super) fn admin(
        &mut self,
        spec: AdminSpec,
        at: &KeyPath,
        served: &Served<'_>,
        taken: &mut Taken,
    ) -> Admin {
        let AdminSpec { bind, open_to, hosts, limits, ready } = spec;
        let bind_at = at.child("bind");
        let binds = self.binds(bind, &bind_at, TCP, taken);
        let guests = at.child("open_to");
        if !self.is_partial(&guests) {
            self.check_who_reaches(&binds, &open_to, &bind_at, &guests);
        }
        let ready = self.ready(&ready, &at.child("ready"), served);
        Admin { binds, open_to, hosts, connections: limits.connections, ready }
    }

    /// What is there to read is for few, and nothing of it asks who reads.
    fn check_who_reaches(&mut self, binds: &[BindAddr], open_to: &[Cidr], at: &KeyPath, guests: &KeyPath) {
        let open = binds.iter().find(|bind| !is_of_this_machine(bind));
        match open {
            Some(open) if open_to.is_empty() => {
                let message = format!("other machines reach `{open}`, and nothing says which of them may");
                self.error(at, message).help(
                    "bind it to 127.0.0.1, or name the networks of those who may read: `open_to: [10.0.0.0/8]`",
                );
            }
            None if !open_to.is_empty() => {
                self.warning(guests, "it has no effect: no other machine reaches what `bind` names")
                    .help("bind it to an address that they reach, or remove this");
            }
            _ => {}
        }
    }

    fn ready(&mut self, spec: &ReadySpec, at: &KeyPath, served: &Served<'_>) -> Ready {
        let pools = if spec.pools.is_empty() {
            used_pools(served)
        } else {
            let paths = self.items(&at.child("pools"));
            let named = spec.pools.iter().zip(paths);
            named.filter_map(|(name, path)| self.pool(name, &path, served.pool_names)).collect()
        };
        let most = spec.min_fit.get();
        let too_small = |index: &&usize| served.pools[**index].endpoints.len() < super::to_usize(most);
        if let Some(pool) = pools.iter().find(too_small).map(|index| &served.pools[*index]) {
            let count = pool.endpoints.len();
            let message = format!("pool `{}` has {count} in all, so the process is never ready", pool.name);
            self.warning(&at.child("min_fit"), message)
                .help("lower it, or name the pools that have so many as `pools`");
        }
        Ready { pools, min_fit: spec.min_fit }
    }
}

/// Those that clients are sent to.
fn used_pools(Served { listeners, routes, .. }: &Served<'_>) -> Vec<usize> {
    let of_listeners = listeners.iter().flat_map(|listener| listener.service.pools());
    let of_routes = routes.iter().flat_map(|route| route.action.pools());
    let used: BTreeSet<usize> = of_listeners.chain(of_routes).collect();
    used.into_iter().collect()
}

fn is_of_this_machine(bind: &BindAddr) -> bool {
    match bind {
        BindAddr::Inet(inet) => inet.ip().is_loopback(),
        BindAddr::Unix(_) => true,
    }
}
