use std::process;

use crate::{
    compare::stat::{self, SYSTEM, USER},
    support::Outcome,
};

/// The fields of children that have ended: what they and theirs took.
const ENDED_USER: usize = USER + 2;
const ENDED_SYSTEM: usize = SYSTEM + 2;

/// Processor time of `pids` and of all their children that have ended, and of those of this process, which are the commands that it
/// gave, in milliseconds.
pub(crate) fn used(pids: &[u32]) -> Outcome<f64> {
    let mut sum: f64 = stat::times(process::id(), [ENDED_USER, ENDED_SYSTEM])?.iter().sum();
    for &pid in pids {
        sum += stat::times(pid, [USER, SYSTEM, ENDED_USER, ENDED_SYSTEM])?.iter().sum::<f64>();
    }
    Ok(sum / 1e3)
}
