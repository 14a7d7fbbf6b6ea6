use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::split::{CanaryStatus, SideShare, Split};
use crate::types::RouteName;

use super::Snapshot;

/// How a route's requests are spread over its pools at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SplitStatus {
    pub(crate) route: String,
    /// What keeps a client with its pool; none where nothing does.
    pub(crate) by: Option<String>,
    /// In the order of the configuration.
    pub(crate) to: Vec<SideStatus>,
    pub(crate) canary: Option<CanaryStatus>,
}

/// A pool of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SideStatus {
    pub(crate) pool: String,
    pub(crate) weight: u16,
    /// What it has of all requests.
    pub(crate) share_percent: f64,
}

impl SplitStatus {
    pub(super) fn all(snapshot: &Snapshot, now: Instant) -> Vec<Self> {
        snapshot.splits().map(|(route, split)| Self::of(route, split, now)).collect()
    }

    pub(super) fn of(route: &RouteName, split: &Split, now: Instant) -> Self {
        let side = |side: SideShare<'_>| SideStatus {
            pool: side.name.to_string(),
            weight: side.weight,
            share_percent: side.share.percent(),
        };
        Self {
            route: route.to_string(),
            by: split.describe_key(),
            to: split.shares().map(side).collect(),
            canary: split.canary().map(|canary| canary.status(now)),
        }
    }
}
