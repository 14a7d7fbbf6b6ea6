//! What the hashed policies share: where a request's key leads, and where it leads when that place is taken.

use std::iter;

use tokio::time::Instant;
use twox_hash::XxHash3_64;

use crate::hooks::{KeySpec, Member, PickCx, PickedBy, Policy};
use crate::types::Random;

use super::bounded::LoadBound;
use super::{P2c, least_loaded_of};

/// Where keys belong, leaving all load aside.
pub(super) trait Placement {
    /// The index of the member to which the key of this hash belongs.
    fn place(&self, hash: u64) -> usize;
}

/// What is hashed, and how much of the load one member may get by it.
#[derive(Clone, Debug)]
pub(super) struct HashRules {
    pub(super) key: KeySpec,
    pub(super) ipv6_prefix: u8,
    pub(super) bound: LoadBound,
}

/// Chooses by the request's key, as far as the bound allows (consistent hashing with bounded loads and random jumps:
/// Mirrokni et al., arXiv 1608.01350; Chen et al., arXiv 1908.08762).
///
/// A key whose member is full jumps to a place of its own choice rather than to the next one, which would then be full
/// next. It jumps to the same places in the same order each time, so that what spills keeps together too. A key that
/// is so hot that all of them are full goes on to random places, so that a flood of one key costs little more than
/// others do; at a bound near `100%`, where nearly all are full, the rest of the way is a look at all.
#[derive(Debug)]
pub(super) struct Hashed<P> {
    placement: P,
    rules: HashRules,
    total_weight: u64,
    keyless: P2c,
}

/// So many places of its own a key tries, and as many random ones. At `150%` at most two thirds of the weight are full,
/// so that a key comes to the end of either once in seven hundred times.
const JUMPS: usize = 16;

impl<P: Placement> Hashed<P> {
    pub(super) fn new(placement: P, rules: HashRules, members: &[Member]) -> Self {
        let total_weight = members.iter().map(|member| u64::from(member.weight())).sum();
        Self { placement, rules, total_weight, keyless: P2c::new(members) }
    }

    fn is_open(&self, member: &Member) -> bool {
        member.has_room() && self.rules.bound.admits(member, self.total_weight)
    }

    /// The first that is open on a key's way.
    fn jump(&self, hash: u64, members: &[Member], random: &mut Random) -> Option<usize> {
        let own = (0..).map(|jump| mixed(hash, jump)).take(JUMPS);
        let others = iter::repeat_with(|| random.u64(..)).take(JUMPS);
        let mut places = own.chain(others).map(|hash| self.placement.place(hash));
        places.find(|&place| self.is_open(&members[place]))
    }

    /// The least loaded that is open. Where those within the bound have no room, it is broken rather than to refuse
    /// the request.
    fn any_open(&self, members: &[Member], now: Instant, random: &mut Random) -> Option<usize> {
        let all = || members.iter().enumerate();
        least_loaded_of(all().filter(|(_, member)| self.is_open(member)), now, random)
            .or_else(|| least_loaded_of(all().filter(|(_, member)| member.has_room()), now, random))
    }
}

impl<P: Placement + Send + Sync> Policy for Hashed<P> {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        let Some(hash) = self.rules.key.stable_hash(cx.into(), self.rules.ipv6_prefix) else {
            return self.keyless.pick(members, cx, random);
        };
        let first = self.placement.place(hash);
        if self.is_open(&members[first]) {
            cx.decided_by(PickedBy::Key);
            return first;
        }
        cx.decided_by(PickedBy::KeyMovedOn);
        self.jump(hash, members, random).or_else(|| self.any_open(members, cx.now(), random)).unwrap_or(first)
    }
}

/// A member as placements see it: its address decides, so that neither its index nor the others matter.
pub(super) struct Site {
    pub(super) index: u32,
    pub(super) weight: u64,
    /// The hash of its address.
    pub(super) seed: u64,
}

/// The sites of all members, in the order of their seeds.
pub(super) fn sites(members: &[Member]) -> Vec<Site> {
    let site = |(member, index): (&Member, u32)| Site {
        index,
        weight: u64::from(member.weight()).max(1),
        seed: XxHash3_64::oneshot(member.address().to_string().as_bytes()),
    };
    let mut sites: Vec<_> = members.iter().zip(0..).map(site).collect();
    sites.sort_unstable_by_key(|site| site.seed);
    sites
}

/// The number with this position in the sequence that `seed` begins (SplitMix64: Steele, Lea and Flood, "Fast
/// Splittable Pseudorandom Number Generators", 2014). Like the hash it must never change.
pub(super) fn mixed(seed: u64, position: u64) -> u64 {
    let state = seed.wrapping_add((position + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// Scales an evenly spread number to `0..limit`.
pub(super) fn scaled(hash: u64, limit: u32) -> u32 {
    ((u128::from(hash) * u128::from(limit)) >> 64) as u32
}
