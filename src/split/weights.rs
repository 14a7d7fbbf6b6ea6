use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::time::Instant;

use crate::hooks::{BuildCx, Export, ImportError};
use crate::types::{PoolName, Weight};

/// The weights of a split's pools, as they are now.
#[derive(Debug)]
pub(super) struct Weights(Box<[(PoolName, AtomicU16)]>);

impl Weights {
    /// Those that operators have left, if the file says the same as then; else those of the file.
    pub(super) fn kept(written: Vec<(PoolName, Weight)>, cx: &BuildCx<'_>) -> Arc<Self> {
        let told: Vec<_> = written.iter().map(|(pool, weight)| format!("{pool}={weight}")).collect();
        let make = || {
            let of = |(pool, weight): (PoolName, Weight)| (pool, AtomicU16::new(weight.get()));
            Self(written.into_iter().map(of).collect())
        };
        cx.keep_returning(&format!("weights {}", told.join(" ")), make)
    }

    pub(super) fn get(&self, side: usize) -> u16 {
        self.0[side].1.load(Ordering::Relaxed)
    }

    /// Sets a weight, and tells what it was.
    pub(super) fn set(&self, side: usize, weight: Weight) -> u16 {
        self.0[side].1.swap(weight.get(), Ordering::Relaxed)
    }
}

/// By the names of pools.
impl Export for Weights {
    fn export(&self, _: Instant) -> Vec<u8> {
        let weights: BTreeMap<_, _> =
            self.0.iter().map(|(pool, weight)| (pool.as_str(), weight.load(Ordering::Relaxed))).collect();
        // A map with text keys always serialises.
        serde_json::to_vec(&weights).unwrap_or_default()
    }

    fn import(&mut self, bytes: &[u8], _: Instant) -> Result<(), ImportError> {
        let weights: BTreeMap<String, u16> = serde_json::from_slice(bytes).map_err(ImportError::new)?;
        if let Some((pool, weight)) = weights.iter().find(|(_, weight)| **weight > Weight::MAX) {
            return Err(ImportError::new(format!("`{pool}` has the weight {weight}")));
        }
        for (pool, known) in &mut self.0 {
            if let Some(weight) = weights.get(pool.as_str()) {
                *known.get_mut() = *weight;
            }
        }
        Ok(())
    }
}
