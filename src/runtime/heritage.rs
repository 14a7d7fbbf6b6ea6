//! What a process leaves to the one that takes over: all that is known, and would have to be learnt anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::{Diagnostics, Origin};
use crate::hooks::{Exported, Kept, KeptStanding};
use crate::pools::{Pool, PoolState};
use crate::types::PoolName;

use super::caches::take_folders_over;
use super::{Assembled, Generation, Lately, Registry, SecretFile, Snapshot, assemble};

/// What is left, in plain values. Another version may have written it: what is missing has a default, and what is unknown
/// is passed over.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Heritage {
    /// By name.
    pools: BTreeMap<String, PoolState>,
    /// The secret of sticky cookies, where its file may be gone.
    secret: Option<SecretFile>,
    /// The generations and their configurations, in a form that another version may not understand.
    history: serde_json::Value,
    /// The names of what hooks keep; their bytes come as parcels of the same number.
    kept: Vec<KeptName>,
    /// What would be wasteful in a text.
    #[serde(skip)]
    parcels: Vec<Parcel>,
}

/// Bytes with a name.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) name: String,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptName {
    scope: String,
    name: String,
    #[serde(default)]
    standing: KeptStanding,
}

/// The parcel of the keys of session tickets.
const TICKET_KEYS: &str = "ticket_keys";
/// The parcel of what goes on in what is told.
const LATELY: &str = "lately";

/// Bytes of what hooks keep that are handed over at most.
const MOST_KEPT: usize = 192 << 20;

/// Leaves out what is largest, until the rest can be handed over: most limits are better than none.
fn drop_largest(exported: &mut Vec<Exported>) {
    let mut sum: usize = exported.iter().map(|one| one.bytes.len()).sum();
    while sum > MOST_KEPT {
        let largest = (0..exported.len()).max_by_key(|&index| exported[index].bytes.len());
        let Some(Exported { scope, name, bytes, .. }) = largest.map(|index| exported.swap_remove(index))
        else {
            return;
        };
        sum -= bytes.len();
        log::warn!("state is not handed over, there is too much of it scope={scope} name={name:?}");
    }
}

impl Heritage {
    /// What a process leaves that serves `served`, and has served others before. Takes a moment where hooks keep much.
    pub(crate) fn of(
        served: &Assembled,
        history: &[(Generation, Origin)],
        lately: &Lately,
        now: Instant,
    ) -> Self {
        let pools = served.snapshot.pools.iter().map(|pool| (pool.name().to_string(), pool.export(now)));
        // Plain structures with text keys always serialise.
        let told = Zeroizing::new(serde_json::to_vec(lately).unwrap_or_default());
        let mut parcels = vec![
            Parcel { name: TICKET_KEYS.to_owned(), bytes: served.ticket_keys.export() },
            Parcel { name: LATELY.to_owned(), bytes: told },
        ];
        let mut kept = Vec::new();
        let mut exported = served.kept.export(now);
        drop_largest(&mut exported);
        for (number, Exported { scope, name, standing, bytes }) in exported.into_iter().enumerate() {
            kept.push(KeptName { scope, name, standing });
            parcels.push(Parcel { name: number.to_string(), bytes: Zeroizing::new(bytes) });
        }
        Self {
            pools: pools.collect(),
            secret: served.secret_file.clone(),
            // Plain structures with text keys always serialise.
            history: serde_json::to_value(history).unwrap_or_default(),
            kept,
            parcels,
        }
    }

    /// The generations and their configurations, the oldest first; none where they cannot be understood.
    pub(crate) fn take_history(&mut self) -> Vec<(Generation, Origin)> {
        serde_json::from_value(std::mem::take(&mut self.history)).unwrap_or_default()
    }

    /// What it told of the time before; nothing where that cannot be understood.
    pub(crate) fn take_lately(&mut self) -> Lately {
        let told = self.take(LATELY).unwrap_or_default();
        serde_json::from_slice(&told).unwrap_or_default()
    }

    /// As a text, and what goes beside it.
    pub(crate) fn pack(self) -> (Vec<u8>, Vec<Parcel>) {
        // Plain structures with text keys always serialise.
        (serde_json::to_vec(&self).unwrap_or_default(), self.parcels)
    }

    /// The same again.
    ///
    /// # Errors
    /// When the text is none of this kind.
    pub(crate) fn unpack(document: &[u8], parcels: Vec<Parcel>) -> Result<Self, serde_json::Error> {
        Ok(Self { parcels, ..serde_json::from_slice(document)? })
    }

    /// A pool of which the other process knew a fit endpoint, while the probes of this one found none.
    pub(crate) fn unreached(&self, snapshot: &Snapshot) -> Option<PoolName> {
        let is_unreached = |pool: &&Arc<Pool>| {
            let known = self.pools.get(pool.name().as_str());
            known.is_some_and(PoolState::has_fit_endpoint) && pool.finds_nobody()
        };
        snapshot.pools.iter().find(is_unreached).map(|pool| pool.name().clone())
    }

    /// Goes on with it, before anything is served: the same configuration again, with what is known.
    ///
    /// # Errors
    /// As for [`assemble()`]; a file may have changed meanwhile.
    pub(crate) fn bequeath(
        mut self,
        to: &mut Assembled,
        registry: &Registry,
        now: Instant,
    ) -> Result<(), Diagnostics> {
        if let Some(keys) = self.take(TICKET_KEYS)
            && let Err(error) = to.ticket_keys.import(&keys)
        {
            log::warn!("sessions of TLS are not resumed error=\"{error}\"");
        }
        to.kept = Kept::import(self.take_kept(), now);
        // Policies have their state by now, and cookies their secret.
        to.is_draft = true;
        let needs_secret = to.secret_file.is_some();
        to.secret_file = self.secret.take().filter(|_| needs_secret).or(to.secret_file.take());
        let assembled = assemble(&to.origin, registry, Some(to))?;
        *to = assembled;
        to.snapshot.take_over(now);
        take_folders_over(&to.snapshot.caches);
        for pool in &to.snapshot.pools {
            if let Some(state) = self.pools.get(pool.name().as_str()) {
                pool.import(state, now);
            }
        }
        Ok(())
    }

    fn take_kept(&mut self) -> Vec<Exported> {
        let names = std::mem::take(&mut self.kept).into_iter().enumerate();
        let exported = names.filter_map(|(number, KeptName { scope, name, standing })| {
            let bytes = std::mem::take(&mut *self.take(&number.to_string())?);
            Some(Exported { scope, name, standing, bytes })
        });
        exported.collect()
    }

    fn take(&mut self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let index = self.parcels.iter().position(|parcel| parcel.name == name)?;
        Some(self.parcels.swap_remove(index).bytes)
    }
}
