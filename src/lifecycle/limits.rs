use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

/// How many clients may be connected at once when the configuration does not say: 70 % of the descriptors, so
/// that connections to endpoints, logs and probes have the rest.
pub(super) fn default_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((descriptors.saturating_mul(7) / 10).min(MOST_CONNECTIONS)).unwrap_or(usize::MAX)
}
