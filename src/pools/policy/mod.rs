//! The built-in policies, one file each: pure functions of what members carry, with randomness passed in.

mod alias;
mod bounded;
mod draw;
mod first;
mod hashed;
mod ip_hash;
mod least_requests;
mod maglev;
mod p2c;
mod peak_ewma;
mod random;
mod ring;
mod round_robin;

pub use bounded::{InvalidLoadBound, LoadBound};
pub use first::First;
pub use ip_hash::{IpHash, IpHashSettings};
pub use least_requests::LeastRequests;
pub use maglev::{Maglev, MaglevSettings};
pub use p2c::P2c;
pub use peak_ewma::PeakEwma;
pub use random::RandomByWeight;
pub use ring::{Ring, RingSettings};
pub use round_robin::RoundRobin;

use std::cmp::Ordering;

use tokio::time::Instant;

use crate::hooks::{Member, PickCx};
use crate::types::Random;

use draw::Draw;

/// Pools of so many members or fewer are compared whole: there two draws are visibly unfair.
const COMPARED_WHOLE: usize = 3;

/// By requests in flight against share, then by recent picks against share, so that idle members are used in
/// proportion to their weights. Fractions are compared without division: `a/sa < b/sb` exactly when `a·sb < b·sa`.
fn by_load(a: &Member, b: &Member, now: Instant) -> Ordering {
    let (share_a, share_b) = (a.share(now), b.share(now));
    let against = |count: u64, share: u64| u128::from(count) * u128::from(share);
    let in_flight = |member: &Member| u64::from(member.in_flight());
    let load = against(in_flight(a), share_b).cmp(&against(in_flight(b), share_a));
    load.then_with(|| against(a.recent_picks(now), share_b).cmp(&against(b.recent_picks(now), share_a)))
}

/// What [`by_load`] compares: requests in flight for each of its weight.
fn load_of(member: &Member, now: Instant) -> f64 {
    f64::from(member.in_flight()) * 1000.0 / member.share(now) as f64
}

/// Whoever has room goes first.
fn by_room(a: &Member, b: &Member) -> Ordering {
    b.has_room().cmp(&a.has_room())
}

/// The first in the order of `compare` among some members, each with its index; among equals one at random.
fn best_of<'m>(
    members: impl Iterator<Item = (usize, &'m Member)>,
    compare: impl Fn(&Member, &Member) -> Ordering,
    random: &mut Random,
) -> Option<usize> {
    let mut best: Option<(usize, &Member)> = None;
    let mut equals = 1;
    for (index, member) in members {
        let order = best
            .map_or(Ordering::Less, |(_, best)| by_room(member, best).then_with(|| compare(member, best)));
        // Each of n equals is kept with probability 1/n (reservoir sampling).
        equals = if order.is_eq() { equals + 1 } else { 1 };
        if order.is_lt() || (order.is_eq() && random.u32(0..equals) == 0) {
            best = Some((index, member));
        }
    }
    best.map(|(index, _)| index)
}

/// The better of two different members that are drawn at random, each with the chance that its weight gives it; of few
/// members the best of all. Whoever wants to know is told the `cost` of those that are compared.
fn better_of_two(
    (members, cx): (&[Member], &PickCx<'_>),
    draw: &Draw,
    compare: impl Fn(&Member, &Member) -> Ordering,
    cost: impl Fn(&Member) -> f64,
    random: &mut Random,
) -> usize {
    if members.len() <= COMPARED_WHOLE {
        cx.compared(members.iter(), cost);
        return best_of(members.iter().enumerate(), compare, random).unwrap_or(0);
    }
    let (first, second) = draw.two(random);
    let (a, b) = (&members[second], &members[first]);
    cx.compared([b, a].into_iter(), cost);
    match by_room(a, b).then_with(|| compare(a, b)) {
        Ordering::Less => second,
        Ordering::Greater => first,
        Ordering::Equal => {
            if random.bool() {
                second
            } else {
                first
            }
        }
    }
}

/// The least loaded of some members, each with its index.
pub(super) fn least_loaded_of<'m>(
    members: impl Iterator<Item = (usize, &'m Member)>,
    now: Instant,
    random: &mut Random,
) -> Option<usize> {
    best_of(members, |a, b| by_load(a, b, now), random)
}

/// Whether it is the turn of a member that a policy came upon by its full weight: one that starts slowly lets turns
/// pass, and one without room all of them.
fn takes_turn(member: &Member, now: Instant, random: &mut Random) -> bool {
    let warmth = member.warmth(now);
    member.has_room() && (warmth >= 1.0 || random.f64() < warmth)
}

/// How many turns may pass before one is taken anyway.
const MOST_TURNS: usize = 16;

#[cfg(test)]
mod tests;
