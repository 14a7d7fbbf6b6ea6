use std::fs;

use crate::support::Outcome;

/// Memory of `pids` in bytes: what is theirs alone, and their part of what they share (`Pss`).
pub(crate) fn resident(pids: &[u32]) -> Outcome<f64> {
    let mut sum = 0.0;
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib: f64 = line
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("no Pss in {path}"))?;
        sum += kib * 1024.0;
    }
    Ok(sum)
}
