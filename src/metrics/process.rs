use std::fmt;
use std::sync::OnceLock;

use procfs::process::{LimitValue, Process, Stat};
use procfs::{CurrentSI, KernelStats, ProcResult};

use super::families as f;
use super::writer::Writer;

/// What the system knows of the process.
struct Known {
    stat: Stat,
    fds: usize,
    max_fds: LimitValue,
}

impl Known {
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        Ok(Self {
            stat: process.stat()?,
            fds: process.fd_count()?,
            max_fds: process.limits()?.max_open_files.soft_limit,
        })
    }
}

/// Writes nothing where the system tells nothing.
pub(super) fn write(writer: &mut Writer<'_>) -> fmt::Result {
    let Ok(Known { stat, fds, max_fds }) = Known::read() else { return Ok(()) };
    let ticks = procfs::ticks_per_second() as f64;
    writer.family(&f::PROCESS_CPU)?.sum([], (stat.utime + stat.stime) as f64 / ticks)?;
    writer.gauge(&f::PROCESS_MEMORY, stat.rss.saturating_mul(procfs::page_size()))?;
    writer.gauge(&f::PROCESS_VIRTUAL, stat.vsize)?;
    writer.gauge(&f::PROCESS_FDS, fds as u64)?;
    if let LimitValue::Value(most) = max_fds {
        writer.gauge(&f::PROCESS_MAX_FDS, most)?;
    }
    writer.gauge(&f::PROCESS_THREADS, stat.num_threads)?;
    match booted() {
        Some(booted) => writer.gauge(&f::PROCESS_START, booted as f64 + stat.starttime as f64 / ticks),
        None => Ok(()),
    }
}

/// When the system began, in seconds since 1970. Read once, since it is a large file.
fn booted() -> Option<u64> {
    static BOOTED: OnceLock<Option<u64>> = OnceLock::new();
    *BOOTED.get_or_init(|| KernelStats::current().ok().map(|stats| stats.btime))
}
