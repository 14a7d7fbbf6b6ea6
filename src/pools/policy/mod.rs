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
fn least_loaded(members: &[Member], random: &mut crate::types::Random) -> usize {
    let mut best = 0;
    let mut equals = 1;
    for (index, member) in members.iter().enumerate().skip(1) {
        if is_less_loaded(member, &members[best]) {
            best = index;
            equals = 1;
        } else if is_as_loaded(member, &members[best]) {
            // Each of n equals is kept with probability 1/n (reservoir sampling).
            equals += 1;
            if random.u32(0..equals) == 0 {
                best = index;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests;
