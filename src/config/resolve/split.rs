use crate::config::spec::{CanarySpec, SplitPoolSpec, SplitSpec};
use crate::config::{Canary, KeyPath, Split, SplitBy, SplitPool};
use crate::types::{Percent, PoolName, closest};

use super::Resolver;
use super::names::PoolNames;

/// So many pools share a route's requests at most.
const MOST_POOLS: usize = 16;

/// Whether the weight of a pool gives it more than so much of all requests.
fn exceeds(to: &[SplitPoolSpec], side: usize, most: Percent) -> bool {
    let weight = |side: &SplitPoolSpec| u32::from(side.weight.unwrap_or_default().get());
    weight(&to[side]) * 100 > u32::from(most.get()) * to.iter().map(weight).sum::<u32>()
}

impl Resolver<'_> {
    pub(super) fn split(&mut self, spec: SplitSpec, at: &KeyPath, pools: &PoolNames<'_>) -> Option<Split> {
        let SplitSpec { to, by, cookie, canary } = spec;
        let places = at.child("to");
        let is_partial = self.is_partial(&places);
        if !is_partial {
            self.check_count(to.len(), &places);
        }
        let sides = self.sides(&to, &places, pools);
        let canary = canary.and_then(|spec| self.canary(spec, &to, at));
        if !is_partial && to.len() > 1 {
            self.check_weights(&to, canary.as_ref(), &places);
        }
        let by = match (by, cookie) {
            (None, None) => SplitBy::Chance,
            (Some(key), None) => SplitBy::Key(key),
            (None, Some(cookie)) => {
                if cookie.ttl.is_some_and(|ttl| ttl.get().as_secs() == 0) {
                    let message = "a cookie that lives for less than a second keeps nobody";
                    self.error(&at.child("cookie").child("ttl"), message)
                        .help("write 1s or more, or remove the key");
                }
                SplitBy::Cookie(cookie)
            }
            (Some(_), Some(_)) => {
                self.error(at, "`by` and `cookie` stand here together; one of them is allowed").help(
                    "keep `cookie` for a cookie of the edge's own, or `by: { cookie: NAME }` for another's",
                );
                SplitBy::Chance
            }
        };
        Some(Split { to: sides?, by, canary })
    }

    fn check_count(&mut self, count: usize, at: &KeyPath) {
        match count {
            0 => drop(
                self.error(at, "the list is empty")
                    .help("write two pools or more: `to: [{ pool: a, weight: 9 }, { pool: b, weight: 1 }]`"),
            ),
            1 => drop(
                self.error(at, "there is only one pool, so that nothing is split")
                    .help("add another, or write `pool: NAME` in the place of `split`"),
            ),
            2..=MOST_POOLS => {}
            _ => drop(self.error(at, format!("there are {count} pools; {MOST_POOLS} at most are allowed"))),
        }
    }

    /// The pools; none where one of them is unknown.
    fn sides(
        &mut self,
        to: &[SplitPoolSpec],
        places: &KeyPath,
        pools: &PoolNames<'_>,
    ) -> Option<Vec<SplitPool>> {
        let paths: Vec<_> = self.items(places).take(to.len()).map(|path| path.child("pool")).collect();
        let mut sides = Vec::with_capacity(to.len());
        for (index, (side, path)) in to.iter().zip(&paths).enumerate() {
            if let Some(first) = to[..index].iter().position(|known| known.pool == side.pool) {
                let message = format!("`{}` stands at `{}` already", side.pool, paths[first]);
                self.error(path, message).help("name each pool once, with its whole weight");
            }
            let found = self.pool(&side.pool, path, pools);
            sides.extend(found.map(|pool| SplitPool { pool, weight: side.weight.unwrap_or_default() }));
        }
        (sides.len() == to.len()).then_some(sides)
    }

    /// Somebody has to get the requests: of a canary, the others, since it is compared with them.
    fn check_weights(&mut self, to: &[SplitPoolSpec], canary: Option<&Canary>, at: &KeyPath) {
        let mut others =
            to.iter().enumerate().filter(|(index, _)| canary.is_none_or(|canary| canary.side != *index));
        let has_weight = |(_, side): (usize, &SplitPoolSpec)| side.weight.unwrap_or_default().get() > 0;
        if others.any(has_weight) {
            return;
        }
        let message = match canary {
            None => "every pool has the weight 0, so that no request could go anywhere",
            Some(_) => "every pool but the canary has the weight 0, so that it could be compared with nobody",
        };
        self.error(at, message).help("give one of them a weight of 1 or more");
    }

    fn canary(&mut self, spec: CanarySpec, to: &[SplitPoolSpec], at: &KeyPath) -> Option<Canary> {
        let at = at.child("canary");
        let side = match &spec.pool {
            None => to.len().checked_sub(1)?,
            Some(name) => self.canary_side(name, to, &at.child("pool"))?,
        };
        if spec.on_abort > spec.max {
            let message = format!("a canary that is taken back would have more than `max`, {}", spec.max);
            self.error(&at.child("on_abort"), message).help("write less, like 0%");
        }
        let begins_by_weight = to[side].weight.is_some_and(|weight| weight.get() > 0);
        if begins_by_weight && exceeds(to, side, spec.max) {
            let message =
                format!("the weight of `{}` gives it more than this, with which it begins", to[side].pool);
            self.warning(&at.child("max"), message).help("write a smaller weight, or a larger `max`");
        }
        Some(Canary { side, begins_by_weight, spec })
    }

    fn canary_side(&mut self, name: &PoolName, to: &[SplitPoolSpec], at: &KeyPath) -> Option<usize> {
        let found = to.iter().position(|side| side.pool == *name);
        if found.is_none() && !self.is_partial(at) {
            let names = to.iter().map(|side| side.pool.as_str());
            let help = match closest(name.as_str(), names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its pools are: {}", names.collect::<Vec<_>>().join(", ")),
            };
            self.error(at, format!("the split has no pool `{name}`")).help(help);
        }
        found
    }
}
