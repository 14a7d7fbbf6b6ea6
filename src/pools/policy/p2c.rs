use crate::hooks::{Member, PickCx, Policy};
use crate::types::Random;

use super::{is_as_loaded, is_less_loaded, least_loaded};

/// Chooses the less loaded of two random members; pools of three or fewer are compared whole, since there two
/// draws are visibly unfair.
///
/// The cost does not grow with the pool, and the load of the fullest member stays within a constant of the
/// average's double logarithm (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
#[derive(Clone, Copy, Debug, Default)]
pub struct P2c;

const COMPARED_WHOLE: usize = 3;

impl Policy for P2c {
    fn pick(&self, members: &[Member], _: &PickCx<'_>, random: &mut Random) -> usize {
        if members.len() <= COMPARED_WHOLE {
            return least_loaded(members, random);
        }
        let first = random.usize(0..members.len());
        // The second draw leaves the first one out.
        let second = (first + 1 + random.usize(0..members.len() - 1)) % members.len();
        let (a, b) = (&members[first], &members[second]);
        if is_less_loaded(b, a) || (is_as_loaded(a, b) && random.bool()) { second } else { first }
    }
}
