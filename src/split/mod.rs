//! Which of several pools a request goes to: by shares that change while the process runs, and always to the same pool for
//! the same key. A [`canary`] changes its share by itself.
//!
//! What is kept over reloads and upgrades are the weights, as long as the file's are the same, and the canary's course, as
//! long as it is compared with the same pools. Knows neither Pingora nor routes; clocks and chance are passed in.

mod assignment;
mod canary;
mod cookie;
mod share;
mod weights;

use std::sync::Arc;

use http::HeaderValue;
use tokio::time::Instant;

use crate::config::{self, SplitBy};
use crate::hooks::{BuildCx, KeySpec, PickCx, PoolRef, Scheme};
use crate::types::{PoolName, Random, RouteName, Weight};

use assignment::{Seed, assign};
use cookie::SplitCookie;
use weights::Weights;

pub(crate) use canary::{Canary, CanaryOrder, CanaryPhase, CanaryStatus, FiguresStatus, NotRunning, Outcome};
pub(crate) use share::Share;

/// The pools of a route, each with its share.
#[derive(Debug)]
pub(crate) struct Split {
    by: By,
    sides: Box<[Side]>,
    weights: Arc<Weights>,
    canary: Option<Canary>,
    ipv6_prefix: u8,
}

/// What keeps a client with its pool.
#[derive(Debug)]
enum By {
    Chance,
    Key(KeySpec),
    Cookie(SplitCookie),
}

#[derive(Debug)]
struct Side {
    pool: PoolRef,
    name: PoolName,
    seed: Seed,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its place among the pools of the split.
    pub(crate) side: usize,
    pub(crate) pool: PoolRef,
    /// The number for the cookie of a client that has none.
    pub(crate) issued: Option<u64>,
}

/// What a pool of a split has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SideShare<'a> {
    pub(crate) pool: PoolRef,
    pub(crate) name: &'a PoolName,
    pub(crate) weight: u16,
    /// Of all requests.
    pub(crate) share: Share,
}

/// Why a weight stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightRefused {
    /// The canary's share is its own business.
    OfCanary,
    /// Nobody else has a weight.
    OfLast,
}

impl Split {
    /// The split of a route, which goes on with what its predecessor has kept.
    pub(crate) fn build(
        config: &config::Split,
        route: &RouteName,
        pools: &[PoolName],
        cx: &BuildCx<'_>,
        now: Instant,
    ) -> Self {
        let side = |side: &config::SplitPool| {
            let name = pools[side.pool].clone();
            Side { pool: PoolRef(side.pool), seed: Seed::of(&name), name }
        };
        let sides: Box<[Side]> = config.to.iter().map(side).collect();
        let names = || sides.iter().map(|side| &side.name);
        let written = config.to.iter().map(|side| side.weight);
        let weights = Weights::kept(names().cloned().zip(written).collect(), cx);
        let canary = config.canary.as_ref().map(|canary| {
            let start = canary.begins_by_weight.then(|| share_of(&config.to, canary.side));
            let names: Vec<_> = names().cloned().collect();
            Canary::kept(canary, start, route, &names, cx, now)
        });
        Self {
            by: match &config.by {
                SplitBy::Chance => By::Chance,
                SplitBy::Key(key) => By::Key(key.clone()),
                SplitBy::Cookie(spec) => By::Cookie(SplitCookie::new(spec)),
            },
            weights,
            canary,
            ipv6_prefix: cx.ipv6_prefix(),
            sides,
        }
    }

    /// Is told when the configuration is served that it belongs to.
    pub(crate) fn take_over(&self, now: Instant) {
        if let Some(canary) = &self.canary {
            canary.take_over(now);
        }
    }

    /// Where a request goes; a client that has nothing to be known by goes by chance.
    pub(crate) fn choose(&self, cx: &PickCx<'_>, random: &mut Random) -> Choice {
        let known = self.key(cx);
        let key = known.unwrap_or_else(|| random.u64(..));
        let side = self.side_of(key);
        let issues = known.is_none() && matches!(self.by, By::Cookie(_));
        Choice { side, pool: self.sides[side].pool, issued: issues.then_some(key) }
    }

    /// The pool of a request that has something to be known by.
    pub(crate) fn assigned(&self, cx: &PickCx<'_>) -> Option<PoolRef> {
        Some(self.sides[self.side_of(self.key(cx)?)].pool)
    }

    /// The `Set-Cookie` that keeps a client with what was chosen by this number.
    pub(crate) fn set_cookie(&self, issued: u64, scheme: Scheme) -> Option<HeaderValue> {
        match &self.by {
            By::Cookie(cookie) => cookie.set(issued, scheme),
            By::Chance | By::Key(_) => None,
        }
    }

    /// Notes what a request came to that was chosen for this side.
    pub(crate) fn record(&self, side: usize, outcome: Outcome, now: Instant) {
        if let Some(canary) = &self.canary {
            canary.record(side, outcome, now);
        }
    }

    /// What each of the pools has now, in the order of the file.
    pub(crate) fn shares(&self) -> impl Iterator<Item = SideShare<'_>> {
        let (canary, of_canary) =
            self.canary.as_ref().map_or((None, Share::NONE), |canary| (Some(canary.side()), canary.share()));
        let (others, left) = (self.weight_of_others(), of_canary.rest().as_fraction());
        self.sides.iter().enumerate().map(move |(index, side)| {
            let weight = self.weights.get(index);
            let share = match canary {
                Some(canary) if canary == index => of_canary,
                _ => Share::of(f64::from(weight) / others * left),
            };
            SideShare { pool: side.pool, name: &side.name, weight, share }
        })
    }

    /// The weights that the file says or an operator has set: of all but a canary, whose share is its own business.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&PoolName, u16)> {
        let sides = self.sides.iter().enumerate().filter(|(index, _)| !self.is_canary(*index));
        sides.map(|(index, side)| (&side.name, self.weights.get(index)))
    }

    pub(crate) fn canary(&self) -> Option<&Canary> {
        self.canary.as_ref()
    }

    pub(crate) fn name_of(&self, side: usize) -> &PoolName {
        &self.sides[side].name
    }

    /// The pools, in the order of the file.
    pub(crate) fn pools(&self) -> impl Iterator<Item = PoolRef> {
        self.sides.iter().map(|side| side.pool)
    }

    /// The pools without which requests that come now would fail. A canary on trial is none of them before it has them all:
    /// what it fails at it is taken back for, which nobody would find out if clients stayed away for it.
    pub(crate) fn relied_on(&self) -> impl Iterator<Item = PoolRef> {
        let canary = self.canary.as_ref().map(|canary| (canary.side(), canary.share()));
        let is_on_trial = self.canary.as_ref().is_some_and(Canary::is_on_trial);
        let is_relied_on = move |side: usize| match canary {
            Some((canary, share)) if canary == side => {
                share == Share::ALL || !(is_on_trial || share.is_none())
            }
            Some((_, Share::ALL)) => false,
            _ => self.weights.get(side) > 0,
        };
        self.pools().enumerate().filter(move |(side, _)| is_relied_on(*side)).map(|(_, pool)| pool)
    }

    /// The names of the pools, in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &PoolName> {
        self.sides.iter().map(|side| &side.name)
    }

    /// The place of a pool among those of the split.
    pub(crate) fn side_named(&self, pool: &str) -> Option<usize> {
        self.sides.iter().position(|side| side.name.as_str() == pool)
    }

    /// Changes the weight of a pool, and tells what it was. Holds until the file has other weights.
    ///
    /// # Errors
    /// When the pool is the canary, or nobody would have a weight any more.
    pub(crate) fn set_weight(&self, side: usize, weight: Weight) -> Result<u16, WeightRefused> {
        if self.is_canary(side) {
            return Err(WeightRefused::OfCanary);
        }
        let mut others = (0..self.sides.len()).filter(|&index| index != side && !self.is_canary(index));
        if weight.get() == 0 && !others.any(|index| self.weights.get(index) > 0) {
            return Err(WeightRefused::OfLast);
        }
        Ok(self.weights.set(side, weight))
    }

    /// What keeps a client with its pool, in words; `None` where nothing does.
    pub(crate) fn describe_key(&self) -> Option<String> {
        match &self.by {
            By::Chance => None,
            By::Key(key) => Some(key.to_string()),
            By::Cookie(cookie) => Some(format!("cookie {} of the edge", cookie.name())),
        }
    }

    fn key(&self, cx: &PickCx<'_>) -> Option<u64> {
        match &self.by {
            By::Chance => None,
            By::Key(key) => key.stable_hash(cx.into(), self.ipv6_prefix),
            By::Cookie(cookie) => cookie.find(cx.headers),
        }
    }

    fn side_of(&self, key: u64) -> usize {
        assign(key, self.sides.iter().map(|side| side.seed).zip(self.current_weights()))
    }

    /// The weights, where that of the canary is what gives it its share beside the others.
    fn current_weights(&self) -> impl Iterator<Item = f64> {
        let canary = self.canary.as_ref();
        let canary =
            canary.map(|canary| (canary.side(), canary.share().weight_beside(self.weight_of_others())));
        (0..self.sides.len()).map(move |index| match canary {
            Some((side, weight)) if side == index => weight,
            _ => f64::from(self.weights.get(index)),
        })
    }

    /// The sum of all weights but the canary's.
    fn weight_of_others(&self) -> f64 {
        let others = (0..self.sides.len()).filter(|&index| !self.is_canary(index));
        others.map(|index| f64::from(self.weights.get(index))).sum()
    }

    fn is_canary(&self, side: usize) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.side() == side)
    }
}

/// The share that the weight of a side gives it.
fn share_of(sides: &[config::SplitPool], side: usize) -> Share {
    let sum: u32 = sides.iter().map(|side| u32::from(side.weight.get())).sum();
    Share::of(f64::from(sides[side].weight.get()) / f64::from(sum.max(1)))
}

#[cfg(test)]
mod tests;
