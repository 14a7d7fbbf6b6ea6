use std::cmp::Ordering;

use tokio::time::Instant;

use crate::hooks::{Member, PickCx, Policy};
use crate::types::Random;

use super::draw::Draw;
use super::{better_of_two, by_load};

/// Chooses, of two random members, the one that is likely to answer sooner: by its average latency times the requests
/// that it would then have in flight, against its weight. Pools of three or fewer are compared whole.
///
/// The average follows rises at once and forgets them over ten seconds, also while a member has nothing to do, so that
/// none is avoided for good; a failure counts as five seconds, so that one that fails fast attracts nothing. A member
/// that has not answered yet is taken for as fast as the median of its pool. (Finagle's P2C with peak EWMA.)
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
        better_of_two(members, &self.draw, |a, b| by_cost(a, b, members, cx.now()), random)
    }
}

fn by_cost(a: &Member, b: &Member, members: &[Member], now: Instant) -> Ordering {
    let by_latency = match (a.latency(now), b.latency(now)) {
        (None, None) => Ordering::Equal,
        (Some(of_a), Some(of_b)) => cost(a, of_a, now).total_cmp(&cost(b, of_b, now)),
        (of_a, of_b) => {
            let usual = median_latency(members, now).unwrap_or_default();
            cost(a, of_a.unwrap_or(usual), now).total_cmp(&cost(b, of_b.unwrap_or(usual), now))
        }
    };
    by_latency.then_with(|| by_load(a, b, now))
}

fn cost(member: &Member, latency: f64, now: Instant) -> f64 {
    latency * f64::from(member.in_flight() + 1) / member.share(now) as f64
}

/// So many members stand for all of a large pool.
const SAMPLE: usize = 15;

/// The median latency of those that have answered, of a sample spread over the pool. Needed only while members are new.
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
    known.get(count / 2).copied()
}
