//! What pools and endpoints came to since the process began, for metrics; it goes on over reloads.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::telemetry::{Histogram, RecentLatencies};

use super::endpoint::Endpoint;
use super::pool::Pool;
use super::reserve::Unreserved;

/// What requests came to at an endpoint, beside what policies go by.
#[derive(Debug)]
pub(super) struct EndpointStats {
    /// How long it took to answer, where the attempt did not fail.
    pub(super) latencies: RecentLatencies,
    pub(super) ejections: AtomicU64,
    pub(super) probes_passed: AtomicU64,
    pub(super) probes_failed: AtomicU64,
}

/// What requests came to at a pool.
#[derive(Debug)]
pub(super) struct PoolStats {
    /// As for its endpoints, with those that have left it.
    pub(super) latencies: RecentLatencies,
    pub(super) retries: AtomicU64,
    /// Retries that the budget had no room for.
    pub(super) retries_refused: AtomicU64,
    hedges: AtomicU64,
    /// Requests that waited for an endpoint, and those that got none.
    pub(super) waited: AtomicU64,
    unreserved: [AtomicU64; UNRESERVED.len()],
}

/// A pool's counts as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolCounts {
    pub(crate) retries: u64,
    pub(crate) retries_refused: u64,
    pub(crate) hedges: u64,
    pub(crate) waited: u64,
    /// In the order of [`UNRESERVED`].
    pub(crate) unreserved: [u64; UNRESERVED.len()],
}

/// An endpoint's counts as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndpointCounts {
    pub(crate) ejections: u64,
    pub(crate) probes_passed: u64,
    pub(crate) probes_failed: u64,
}

/// Why requests got no endpoint, as labels of metrics; in the order of [`Unreserved`].
pub(crate) const UNRESERVED: [&str; 5] =
    ["nobody_fit", "queue_full", "queue_timeout", "out_of_time", "policy_failed"];

impl EndpointStats {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            latencies: RecentLatencies::new(now),
            ejections: AtomicU64::new(0),
            probes_passed: AtomicU64::new(0),
            probes_failed: AtomicU64::new(0),
        }
    }

    pub(super) fn count_probe(&self, passed: bool) {
        add_one(if passed { &self.probes_passed } else { &self.probes_failed });
    }
}

impl PoolStats {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            latencies: RecentLatencies::new(now),
            retries: AtomicU64::new(0),
            retries_refused: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            unreserved: Default::default(),
        }
    }

    pub(super) fn count_unreserved(&self, why: Unreserved) {
        add_one(&self.unreserved[why as usize]);
    }
}

pub(super) fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Pool {
    pub(crate) fn counts(&self) -> PoolCounts {
        let stats = &self.lineage.stats;
        PoolCounts {
            retries: read(&stats.retries),
            retries_refused: read(&stats.retries_refused),
            hedges: read(&stats.hedges),
            waited: read(&stats.waited),
            unreserved: stats.unreserved.each_ref().map(read),
        }
    }

    /// Counts a request that was sent to a second endpoint, since the first was silent.
    pub(crate) fn count_hedge(&self) {
        add_one(&self.lineage.stats.hedges);
    }

    /// How long its endpoints have taken to answer since the process began.
    pub(crate) fn latencies(&self) -> Histogram {
        self.lineage.stats.latencies.all()
    }

    /// The same in the last half to whole minute.
    #[expect(dead_code, reason = "percentiles of the last minute are told nowhere yet")]
    pub(crate) fn recent_latencies(&self, now: Instant) -> Histogram {
        self.lineage.stats.latencies.recent(now)
    }

    /// Lets what is recent go on, in the pool and its endpoints; due at least every half minute.
    #[expect(dead_code, reason = "percentiles of the last minute are told nowhere yet")]
    pub(crate) fn turn_latencies(&self, now: Instant) {
        self.lineage.stats.latencies.turn(now);
        self.endpoints.iter().for_each(|endpoint| endpoint.record().stats.latencies.turn(now));
    }
}

impl Endpoint {
    pub(crate) fn counts(&self) -> EndpointCounts {
        let stats = &self.record().stats;
        EndpointCounts {
            ejections: read(&stats.ejections),
            probes_passed: read(&stats.probes_passed),
            probes_failed: read(&stats.probes_failed),
        }
    }

    /// How long it has taken to answer since the process began.
    pub(crate) fn latencies(&self) -> Histogram {
        self.record().stats.latencies.all()
    }

    /// The same in the last half to whole minute.
    #[expect(dead_code, reason = "percentiles of the last minute are told nowhere yet")]
    pub(crate) fn recent_latencies(&self, now: Instant) -> Histogram {
        self.record().stats.latencies.recent(now)
    }
}
