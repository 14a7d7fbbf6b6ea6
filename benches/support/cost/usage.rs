use std::fs;

use crate::{compare::stat, support::Outcome};

/// Processor time of a set of processes, in microseconds.
///
/// The total comes from the scheduler's nanoseconds (`schedstat` of each thread) where the kernel gives them; how it
/// divides into user and system time comes from the ticks of `stat`, a hundredth of a second each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTime {
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) total: f64,
}

impl CpuTime {
    fn of(pids: &[u32]) -> Outcome<Self> {
        let mut sum = Self::default();
        for &pid in pids {
            let [user, system] = stat::times(pid, [stat::USER, stat::SYSTEM])?;
            sum.user += user;
            sum.system += system;
            sum.total += scheduled(pid);
        }
        Ok(sum)
    }
}

/// Watches the processor time of a set of processes from its creation on.
#[derive(Debug)]
pub(crate) struct CpuWatch<'a> {
    pids: &'a [u32],
    begin: CpuTime,
}

impl<'a> CpuWatch<'a> {
    pub(crate) fn start(pids: &'a [u32]) -> Outcome<Self> {
        Ok(Self { pids, begin: CpuTime::of(pids)? })
    }

    /// The time since the start, in microseconds.
    pub(crate) fn stop(&self) -> Outcome<CpuTime> {
        let end = CpuTime::of(self.pids)?;
        let (user, system) = (end.user - self.begin.user, end.system - self.begin.system);
        let ticks = user + system;
        let exact = end.total - self.begin.total;
        let total = if exact > 0.0 { exact } else { ticks };
        let scale = if ticks > 0.0 { total / ticks } else { 0.0 };
        Ok(CpuTime { user: user * scale, system: system * scale, total })
    }
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
