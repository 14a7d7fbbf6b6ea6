use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::Random;

/// Chooses the first member, in the order of the file, that has room (`max_requests`): fills one after the other, so
/// that those at the end can be switched off while there is little to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

impl Policy for First {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, _: &mut Random) -> usize {
        cx.decided_by(PickedBy::Order);
        members.iter().position(Member::has_room).unwrap_or(0)
    }
}
