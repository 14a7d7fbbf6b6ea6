//! The built-in policies, one file each: pure functions of what members carry, with randomness passed in.

mod least_requests;
mod p2c;
mod random;
mod round_robin;

pub use least_requests::LeastRequests;
pub use p2c::P2c;
pub use random::RandomByWeight;
pub use round_robin::RoundRobin;

use crate::hooks::Member;
use crate::types::Random;

/// Requests in flight against weight, as a fraction that is compared without division: `a/wa < b/wb` exactly
/// when `a·wb < b·wa`. The request to come counts, so that among idle endpoints the heavier one is ahead.
fn is_less_loaded(a: &Member, b: &Member) -> bool {
    load_times(a, b) < load_times(b, a)
}

fn is_as_loaded(a: &Member, b: &Member) -> bool {
    load_times(a, b) == load_times(b, a)
}

fn load_times(member: &Member, other: &Member) -> u64 {
    (u64::from(member.in_flight()) + 1) * u64::from(other.weight())
}

/// The least loaded of all members; among equals one at random, so that idle pools are used evenly.
fn least_loaded(members: &[Member], random: &mut Random) -> usize {
    least_loaded_of(members.iter().enumerate(), random).unwrap_or(0)
}

/// The same among some members, each with its index.
pub(super) fn least_loaded_of<'m>(
    members: impl Iterator<Item = (usize, &'m Member)>,
    random: &mut Random,
) -> Option<usize> {
    let mut best: Option<(usize, &Member)> = None;
    let mut equals = 1;
    for (index, member) in members {
        match best {
            Some((_, least)) if is_less_loaded(least, member) => {}
            Some((_, least)) if is_as_loaded(least, member) => {
                // Each of n equals is kept with probability 1/n (reservoir sampling).
                equals += 1;
                if random.u32(0..equals) == 0 {
                    best = Some((index, member));
                }
            }
            _ => {
                best = Some((index, member));
                equals = 1;
            }
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
