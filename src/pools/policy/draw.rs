use crate::hooks::Member;
use crate::types::Random;

use super::alias::AliasTable;

/// How two different members are drawn: evenly where all have the same weight, else by their weights.
#[derive(Clone, Debug)]
pub(super) enum Draw {
    Evenly(usize),
    ByWeight(AliasTable),
}

/// How often a second draw that came upon the first again is repeated. One heavy member is drawn nearly always, and
/// is then compared with whatever comes next to it.
const REPEATS: usize = 4;

impl Draw {
    pub(super) fn new(members: &[Member]) -> Self {
        let weights = || members.iter().map(|member| u64::from(member.weight()));
        let is_even = weights().is_sorted_by(|a, b| a == b);
        if is_even { Self::Evenly(members.len()) } else { Self::ByWeight(AliasTable::new(weights())) }
    }

    /// Two members of two or more.
    pub(super) fn two(&self, random: &mut Random) -> (usize, usize) {
        match self {
            Self::Evenly(count) => {
                let first = random.usize(0..*count);
                // The second draw leaves the first one out.
                (first, (first + 1 + random.usize(0..count - 1)) % count)
            }
            Self::ByWeight(table) => {
                let first = table.draw(random);
                let mut draws = (0..REPEATS).map(|_| table.draw(random));
                let second = draws.find(|&second| second != first);
                (first, second.unwrap_or((first + 1) % table.len()))
            }
        }
    }
}
