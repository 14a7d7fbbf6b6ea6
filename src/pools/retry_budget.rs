use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::hooks::PoolLoad;

use super::lineage::Lineage;
use super::pool::Pool;

/// A request that is between two attempts: in flight at the pool, though at no endpoint.
#[derive(Debug)]
pub(crate) struct BetweenAttempts {
    load: Arc<PoolLoad>,
}

/// Leave for a retry, which counts against the budget until this is dropped.
#[derive(Debug)]
pub(crate) struct RetryPermit {
    lineage: Arc<Lineage>,
}

impl Pool {
    /// Retries in flight that count against the budget.
    pub(crate) fn retries(&self) -> u32 {
        self.lineage.retries.load(Ordering::Relaxed)
    }

    /// Leave to repeat an attempt, if the budget has any: its share of what is in flight, or its minimum.
    pub(crate) fn permit_retry(&self) -> Option<RetryPermit> {
        let allowed = self.allowed_retries();
        let one_more = |count: u32| (count < allowed).then_some(count + 1);
        let retries = &self.lineage.retries;
        let permitted = retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if permitted.is_err() {
            self.lineage.stats.retries_refused.count();
        }
        permitted.is_ok().then(|| RetryPermit { lineage: self.lineage.clone() })
    }

    /// Whether there would be leave for a retry at this moment.
    pub(crate) fn has_budget(&self) -> bool {
        self.retries() < self.allowed_retries()
    }

    fn allowed_retries(&self) -> u32 {
        let retry = &self.config().retry;
        retry.budget.of(self.in_flight()).max(retry.budget_min)
    }

    /// Begins a retry: the request counts as in flight while it has no endpoint, so that the budget does not shrink by those
    /// that wait for their next attempt.
    pub(crate) fn between_attempts(&self) -> BetweenAttempts {
        self.lineage.stats.retries.count();
        self.lineage.load.begin();
        BetweenAttempts { load: self.lineage.load.clone() }
    }
}

impl Drop for BetweenAttempts {
    fn drop(&mut self) {
        self.load.end();
    }
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        self.lineage.retries.fetch_sub(1, Ordering::Relaxed);
    }
}
