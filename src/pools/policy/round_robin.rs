use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::Random;

use super::{MOST_TURNS, takes_turn};

/// Chooses in turns, as evenly spread as the weights allow: 5, 1, 1 gives a b a a a c a, never five in a row.
///
/// The turns of one period are worked out when the policy is built, earliest deadline first, so that a pick is
/// one atomic addition. Starts at a random place, so that many proxies do not send their first requests to the same
/// endpoint. A member that starts slowly lets turns pass.
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

impl RoundRobin {
    fn next_turn(&self) -> usize {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len();
        self.turns[turn] as usize
    }
}

impl Policy for RoundRobin {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        cx.decided_by(PickedBy::Turn);
        let mut picked = self.next_turn();
        for _ in 1..MOST_TURNS {
            if takes_turn(&members[picked], cx.now(), random) {
                break;
            }
            picked = self.next_turn();
        }
        picked
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

/// One whole period. The member whose next turn is due first goes next: turn k of w is due at (k + φ) / w of the
/// period, where φ is a phase of the member's own. The phases are spread by the golden ratio, so that light
/// members do not all fall due at the same moment and leave a heavy one to itself elsewhere. A heap makes it
/// O(period · log members).
fn smooth_turns(weights: &[u64]) -> Box<[u32]> {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    /// The golden ratio's fraction of 2⁶⁴, which stands for one turn.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

    let due = |index: usize, turn: u64| {
        let phase = (index as u64 + 1).wrapping_mul(GOLDEN);
        ((u128::from(turn) << 64) + u128::from(phase)) / u128::from(weights[index])
    };
    let total: u64 = weights.iter().sum();
    let mut heap: BinaryHeap<_> =
        (0..weights.len()).map(|index| Reverse((due(index, 0), index, 0))).collect();
    let mut turns = Vec::with_capacity(total as usize);
    while turns.len() < total as usize {
        let Some(Reverse((_, index, turn))) = heap.pop() else { break };
        turns.push(index as u32);
        heap.push(Reverse((due(index, turn + 1), index, turn + 1)));
    }
    turns.into()
}
