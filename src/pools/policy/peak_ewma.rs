use std::cmp::Ordering;

use tokio::time::Instant;

use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::Random;

use super::draw::Draw;
use super::{better_of_two, by_load};

/// Chooses, of two random members, the one that is likely to answer sooner: by its average latency times the requests
/// that it would then have in flight, against its weight. Pools of three or fewer are compared whole.
///
/// The average follows rises at once and forgets them over ten seconds, also while a member has nothing to do, so that
/// none is avoided for good; a failure counts as five seconds, so that one that fails fast attracts nothing. A member
/// that has not answered yet is taken for as fast as the median of its pool. (Finagle's P2C with peak EWMA.)
///
/// Latencies below 20 ms, or within a factor of two, count as equal, and larger differences by what exceeds it. An
/// average of peaks is noisy, and where all are about as fast their load tells more: taken at its word, the noise costs
/// a busy pool of equal members up to a fifth of its speed. Idle members are used in proportion to their weights, as by
/// `p2c`.
#[derive(Clone, Debug)]
pub struct PeakEwma {
    draw: Draw,
}

impl PeakEwma {
    /// The policy for these members' weights.
    pub fn new(members: &[Member]) -> Self {
        Self { draw: Draw::new(members) }
    }
}

impl Policy for PeakEwma {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        cx.decided_by(PickedBy::Load);
        better_of_two(
            (members, cx),
            &self.draw,
            |a, b| by_cost(a, b, members, cx),
            |member| cost_of(member, members, cx.now()),
            random,
        )
    }
}

/// Averages that differ by no more than this count as equal.
const EQUAL: f64 = 2.0;
/// Averages below this many seconds do, too: one late packet or a busy moment of this machine makes as much.
const NOTICED: f64 = 0.02;

/// The milliseconds that an answer is likely to take, for each of a member's weight; what [`by_cost`] compares where latencies
/// do not count as equal.
fn cost_of(member: &Member, members: &[Member], now: Instant) -> f64 {
    let latency = member.latency(now).or_else(|| median_latency(members, now)).unwrap_or_default();
    latency.max(NOTICED) * 1e3 * f64::from(member.in_flight() + 1) * 1000.0 / member.share(now) as f64
}

fn by_cost(a: &Member, b: &Member, members: &[Member], cx: &PickCx<'_>) -> Ordering {
    let now = cx.now();
    let (of_a, of_b) = match (a.latency(now), b.latency(now)) {
        (None, None) => return by_load(a, b, now),
        (Some(of_a), Some(of_b)) => (of_a, of_b),
        (Some(known), None) => (known, median_latency(members, now).unwrap_or(known)),
        (None, Some(known)) => (median_latency(members, now).unwrap_or(known), known),
    };
    let (of_a, of_b) = (of_a.max(NOTICED), of_b.max(NOTICED));
    // How many times slower each is than the other could be unnoticed.
    let (excess_of_a, excess_of_b) = (of_a / (of_b * EQUAL), of_b / (of_a * EQUAL));
    if excess_of_a <= 1.0 && excess_of_b <= 1.0 {
        return by_load(a, b, now);
    }
    cx.decided_by(PickedBy::Latency);
    let cost = |member: &Member, excess: f64| {
        excess.max(1.0) * f64::from(member.in_flight() + 1) / member.share(now) as f64
    };
    cost(a, excess_of_a).total_cmp(&cost(b, excess_of_b)).then_with(|| by_load(a, b, now))
}

/// So many members stand for all of a large pool.
const SAMPLE: usize = 15;

/// The median latency of those that have answered, the lower of two, of a sample spread over the pool. Needed only while
/// members are new.
fn median_latency(members: &[Member], now: Instant) -> Option<f64> {
    let mut latencies = [0.0; SAMPLE];
    let mut count = 0;
    let step = members.len().div_ceil(SAMPLE).max(1);
    for latency in members.iter().step_by(step).filter_map(|member| member.latency(now)) {
        latencies[count] = latency;
        count += 1;
    }
    let known = &mut latencies[..count];
    known.sort_unstable_by(f64::total_cmp);
    known.get(count.saturating_sub(1) / 2).copied()
}
