//! What operators do to splits.

use tokio::time::Instant;

use crate::runtime::{Snapshot, SplitStatus};
use crate::split::{CanaryOrder, NotRunning, Split, WeightRefused};
use crate::types::{EndpointAddr, RouteName, Weight};

use super::{Control, ControlError, Known, Target, WeightChange};

impl Control {
    /// Changes the weight of a pool of a split; `None` where the target is none. No name of a pool is an address, so that a
    /// route may have the name of a pool.
    pub(super) fn set_split_weight(
        &self,
        target: &Target,
        weight: Weight,
    ) -> Option<Result<WeightChange, ControlError>> {
        let snapshot = self.live.snapshot();
        let is_address = target.endpoint.parse::<EndpointAddr>().is_ok();
        let (route, split) =
            snapshot.splits().find(|(route, _)| route.as_str() == target.pool && !is_address)?;
        let _alone = self.changing.lock();
        Some(change_weight(route, split, &target.endpoint, weight))
    }

    /// What a canary does, after it was steered if it is to be.
    ///
    /// # Errors
    /// When there is no such canary, or it has ended and the order is for one that runs.
    pub(crate) fn canary(
        &self,
        route: &str,
        order: Option<CanaryOrder>,
        now: Instant,
    ) -> Result<SplitStatus, ControlError> {
        let snapshot = self.live.snapshot();
        let (name, split) = find_split(&snapshot, route)?;
        let canary = split.canary().ok_or_else(|| ControlError::NoCanary { route: name.to_string() })?;
        if let Some(order) = order {
            let _alone = self.changing.lock();
            let steered = canary.steer(order, now);
            steered.map_err(|NotRunning| ControlError::CanaryEnded { route: name.to_string() })?;
        }
        Ok(SplitStatus::of(name, split, now))
    }
}

pub(super) fn find_split<'s>(
    snapshot: &'s Snapshot,
    route: &str,
) -> Result<(&'s RouteName, &'s Split), ControlError> {
    let found = snapshot.splits().find(|(name, _)| name.as_str() == route);
    found.ok_or_else(|| {
        let known = snapshot.splits().map(|(name, _)| name.to_string()).collect();
        ControlError::UnknownSplit { found: route.to_owned(), help: Known::for_name(route, known) }
    })
}

/// Changes a weight and tells so; nothing where it was the same.
fn change_weight(
    route: &RouteName,
    split: &Split,
    pool: &str,
    weight: Weight,
) -> Result<WeightChange, ControlError> {
    let side = split.side_named(pool).ok_or_else(|| {
        let known = split.names().map(ToString::to_string).collect();
        let help = Known::for_name(pool, known);
        ControlError::UnknownSide { route: route.to_string(), found: pool.to_owned(), help }
    })?;
    let from = split.set_weight(side, weight).map_err(|refused| match refused {
        WeightRefused::OfCanary => {
            ControlError::WeightOfCanary { route: route.to_string(), pool: pool.to_owned() }
        }
        WeightRefused::OfLast => ControlError::LastWeight { pool: pool.to_owned() },
    })?;
    let to = weight.get();
    if from != to {
        log::info!(
            "pool of a split is weighted by an operator route={route} pool={pool} from={from} to={to}"
        );
    }
    Ok(WeightChange { from, to })
}
