//! What the process does at one moment, in plain values: for `evener status --json`, the admin API and the dashboard.

mod caches;
mod certificates;
mod listeners;
mod pools;
mod routes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::telemetry::Percentiles;

use super::SplitStatus;

#[cfg(test)]
pub(crate) use caches::CacheDiskStatus;
pub(crate) use caches::{CacheDiskUse, CacheStatus};
pub(crate) use certificates::CertificateStatus;
pub(crate) use listeners::ListenerStatus;
pub(crate) use pools::{EndpointStatus, PoolStatus};
pub(crate) use routes::RouteStatus;
pub(super) use routes::last_minute;

/// What the process does at one moment, for operators. It is what `evener status --json` prints, so a field that is
/// there stays there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    /// The version that runs.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) process: u32,
    /// How long it has run.
    #[serde(default)]
    pub(crate) uptime_s: u64,
    /// When it began (RFC 3339).
    #[serde(default)]
    pub(crate) started: String,
    /// Whether the process takes no new connections any more and is about to end.
    pub(crate) draining: bool,
    /// The number of the configuration that is served; the process has begun with 1.
    #[serde(default)]
    pub(crate) generation: u64,
    /// Configurations that were put in the place of another since the start.
    #[serde(default)]
    pub(crate) changes_made: u64,
    /// Configurations that were refused since the start.
    #[serde(default)]
    pub(crate) changes_refused: u64,
    /// All requests of the last minute.
    #[serde(default)]
    pub(crate) last_minute: Percentiles,
    /// In the order of the configuration; none where one pool was asked for.
    #[serde(default)]
    pub(crate) listeners: Vec<ListenerStatus>,
    /// In the order of the configuration; none where one pool was asked for.
    #[serde(default)]
    pub(crate) routes: Vec<RouteStatus>,
    /// What requests come to that have no route; none where one pool was asked for.
    #[serde(default)]
    pub(crate) unrouted: Option<RouteStatus>,
    /// In the order of the configuration.
    pub(crate) pools: Vec<PoolStatus>,
    /// In the order of the routes; none where one pool was asked for.
    #[serde(default)]
    pub(crate) splits: Vec<SplitStatus>,
    /// Those of all listeners, in the order of the configuration.
    #[serde(default)]
    pub(crate) certificates: Vec<CertificateStatus>,
    /// In the order of the configuration; none where one pool was asked for.
    #[serde(default)]
    pub(crate) caches: Vec<CacheStatus>,
}

/// Counts by their names.
fn named(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).collect()
}
