//! What the benches that compare running proxies have in common: starting and placing processes, and what is
//! said of the machine and of the bars. The requests and messages of HTTP and `compare` are taken by those that need them.

pub(crate) mod built;
pub(crate) mod conf;
pub(crate) mod machine;
pub(crate) mod placement;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod spread;
pub(crate) mod turns;
pub(crate) mod verdict;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The result of a step; an error is a text for people to read.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Raises the limit of open files to what is allowed, here and for the children: connections need thousands.
pub(crate) fn allow_open_files() -> Outcome<()> {
    let allowed = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, maximum: allowed.maximum })?)
}
