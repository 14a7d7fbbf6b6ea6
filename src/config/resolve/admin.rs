use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::spec::{AdminSpec, NamedMap, ReadySpec, TokenSpec};
use crate::config::{Action, Admin, KeyPath, Listener, Pool, Ready, Route, Token};
use crate::types::{BindAddr, Cidr, Digest, TokenName};

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
        let AdminSpec { bind, open_to, hosts, limits, ready, tokens, anonymous, audit_log } = spec;
        let bind_at = at.child("bind");
        let binds = self.binds(bind, &bind_at, TCP, taken);
        let guests = at.child("open_to");
        if !self.is_partial(&guests) {
            self.check_who_reaches(&binds, &open_to, &bind_at, &guests);
        }
        let ready = self.ready(&ready, &at.child("ready"), served);
        let tokens = self.tokens(tokens, &binds, &at.child("tokens"));
        let audit_log = audit_log.and_then(|path| self.audit_log(path, &at.child("audit_log")));
        Admin { binds, open_to, hosts, connections: limits.connections, ready, tokens, anonymous, audit_log }
    }

    fn tokens(
        &mut self,
        specs: NamedMap<TokenName, TokenSpec>,
        binds: &[BindAddr],
        at: &KeyPath,
    ) -> Vec<Token> {
        let open = binds.iter().find(|bind| !is_of_this_machine(bind));
        if let Some(open) = open.filter(|_| !specs.is_empty()) {
            let message =
                format!("`{open}` has no TLS: whoever is on the way reads the tokens, and uses them");
            self.warning(at, message).help(
                "bind it to 127.0.0.1 and reach it through a tunnel such as SSH, or keep `open_to` to a network that encrypts",
            );
        }
        let mut tokens: Vec<Token> = Vec::new();
        for (name, spec) in specs {
            let at = at.child(name.as_str()).child("token");
            let Some(digest) = self.token_digest(&spec, &at) else { continue };
            if let Some(known) = tokens.iter().find(|known| known.digest.is_same(&digest)) {
                let message =
                    format!("it is that of `{}` too, so that nobody knows who comes with it", known.name);
                self.error(&at, message).help("make another one with: openssl rand -hex 32");
            }
            tokens.push(Token { name, digest, scope: spec.scope });
        }
        tokens
    }

    fn token_digest(&mut self, spec: &TokenSpec, at: &KeyPath) -> Option<Digest> {
        let token = self.secret(&spec.token, at)?.0;
        if !token.iter().all(u8::is_ascii_graphic) {
            let message = "it cannot stand in a header: allowed are visible characters of ASCII, no spaces";
            self.error(at, message).help("make one with: openssl rand -hex 32");
            return None;
        }
        Some(Digest::of(&token))
    }

    fn audit_log(&mut self, path: PathBuf, at: &KeyPath) -> Option<PathBuf> {
        if path.as_os_str().is_empty() {
            self.error(at, "the path is empty").help("name a file, or remove the key");
            return None;
        }
        Some(self.base.join(path))
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
        let asks_splits = spec.pools.is_empty();
        let (pools, of_splits) = if asks_splits {
            used_pools(served)
        } else {
            let paths = self.items(&at.child("pools"));
            let named = spec.pools.iter().zip(paths);
            let named = named.filter_map(|(name, path)| self.pool(name, &path, served.pool_names));
            (named.collect(), Vec::new())
        };
        let most = spec.min_fit.get();
        let too_small = |index: &&usize| served.pools[**index].endpoints.len() < super::to_usize(most);
        let mut all = pools.iter().chain(&of_splits);
        if let Some(pool) = all.find(too_small).map(|index| &served.pools[*index]) {
            let count = pool.endpoints.len();
            let message = format!("pool `{}` has {count} in all, so the process is never ready", pool.name);
            self.warning(&at.child("min_fit"), message)
                .help("lower it, or name the pools that have so many as `pools`");
        }
        Ready { pools, asks_splits, min_fit: spec.min_fit }
    }
}

/// Those that clients are sent to whatever happens, and those that splits send them to.
fn used_pools(Served { listeners, routes, .. }: &Served<'_>) -> (Vec<usize>, Vec<usize>) {
    let of_listeners = listeners.iter().flat_map(|listener| listener.service.pools());
    let (of_splits, of_others): (Vec<_>, Vec<_>) =
        routes.iter().map(|route| &route.action).partition(|action| matches!(action, Action::Split(_)));
    let of = |actions: Vec<&Action>| actions.into_iter().flat_map(Action::pools).collect::<BTreeSet<_>>();
    let always: BTreeSet<usize> = of_listeners.chain(of(of_others)).collect();
    (always.into_iter().collect(), of(of_splits).into_iter().collect())
}

fn is_of_this_machine(bind: &BindAddr) -> bool {
    match bind {
        BindAddr::Inet(inet) => inet.ip().is_loopback(),
        BindAddr::Unix(_) => true,
    }
}
