use std::{ffi::OsString, fs, process, time::Duration};

use clap::ValueEnum;
use serde::Serialize;

use super::{Outcome, process::output_of};

/// Which cores the processes run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Placement {
    /// Proxy, origin and load share one core: nothing waits for another core to wake up, which on a virtual machine is
    /// an exit to the host and can cost more than the proxy does; CPU and latency vary least, also beside other work
    Together,
    /// The proxy has a core for itself, origin and load share the others: the most requests a second
    Apart,
    /// The scheduler decides
    Anywhere,
}

/// Cores that a process is put on, as taskset writes them; none where the scheduler decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Option<String>);

/// Who runs where: the proxy that is measured, and all that makes it work.
#[derive(Debug, Default)]
pub(crate) struct Cores {
    pub(crate) proxy: Place,
    pub(crate) surroundings: Place,
}

impl Placement {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Together => "proxy, origin and load share one core",
            Self::Apart => "the proxy has a core of its own",
            Self::Anywhere => "the scheduler places the processes",
        }
    }
}

impl Cores {
    /// Shares out the cores that this process may use, and puts this process itself among the surroundings.
    pub(crate) fn share_out(placement: Placement) -> Outcome<Self> {
        let mut others = allowed()?;
        let last = others.pop().ok_or("no core is allowed for this process")?.to_string();
        let surroundings = match placement {
            Placement::Anywhere => return Ok(Self::default()),
            Placement::Apart if !others.is_empty() => join(&others),
            Placement::Apart | Placement::Together => last.clone(),
        };
        let cores = Self { proxy: Place(Some(last)), surroundings: Place(Some(surroundings)) };
        cores.surroundings.take(process::id())?;
        Ok(cores)
    }
}

impl Place {
    /// The words that go before a command line to place it: `taskset` replaces itself by the command.
    pub(crate) fn prefix(&self) -> Vec<OsString> {
        self.0.iter().flat_map(|cores| ["taskset", "-c", cores]).map(OsString::from).collect()
    }

    /// Moves a running process here.
    fn take(&self, pid: u32) -> Outcome<()> {
        if let Self(Some(cores)) = self {
            let words = ["taskset", "-c", "-p", cores, &pid.to_string()].map(OsString::from);
            output_of(&words, Duration::from_secs(5))?;
        }
        Ok(())
    }
}

fn join(cores: &[u32]) -> String {
    cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// The cores that this process may use, in order: the kernel writes them as `0-3,6`.
fn allowed() -> Outcome<Vec<u32>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<u32>()?..=last.parse()?);
    }
    Ok(cores)
}
