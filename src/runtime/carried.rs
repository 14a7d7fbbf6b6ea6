use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::{self, Config, Diff, Outline};
use crate::pools::{PeerTls, Pool};
use crate::types::PoolName;

use super::{Assembled, SecretFile};

/// What a new configuration takes over from the one before.
pub(super) struct Carried<'a> {
    pub(super) diff: Diff,
    pools: HashMap<&'a PoolName, &'a Arc<Pool>>,
    /// Those whose part of the configuration says something else now.
    changed: HashSet<String>,
    /// Whether what all pools depend on says something else.
    changes_all: bool,
}

impl<'a> Carried<'a> {
    pub(super) fn new(
        previous: &'a Assembled,
        config: &Config,
        outline: &Outline,
        secret: Option<&SecretFile>,
    ) -> Self {
        let diff = config::diff(&previous.outline, outline);
        let pools = diff.changes.iter().filter(|change| change.section == "pools");
        let changed = pools.filter_map(|change| change.name.clone()).collect();
        let old = &previous.config;
        let is_other_secret =
            previous.secret_file.as_ref().map(SecretFile::bytes) != secret.map(SecretFile::bytes);
        Self {
            diff,
            changed,
            changes_all: previous.is_draft
                || old.zone != config.zone
                || old.ipv6_prefix != config.ipv6_prefix
                || is_other_secret,
            pools: previous.snapshot.pools.iter().map(|pool| (pool.name(), pool)).collect(),
        }
    }

    /// The pool of this name as it was, whatever it was.
    pub(super) fn predecessor(&self, config: &config::Pool) -> Option<&'a Arc<Pool>> {
        self.pools.get(&config.name).copied()
    }

    /// The pool of this name, if a new one would be the same.
    pub(super) fn unchanged(&self, config: &config::Pool, tls: Option<&PeerTls>) -> Option<&'a Arc<Pool>> {
        let is_same = !self.changes_all && !self.changed.contains(config.name.as_str());
        self.predecessor(config).filter(|pool| is_same && pool.has_tls(tls))
    }
}
