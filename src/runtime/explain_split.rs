use std::fmt::Write;

use crate::hooks::PickCx;
use crate::split::Split;

use super::Snapshot;
use super::explain::{Sight, write_pool};

/// Where a split sends a request: the pool that it surely goes to, or all that it may go to. A canary has not begun here: its
/// share is what it begins with, and what it has in a process that runs is told by `evener status`.
pub(super) fn write(
    snapshot: &Snapshot,
    split: &Split,
    cx: &PickCx<'_>,
    sight: Sight,
    out: &mut String,
) -> std::fmt::Result {
    match split.describe_key() {
        Some(key) => writeln!(out, "split      by {key}, over")?,
        None => writeln!(out, "split      by chance, over")?,
    }
    for side in split.shares() {
        writeln!(
            out,
            "  {:<24} weight {} ({} of the requests)",
            side.name.as_str(),
            side.weight,
            side.share
        )?;
    }
    if let Some(canary) = split.canary() {
        writeln!(out, "canary     {}: {}", split.name_of(canary.side()), canary.describe())?;
    }
    match split.assigned(cx) {
        Some(pool) => {
            let name = &snapshot.pool_names[pool.0];
            writeln!(out, "goes to    {name}, as long as the shares stay as they are")?;
            write_pool(&snapshot.pools[pool.0], cx, sight, out)
        }
        None => {
            let mut with_share = split.shares().filter(|side| !side.share.is_none());
            with_share.try_for_each(|side| write_pool(&snapshot.pools[side.pool.0], cx, sight, out))
        }
    }
}
