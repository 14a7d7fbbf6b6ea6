use std::fs;

use crate::support::Outcome;

/// Fields of `/proc/PID/stat`, counted from the one after the name: time of all threads in user space and in the kernel.
pub(crate) const USER: usize = 11;
pub(crate) const SYSTEM: usize = 12;

/// The kernel's unit of these times, fixed by its ABI on all architectures that Debian supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Times of a process in microseconds, to the tick.
pub(crate) fn times<const COUNT: usize>(pid: u32, fields: [usize; COUNT]) -> Outcome<[f64; COUNT]> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // The name in brackets may hold spaces; the numbers begin after the last bracket, with field 3.
    let all: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let mut times = [0.0; COUNT];
    for (time, field) in times.iter_mut().zip(fields) {
        let ticks = all.get(field).ok_or_else(|| format!("{path} is too short"))?;
        *time = ticks.parse::<f64>()? * 1e6 / TICKS_PER_SECOND;
    }
    Ok(times)
}
