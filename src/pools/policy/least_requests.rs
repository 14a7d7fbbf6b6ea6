use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::Random;

use super::{least_loaded_of, load_of};

/// Chooses the member with the fewest requests in flight against its weight. Looks at all of them, so the cost
/// grows with the pool; `p2c` comes close to it at a constant cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastRequests;

impl Policy for LeastRequests {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        cx.decided_by(PickedBy::Load);
        cx.compared(members.iter(), |member| load_of(member, cx.now()));
        least_loaded_of(members.iter().enumerate(), cx.now(), random).unwrap_or(0)
    }
}
