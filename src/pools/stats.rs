//! What pools and endpoints came to since the process began, for metrics; it goes on over reloads.

use crate::telemetry::{Histogram, Latencies, Minute, RecentCount, Turn};
use crate::types::Counter;

use super::endpoint::Endpoint;
use super::pool::Pool;
use super::reserve::Unreserved;

/// What requests came to at an endpoint, beside what policies go by.
#[derive(Debug, Default)]
pub(super) struct EndpointStats {
    /// How long it took to answer, where the attempt did not fail.
    pub(super) latencies: Latencies,
    pub(super) picks: RecentCount,
    pub(super) ejections: Counter,
    pub(super) probes_passed: Counter,
    pub(super) probes_failed: Counter,
}

/// What requests came to at a pool.
#[derive(Debug, Default)]
pub(super) struct PoolStats {
    /// As for its endpoints, with those that have left it.
    pub(super) latencies: Latencies,
    pub(super) retries: Counter,
    /// Retries that the budget had no room for.
    pub(super) retries_refused: Counter,
    hedges: Counter,
    /// Requests that waited for an endpoint, and those that got none.
    pub(super) waited: Counter,
    unreserved: [Counter; UNRESERVED.len()],
}

/// A pool's counts as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolCounts {
    pub(crate) picks: u64,
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
    pub(super) fn count_probe(&self, passed: bool) {
        let count = if passed { &self.probes_passed } else { &self.probes_failed };
        count.count();
    }
}

impl PoolStats {
    pub(super) fn count_unreserved(&self, why: Unreserved) {
        self.unreserved[why as usize].count();
    }
}

impl Pool {
    pub(crate) fn counts(&self) -> PoolCounts {
        let stats = &self.lineage.stats;
        PoolCounts {
            picks: self.lineage.load.picks(),
            retries: stats.retries.get(),
            retries_refused: stats.retries_refused.get(),
            hedges: stats.hedges.get(),
            waited: stats.waited.get(),
            unreserved: stats.unreserved.each_ref().map(Counter::get),
        }
    }

    /// Counts a request that was sent to a second endpoint, since the first was silent.
    pub(crate) fn count_hedge(&self) {
        self.lineage.stats.hedges.count();
    }

    /// How long its endpoints have taken to answer since the process began.
    pub(crate) fn latencies(&self) -> Histogram {
        self.lineage.stats.latencies.read()
    }

    /// How long they took in the last minute.
    pub(crate) fn last_minute(&self) -> Minute {
        self.lineage.stats.latencies.last_minute()
    }

    /// Looks at what was counted since the last turn, here and at all endpoints.
    pub(crate) fn turn(&self, turn: Turn) {
        self.lineage.stats.latencies.turn(turn);
        for endpoint in self.endpoints() {
            let stats = &endpoint.record().stats;
            stats.latencies.turn(turn);
            stats.picks.turn(endpoint.load().picks(), turn);
        }
    }
}

impl Endpoint {
    pub(crate) fn counts(&self) -> EndpointCounts {
        let stats = &self.record().stats;
        EndpointCounts {
            ejections: stats.ejections.get(),
            probes_passed: stats.probes_passed.get(),
            probes_failed: stats.probes_failed.get(),
        }
    }

    /// How long it has taken to answer since the process began.
    pub(crate) fn latencies(&self) -> Histogram {
        self.record().stats.latencies.read()
    }

    /// How long it took in the last minute.
    pub(crate) fn last_minute(&self) -> Minute {
        self.record().stats.latencies.last_minute()
    }

    /// How often it was picked in the last minute.
    pub(crate) fn picks_of_last_minute(&self) -> u64 {
        self.record().stats.picks.last_minute()
    }
}
