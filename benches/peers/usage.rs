use std::fs;

use crate::Outcome;

/// The kernel's unit of `utime` and `stime`, fixed by its ABI on all architectures that Debian supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time of a set of processes since they began, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTime {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl CpuTime {
    /// Sums the time of `pids`.
    ///
    /// The total comes from the scheduler's nanoseconds (`schedstat` of each thread) where the kernel gives them; how
    /// it divides into user and system time only from the ticks of `stat`.
    pub(crate) fn of(pids: &[u32]) -> Outcome<(Self, f64)> {
        let mut ticks = Self::default();
        let mut exact = 0.0;
        for &pid in pids {
            let (user, system) = ticks_of(pid)?;
            ticks.user += user;
            ticks.system += system;
            exact += scheduled(pid);
        }
        Ok((ticks, exact))
    }
}

/// Processor time between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuSpan {
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) total: f64,
}

/// Watches the processor time of a set of processes from its creation on.
#[derive(Debug)]
pub(crate) struct CpuWatch<'a> {
    pids: &'a [u32],
    ticks: CpuTime,
    exact: f64,
}

impl<'a> CpuWatch<'a> {
    pub(crate) fn start(pids: &'a [u32]) -> Outcome<Self> {
        let (ticks, exact) = CpuTime::of(pids)?;
        Ok(Self { pids, ticks, exact })
    }

    /// The time since the start, in microseconds.
    pub(crate) fn stop(&self) -> Outcome<CpuSpan> {
        let (ticks, exact) = CpuTime::of(self.pids)?;
        let user = ticks.user - self.ticks.user;
        let system = ticks.system - self.ticks.system;
        let by_ticks = user + system;
        let total = if exact > self.exact { exact - self.exact } else { by_ticks };
        let scale = if by_ticks > 0.0 { total / by_ticks } else { 0.0 };
        Ok(CpuSpan { user: user * scale, system: system * scale, total })
    }
}

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

/// User and system time of all threads of a process, in microseconds, to the tick.
fn ticks_of(pid: u32) -> Outcome<(f64, f64)> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // The name in brackets may hold spaces; the numbers begin after the last bracket, with field 3.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| -> Outcome<f64> {
        let field = fields.get(index).ok_or_else(|| format!("{path} is too short"))?;
        Ok(field.parse::<f64>()? * 1e6 / TICKS_PER_SECOND)
    };
    Ok((ticks(11)?, ticks(12)?))
}

/// Time that the threads of a process have been running, in microseconds; 0 where the kernel does not say.
fn scheduled(pid: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .map(|nanoseconds| nanoseconds / 1000.0)
        .sum()
}
