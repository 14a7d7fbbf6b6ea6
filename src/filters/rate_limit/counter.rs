use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::hooks::{FilterCx, KeyParts, KeySeed, KeySpec, NO_KEY, Rejection, RequestView};

use super::cluster::Cluster;
use super::settings::OnStoreFailure;
use super::{Decision, Limiter};

/// Where a limit is counted: in this process, or in a store for all of them.
#[derive(Debug)]
pub(super) struct Counter {
    key: KeySpec,
    ipv6_prefix: u8,
    /// What counts where there is no store, or it does not answer.
    limiter: Arc<Limiter>,
    shared: Option<Arc<Shared>>,
    /// Whether requests count when their answers are known, and not before.
    counts_answers: bool,
}

/// The part that is shared with other processes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) on_failure: OnStoreFailure,
}

/// A request's key, in the forms in which it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    here: u128,
    shared: Option<[u8; 16]>,
}

impl Counter {
    pub(super) fn new(
        key: KeySpec,
        ipv6_prefix: u8,
        limiter: Arc<Limiter>,
        shared: Option<Shared>,
        counts_answers: bool,
    ) -> Self {
        Self { key, ipv6_prefix, limiter, shared: shared.map(Arc::new), counts_answers }
    }

    pub(super) fn key(&self, request: &RequestView<'_>, cx: &FilterCx<'_>) -> Key {
        let parts = KeyParts::of(request, cx);
        let seed: &KeySeed = self.limiter.hasher();
        let shared = || self.key.digest(parts, self.ipv6_prefix).unwrap_or(NO_KEY.to_be_bytes());
        Key {
            here: self.key.hash(parts, self.ipv6_prefix, seed).unwrap_or(NO_KEY),
            shared: self.shared.is_some().then(shared),
        }
    }

    /// What would be said here to a request with these parts; nothing is counted.
    pub(super) fn look(&self, parts: KeyParts<'_>, now: Instant) -> Decision {
        let key = self.key.hash(parts, self.ipv6_prefix, self.limiter.hasher()).unwrap_or(NO_KEY);
        self.limiter.look(key, now)
    }

    /// Decides on a request that would wait up to `patience` for its turn; `None` where it passes without having been
    /// counted.
    ///
    /// # Errors
    /// When nobody knows, and it is not to pass then.
    pub(super) async fn decide(
        &self,
        key: Key,
        now: Instant,
        patience: Duration,
    ) -> Result<Option<Decision>, Rejection> {
        let (Some(shared), Some(shared_key)) = (&self.shared, key.shared) else {
            return Ok(Some(self.decide_here(key, now, patience)));
        };
        let decision = if self.counts_answers {
            shared.cluster.look(shared_key).await
        } else {
            shared.cluster.take(shared_key, patience).await
        };
        match decision {
            Ok(decision) => {
                if matches!(decision, Decision::Allowed { .. }) {
                    // What passes here is known here, should the store be gone with the next request.
                    self.decide_here(key, now, patience);
                }
                Ok(Some(decision))
            }
            Err(error) => {
                shared.cluster.store().miss(&error, shared.on_failure.as_told());
                match shared.on_failure {
                    OnStoreFailure::Local => Ok(Some(self.decide_here(key, now, patience))),
                    OnStoreFailure::Allow => Ok(None),
                    OnStoreFailure::Reject => {
                        Err(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "rate_limit_store"))
                    }
                }
            }
        }
    }

    fn decide_here(&self, key: Key, now: Instant, patience: Duration) -> Decision {
        if self.counts_answers {
            self.limiter.look(key.here, now)
        } else {
            self.limiter.decide_within(key.here, now, patience)
        }
    }

    /// Counts a request that has been answered. Nobody waits for the store here.
    pub(super) fn charge(&self, key: Key, now: Instant) {
        self.limiter.charge(key.here, 1, now);
        if let (Some(shared), Some(key)) = (self.shared.clone(), key.shared) {
            tokio::spawn(async move {
                if let Err(error) = shared.cluster.charge(key).await {
                    shared.cluster.store().miss(&error, shared.on_failure.as_told());
                }
            });
        }
    }
}
