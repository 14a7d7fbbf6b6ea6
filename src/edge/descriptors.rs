//! How many descriptors a process has to be allowed, so that it can serve its listeners.

use rustix::process::{Resource, getrlimit};

use super::bind::BindError;
use super::inherited::Kind;

/// What to do where there are too few.
pub(super) const REMEDY: &str = "raise the limit (`ulimit -n`, LimitNOFILE in a unit)";
/// What a process has open besides its listeners while it serves nobody: the runtimes and their signals, the standard
/// streams, the access log and the control socket; and those of a hand-over, which last as long as the other process.
const AT_REST: usize = 32;
/// What there has to be to serve anybody: a descriptor for each client, and one for the endpoint.
const ROOM: usize = 32;

/// How many descriptors this process may have.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether a process with listeners at addresses of these kinds can serve; those for datagrams have so many `sockets` each.
pub(super) fn check(addresses: impl Iterator<Item = Kind>, sockets: usize) -> Result<(), BindError> {
    let listeners: usize = addresses.map(|kind| at_address(kind, sockets)).sum();
    let (need, limit) = (listeners + AT_REST + ROOM, limit());
    if limit < need as u64 { Err(BindError::Descriptors { limit, need, listeners }) } else { Ok(()) }
}

/// What an address takes.
fn at_address(kind: Kind, sockets: usize) -> usize {
    match kind {
        // One keeps it open, and another is known to the runtime that accepts.
        Kind::Connections | Kind::Admin => 2,
        // One keeps it open, two belong to the run on it, a fourth is known to the runtime; and what watches its flows.
        Kind::Datagrams => 5 * sockets,
    }
}
