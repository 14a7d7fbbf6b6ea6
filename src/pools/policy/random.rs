use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::Random;

use super::alias::AliasTable;
use super::{MOST_TURNS, takes_turn};

/// Chooses at random, each member with the chance that its weight gives it, at a cost that does not grow with the pool.
#[derive(Clone, Debug)]
pub struct RandomByWeight {
    table: AliasTable,
}

impl RandomByWeight {
    /// The policy for these members' weights.
    pub fn new(members: &[Member]) -> Self {
        Self { table: AliasTable::new(members.iter().map(|member| u64::from(member.weight()))) }
    }
}

impl Policy for RandomByWeight {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        cx.decided_by(PickedBy::Chance);
        let mut picked = self.table.draw(random);
        for _ in 1..MOST_TURNS {
            if takes_turn(&members[picked], cx.now(), random) {
                break;
            }
            picked = self.table.draw(random);
        }
        picked
    }
}
