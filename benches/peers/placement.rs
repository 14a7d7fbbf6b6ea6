use std::{ffi::OsString, thread};

use serde::Serialize;

/// Which cores the processes run on.
///
/// With two cores or more the proxy has the last one for itself, and the origin and the load share the rest: then no
/// peer is slowed by where the scheduler happens to put its neighbours, and CPU per request varies least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Placement {
    /// The scheduler decides.
    Anywhere,
    /// Lists of cores, as taskset writes them.
    Pinned { proxy: String, others: String },
}

/// What a process does in the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Proxy,
    Surroundings,
}

impl Placement {
    pub(crate) fn for_this_machine() -> Self {
        match thread::available_parallelism().map_or(1, usize::from) {
            0 | 1 => Self::Anywhere,
            cores => Self::Pinned { proxy: format!("{}", cores - 1), others: format!("0-{}", cores - 2) },
        }
    }

    /// The words that go before a command line to place it: `taskset` replaces itself by the command.
    pub(crate) fn prefix(&self, role: Role) -> Vec<OsString> {
        let Self::Pinned { proxy, others } = self else { return Vec::new() };
        let cores = match role {
            Role::Proxy => proxy,
            Role::Surroundings => others,
        };
        ["taskset", "-c", cores].map(OsString::from).to_vec()
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Anywhere => "no pinning".to_owned(),
            Self::Pinned { proxy, others } => format!("proxy on core {proxy}, origin and load on {others}"),
        }
    }
}
