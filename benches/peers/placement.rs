use std::{ffi::OsString, thread};

use clap::ValueEnum;
use serde::Serialize;

/// Which cores the processes run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Placement {
    /// The scheduler decides
    Anywhere,
    /// The proxy has the last core for itself, origin and load share the others. On a virtual machine a slow proxy pays
    /// more than a fast one: its neighbours fall asleep, and each wake-up is an exit to the host
    Apart,
    /// Proxy, origin and load share the last core: no wake-ups between cores, the least spread in CPU per request
    Together,
}

/// What a process does in the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Proxy,
    Surroundings,
}

impl Placement {
    /// The words that go before a command line to place it: `taskset` replaces itself by the command.
    pub(crate) fn prefix(self, role: Role) -> Vec<OsString> {
        let last = thread::available_parallelism().map_or(1, usize::from) - 1;
        let cores = match (self, role) {
            (Self::Anywhere, _) => return Vec::new(),
            (Self::Apart, Role::Surroundings) if last > 0 => format!("0-{}", last - 1),
            (Self::Apart | Self::Together, _) => last.to_string(),
        };
        vec!["taskset".into(), "-c".into(), cores.into()]
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Anywhere => "the scheduler places the processes",
            Self::Apart => "the proxy has a core of its own",
            Self::Together => "proxy, origin and load share one core",
        }
    }
}
