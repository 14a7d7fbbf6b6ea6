//! What the benches that compare running proxies have in common: the frame around what each of them measures, flags, starting
//! and placing processes, and what is said of the machine and of the bars. Those that need them also take `compare`, `cost`,
//! the requests and messages of HTTP, an origin, and priority over other work.

pub(crate) mod built;
pub(crate) mod frame;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod placement;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod spread;
pub(crate) mod turns;
pub(crate) mod verdict;
pub(crate) mod workspace;

/// The result of a step; an error is a text for people to read.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
