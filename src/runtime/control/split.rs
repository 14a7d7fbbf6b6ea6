//! What operators do to splits.

use tokio::time::Instant;

use crate::runtime::{Actor, Deed, Snapshot, SplitStatus, What};
use crate::split::{CanaryOrder, CanaryStatus, NotRunning, Split, WeightRefused};
use crate::types::{EndpointAddr, RouteName, Weight};

use super::{Control, ControlError, Known, Target, WeightChange};

impl Control {
    /// Whether a target is a pool of a split. No name of a pool is an address, so that a route may have the name of a pool.
    pub(super) fn is_side(&self, target: &Target) -> bool {
        let is_address = target.endpoint.parse::<EndpointAddr>().is_ok();
        !is_address && self.live.snapshot().splits().any(|(route, _)| route.as_str() == target.pool)
    }

    /// Changes the weight of a pool of a split.
    ///
    /// # Errors
    /// When there is no such split, it has no such pool, or that has to keep its weight.
    pub(crate) fn set_side_weight(
        &self,
        target: &Target,
        weight: Weight,
        by: &Actor,
        now: Instant,
    ) -> Result<WeightChange, ControlError> {
        let _alone = self.live.alone();
        let snapshot = self.live.snapshot();
        let found = find_split(&snapshot, &target.pool);
        let changed = found.and_then(|(route, split)| change_weight(route, split, &target.endpoint, weight));
        let change = self.audited(changed, What::Weight, target, by, now)?;
        let WeightChange { from, to } = change;
        let deed = Deed::done(What::Weight, from != to).to(target);
        let deed = deed.from(format!("weight {from}")).until(format!("weight {to}"));
        self.changes.audit().record(by, deed, now);
        Ok(change)
    }

    /// What a canary does, after it was steered if it is to be.
    ///
    /// # Errors
    /// When there is no such canary, or it has ended and the order is for one that runs.
    pub(crate) fn canary(
        &self,
        route: &str,
        order: Option<CanaryOrder>,
        by: &Actor,
        now: Instant,
    ) -> Result<SplitStatus, ControlError> {
        let Some(order) = order else { return self.steer(route, None, now) };
        let before = self.steer(route, None, now).map(|split| manner(&split)).unwrap_or_default();
        let steered = self.steer(route, Some(order), now);
        let steered = self.audited(steered, What::Canary, route, by, now)?;
        let after = manner(&steered);
        // The others begin something anew in any case.
        let may_change_nothing = matches!(order, CanaryOrder::Pause | CanaryOrder::Resume);
        let deed = Deed::done(What::Canary, !may_change_nothing || before != after);
        let after = format!("{after}, by {}", order.as_str());
        self.changes.audit().record(by, deed.to(route).from(before).until(after), now);
        Ok(steered)
    }

    fn steer(
        &self,
        route: &str,
        order: Option<CanaryOrder>,
        now: Instant,
    ) -> Result<SplitStatus, ControlError> {
        let _alone = self.live.alone();
        let snapshot = self.live.snapshot();
        let (name, split) = find_split(&snapshot, route)?;
        let canary = split.canary().ok_or_else(|| ControlError::NoCanary { route: name.to_string() })?;
        if let Some(order) = order {
            let steered = canary.steer(order, now);
            steered.map_err(|NotRunning| ControlError::CanaryEnded { route: name.to_string() })?;
        }
        Ok(SplitStatus::of(name, split, now))
    }
}

/// How a canary runs, in short.
fn manner(split: &SplitStatus) -> String {
    let Some(CanaryStatus { phase, share_percent, paused, .. }) = &split.canary else { return String::new() };
    let paused = if *paused { ", paused" } else { "" };
    format!("{} with {share_percent} %{paused}", phase.as_str())
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
