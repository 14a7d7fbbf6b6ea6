use std::collections::HashMap;

use crate::config::{KeyPath, Listener, Pool};
use crate::types::{ListenerName, PoolName, closest};

use super::Resolver;

/// What routes can refer to.
pub(super) struct Names<'a> {
    pub(super) listeners: &'a [Listener],
    pub(super) pools: &'a PoolNames<'a>,
}

/// Where each pool stands; there may be as many as routes.
pub(super) struct PoolNames<'a>(HashMap<&'a str, usize>);

impl<'a> PoolNames<'a> {
    pub(super) fn of(pools: &'a [Pool]) -> Self {
        Self(pools.iter().enumerate().map(|(index, pool)| (pool.name.as_str(), index)).collect())
    }

    /// In the order of the file.
    fn all(&self) -> Vec<&'a str> {
        let mut all: Vec<_> = self.0.iter().map(|(name, index)| (*index, *name)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, name)| name).collect()
    }
}

impl Resolver<'_> {
    /// The index of the pool that stands under `name` at `path`.
    pub(super) fn pool(&mut self, name: &PoolName, path: &KeyPath, pools: &PoolNames<'_>) -> Option<usize> {
        let found = pools.0.get(name.as_str()).copied();
        if found.is_none() {
            self.unknown("pool", name.as_str(), path, &pools.all());
        }
        found
    }

    /// The index of the listener that stands under `name` at `path`.
    pub(super) fn listener(
        &mut self,
        name: &ListenerName,
        path: &KeyPath,
        names: &Names<'_>,
    ) -> Option<usize> {
        let known = || names.listeners.iter().map(|listener| listener.name.as_str());
        let found = known().position(|known| known == name.as_str());
        if found.is_none() {
            self.unknown("listener", name.as_str(), path, &known().collect::<Vec<_>>());
        }
        found
    }

    fn unknown(&mut self, kind: &str, name: &str, path: &KeyPath, known: &[&str]) {
        let section = KeyPath::default().child(format!("{kind}s"));
        if self.removed.contains(&section) || self.removed.contains(&section.child(name)) {
            return;
        }
        let help = match closest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("describe it under `{section}`"),
            None => format!("the {kind}s are: {}", list(known)),
        };
        self.error(path, format_args!("no {kind} named `{name}`")).help(help);
    }
}

/// The first few names.
fn list(names: &[&str]) -> String {
    const MAX_LISTED: usize = 10;
    let more = if names.len() > MAX_LISTED { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(MAX_LISTED)].join(", "))
}
