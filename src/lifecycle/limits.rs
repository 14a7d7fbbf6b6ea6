use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::edge::{EdgeLimits, descriptor_limit};

/// More clients at once than this want a limit that somebody chose.
const MOST_CONNECTIONS: u64 = 50_000;

/// Raises the soft limit of open descriptors to the hard one; daemons are often started with 1024.
pub(super) fn raise_nofile() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where this is not allowed the soft limit stays, and the default below follows it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// What holds for all listeners of a configuration together.
pub(super) fn edge_limits(config: &Config) -> EdgeLimits {
    let connections = config.connections.unwrap_or_else(default_connections);
    EdgeLimits { connections, ipv6_prefix: config.ipv6_prefix }
}

/// How many clients may be connected at once when the configuration does not say: 70 % of the descriptors, so
/// that connections to endpoints, flows of datagrams, logs and probes have the rest.
fn default_connections() -> usize {
    let descriptors = descriptor_limit();
    usize::try_from((descriptors.saturating_mul(7) / 10).min(MOST_CONNECTIONS)).unwrap_or(usize::MAX)
}

/// How many sockets flows of datagrams may have in all: 15 % of the descriptors, whatever the configuration says, and three
/// quarters of the local ports. Datagrams come from whoever wants to send some; they must not take what connections need.
pub(super) fn flow_sockets() -> usize {
    let descriptors = descriptor_limit();
    let most = (descriptors.saturating_mul(15) / 100).min(local_ports() * 3 / 4);
    usize::try_from(most).unwrap_or(usize::MAX)
}

fn local_ports() -> u64 {
    /// What Linux has by default.
    const USUAL: u64 = 28_232;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if first < last => last - first,
        _ => USUAL,
    }
}
