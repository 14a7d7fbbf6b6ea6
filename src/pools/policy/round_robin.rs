use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hooks::{Member, PickCx, Policy};
use crate::types::Random;

/// Chooses in turns, as evenly spread as the weights allow: 5, 1, 1 gives a a b a c a a, never five in a row.
///
/// The turns of one period are worked out when the policy is built (nginx's smooth weighted round robin, which
/// is earliest-deadline-first over equal jobs), so that a pick is one atomic addition. Starts at a random place,
/// so that many proxies do not send their first requests to the same endpoint.
#[derive(Debug)]
pub struct RoundRobin {
    turns: Box<[u32]>,
    next: AtomicUsize,
}

/// The longest period that is worked out: weights are divided by their greatest common divisor, and where the
/// sum is still larger, they are scaled down to it, at an error below 1 in 1 000.
const LONGEST_PERIOD: u64 = 65_536;

impl RoundRobin {
    /// The turns for these members' weights.
    pub fn new(members: &[Member], random: &mut Random) -> Self {
        let weights = reduced(members.iter().map(|member| u64::from(member.weight())).collect());
        let turns = smooth_turns(&weights);
        let start = if turns.is_empty() { 0 } else { random.usize(0..turns.len()) };
        Self { turns, next: AtomicUsize::new(start) }
    }
}

impl Policy for RoundRobin {
    fn pick(&self, _: &[Member], _: &PickCx<'_>, _: &mut Random) -> usize {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len();
        self.turns[turn] as usize
    }
}

fn reduced(weights: Vec<u64>) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let total: u64 = weights.iter().sum::<u64>() / divisor;
    let scale = |weight: u64| match total {
        0..=LONGEST_PERIOD => weight / divisor,
        _ => (weight / divisor * LONGEST_PERIOD / total).max(1),
    };
    weights.into_iter().map(scale).collect()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// One whole period. The member whose next turn is due first goes next: the k-th of w turns is due at
/// (2k + 1) / 2w of the period, compared without fractions. A heap makes it O(period · log members).
fn smooth_turns(weights: &[u64]) -> Box<[u32]> {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    /// Fractions of a period in whole numbers, fine enough to tell any two turns of a period apart.
    const PERIOD: u128 = 1 << 64;

    let due = |turn: u64, weight: u64| PERIOD * u128::from(2 * turn + 1) / u128::from(2 * weight);
    let total: u64 = weights.iter().sum();
    let mut heap: BinaryHeap<_> =
        weights.iter().enumerate().map(|(index, &weight)| Reverse((due(0, weight), index, 0))).collect();
    let mut turns = Vec::with_capacity(total as usize);
    while turns.len() < total as usize {
        let Some(Reverse((_, index, turn))) = heap.pop() else { break };
        turns.push(index as u32);
        heap.push(Reverse((due(turn + 1, weights[index]), index, turn + 1)));
    }
    turns.into()
}
