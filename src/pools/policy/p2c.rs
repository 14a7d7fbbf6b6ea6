use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::Random;

use super::draw::Draw;
use super::{better_of_two, by_load, load_of};

/// Chooses the less loaded of two random members; pools of three or fewer are compared whole, since there two
/// draws are visibly unfair. Of two equally loaded ones it takes the one that was picked less lately.
///
/// The cost does not grow with the pool, and the load of the fullest member stays within a constant of the
/// average's double logarithm (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
#[derive(Clone, Debug)]
pub struct P2c {
    draw: Draw,
}

impl P2c {
    /// The policy for these members' weights.
    pub fn new(members: &[Member]) -> Self {
        Self { draw: Draw::new(members) }
    }
}

impl Policy for P2c {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        let now = cx.now();
        cx.decided_by(PickedBy::Load);
        better_of_two(
            (members, cx),
            &self.draw,
            |a, b| by_load(a, b, now),
            |member| load_of(member, now),
            random,
        )
    }
}
