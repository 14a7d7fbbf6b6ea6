use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config;
use crate::config::Token;
use crate::config::spec::Anonymous;
use crate::hooks::PoolRef;
use crate::net::Transport;
use crate::pools::Pool;
use crate::types::{Digest, HostPattern};

use super::{Ending, Listener, Peer, Snapshot, Waiting};

/// Where those who look after the process reach it over HTTP, and what they are told by one configuration.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) listener: Arc<Listener>,
    /// Names under which it may be asked for.
    pub(crate) hosts: Vec<HostPattern>,
    /// Those that have to serve for the process to be ready, whatever requests come, by `PoolRef`.
    ready_pools: Vec<usize>,
    /// Whether those have to, too, that splits send requests to at the moment.
    asks_splits: bool,
    /// So many endpoints of each have to be fit.
    pub(crate) min_fit: usize,
    tokens: Vec<Token>,
    /// What may be done without a token.
    pub(crate) anonymous: Anonymous,
}

/// Whoever answers them.
#[async_trait]
pub(crate) trait AdminService: Send + Sync {
    /// Serves a connection to its end, which comes soon once `ending` begins. Whether it waits for its client is noted as
    /// `waiting`.
    async fn serve(&self, transport: Transport, via: Via, ending: Ending, waiting: Arc<Waiting>);
}

/// How they have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// By the listener of `admin`.
    Listener(Peer),
    /// By the control socket, which lets in this user only, and root.
    ControlSocket { uid: u32 },
}

impl Admin {
    pub(super) fn new(config: &config::Admin) -> Self {
        let ready = &config.ready;
        Self {
            listener: Arc::new(Listener::of_admin(config)),
            hosts: config.hosts.clone(),
            ready_pools: ready.pools.clone(),
            asks_splits: ready.asks_splits,
            min_fit: usize::try_from(ready.min_fit.get()).unwrap_or(usize::MAX),
            tokens: config.tokens.clone(),
            anonymous: config.anonymous,
        }
    }

    /// The pools of the configuration that this belongs to without which requests that come now would fail, or those that it
    /// names, in their order.
    pub(crate) fn relied_on<'s>(&self, snapshot: &'s Snapshot) -> impl Iterator<Item = &'s Arc<Pool>> {
        let splits = snapshot.splits().filter(|_| self.asks_splits);
        let of_splits = splits.flat_map(|(_, split)| split.relied_on()).map(|PoolRef(index)| index);
        let pools: BTreeSet<usize> = self.ready_pools.iter().copied().chain(of_splits).collect();
        pools.into_iter().map(|index| &snapshot.pools[index])
    }

    /// Whose token it is that a client shows, if it is one.
    pub(crate) fn token(&self, shown: &[u8]) -> Option<&Token> {
        self.token_with(&Digest::of(shown))
    }

    /// The token that has this digest.
    pub(crate) fn token_with(&self, digest: &Digest) -> Option<&Token> {
        // All of them are compared, so that the time tells nothing of which it is.
        self.tokens.iter().fold(None, |found, token| match token.digest.is_same(digest) {
            true => Some(token),
            false => found,
        })
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::Origin;
    use crate::runtime::{Registry, assemble};

    fn listener(open_to: &str) -> Arc<Listener> {
        let text = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ respond: {{}} }}]
admin: {{ bind: '0.0.0.0:0', open_to: [{open_to}] }}
"
        );
        let origin = Origin::test(text);
        let assembled = assemble(&origin, &Registry::with_built_ins(), None).unwrap();
        assembled.snapshot.admin.as_ref().unwrap().listener.clone()
    }

    #[test]
    fn nobody_may_connect_but_this_machine_and_its_guests() {
        let listener = listener("10.0.3.0/24, '2001:db8::/32'");
        for (peer, is_admitted) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("10.0.3.9", true),
            ("2001:db8::9", true),
            ("10.0.4.9", false),
            ("192.0.2.1", false),
            ("2001:db9::1", false),
        ] {
            assert_eq!(listener.admits(Some(peer.parse().unwrap())), is_admitted, "{peer}");
        }
        assert!(listener.admits(None));
    }

    #[test]
    fn connections_end_with_the_welcome_of_those_who_made_them() {
        let (few, many) = (listener("10.0.3.0/24"), listener("10.0.3.0/24, 10.0.4.0/24"));
        assert!(many.welcomes_all_of(&few) && few.welcomes_all_of(&few));
        assert!(!few.welcomes_all_of(&many));
    }
}
