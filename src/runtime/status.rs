use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cache::{Cache, DiskState, Trouble};
use crate::config;
use crate::pools::{Endpoint, Pool, ProbeResult, State};
use crate::tls::CertificateInfo;

use super::{Listener, ListenerCounts, SplitStatus};

/// What the process does at one moment, for operators. It is what `evener status --json` prints, so a field that is
/// there stays there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The version that runs.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) process: u32,
    /// Whether the process takes no new connections any more and is about to end.
    pub(crate) draining: bool,
    /// The number of the configuration that is served; the process has begun with 1.
    #[serde(default)]
    pub(crate) generation: u64,
    /// Configurations that were put in the place of another since the start, and that were refused.
    #[serde(default)]
    pub(crate) changes_made: u64,
    #[serde(default)]
    pub(crate) changes_refused: u64,
    /// In the order of the configuration; none where one pool was asked for.
    #[serde(default)]
    pub(crate) listeners: Vec<ListenerStatus>,
    /// In the order of the configuration.
    pub(crate) pools: Vec<PoolStatus>,
    /// In the order of the routes; none where one pool was asked for.
    #[serde(default)]
    pub(crate) splits: Vec<SplitStatus>,
    /// Those of all listeners, in the order of the configuration.
    #[serde(default)]
    pub(crate) certificates: Vec<CertificateStatus>,
    /// In the order of the configuration; none where one pool was asked for.
    #[serde(default)]
    pub(crate) caches: Vec<CacheStatus>,
}

/// A store of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CacheStatus {
    pub(crate) name: String,
    /// What answers take of memory, and may take.
    pub(crate) memory_bytes: u64,
    pub(crate) memory_size: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) disk: Option<CacheDiskStatus>,
}

/// The disk of a store of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CacheDiskStatus {
    pub(crate) path: String,
    /// What files take of it, and may take.
    pub(crate) bytes: u64,
    pub(crate) size: u64,
    pub(crate) state: CacheDiskUse,
    /// For how long it has not been in full use, and why.
    pub(crate) for_s: Option<u64>,
    pub(crate) why: Option<String>,
    /// Files that were given up since the start, since they could not be read or removed.
    pub(crate) files_given_up: u64,
}

/// What is done with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CacheDiskUse {
    InUse,
    /// It is read, and has no room for more.
    Full,
    /// It fails, and the cache works from memory.
    Off,
    /// The folder is not this process's, or not yet.
    Elsewhere,
}

impl CacheStatus {
    pub(super) fn of(cache: &Cache, now: Instant) -> Self {
        let (memory_bytes, memory_size) = cache.memory();
        Self {
            name: cache.name.to_string(),
            memory_bytes: memory_bytes as u64,
            memory_size: memory_size as u64,
            disk: cache.disk.as_ref().map(|disk| CacheDiskStatus::of(disk.state(), now)),
        }
    }
}

impl CacheDiskStatus {
    fn of(disk: DiskState, now: Instant) -> Self {
        let (state, trouble) = match (disk.off, disk.full) {
            (Some(off), _) => (CacheDiskUse::Off, Some(off)),
            _ if !disk.has_folder => (CacheDiskUse::Elsewhere, None),
            (None, Some(full)) => (CacheDiskUse::Full, Some(full)),
            (None, None) => (CacheDiskUse::InUse, None),
        };
        let since = |trouble: &Trouble| now.saturating_duration_since(trouble.since).as_secs();
        Self {
            path: disk.path.display().to_string(),
            bytes: disk.bytes as u64,
            size: disk.size as u64,
            state,
            for_s: trouble.as_ref().map(since),
            why: trouble.map(|trouble| trouble.why),
            files_given_up: disk.lost,
        }
    }
}

/// A listener at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListenerStatus {
    pub(crate) name: String,
    /// `http`, `tcp` or `udp`.
    pub(crate) serves: String,
    /// Where it accepts, as the configuration has it.
    pub(crate) bind: Vec<String>,
    /// Open connections, or flows of datagrams.
    pub(crate) open: usize,
    /// Connections that were closed at once since the start, because a limit was reached.
    pub(crate) refused: u64,
    /// Datagrams that went nowhere since the start.
    pub(crate) dropped: u64,
}

impl ListenerStatus {
    pub(super) fn of(listener: &Listener) -> Self {
        let ListenerCounts { open, refused, dropped } = listener.counts();
        Self {
            name: listener.name.to_string(),
            serves: listener.serves_as().to_owned(),
            bind: listener.binds.iter().map(ToString::to_string).collect(),
            open,
            refused,
            dropped,
        }
    }
}

/// A certificate that a listener serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CertificateStatus {
    pub(crate) listener: String,
    /// The names that it is for.
    pub(crate) names: Vec<String>,
    /// The kind of its key.
    pub(crate) key: String,
    /// When it expires (RFC 3339).
    pub(crate) not_after: String,
    /// How long that is from now; negative once it has.
    pub(crate) expires_in_s: i64,
    /// Where it was read from.
    pub(crate) file: String,
}

impl CertificateStatus {
    pub(super) fn all(listener: &Listener, now: SystemTime) -> Vec<Self> {
        let Some(termination) = &listener.tls else { return Vec::new() };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let of = |found: CertificateInfo| Self {
            listener: listener.name.to_string(),
            names: found.names,
            key: found.key.to_owned(),
            not_after: humantime::format_rfc3339_seconds(found.not_after).to_string(),
            expires_in_s: match found.not_after.duration_since(now) {
                Ok(left) => seconds(left),
                Err(over) => -seconds(over.duration()),
            },
            file: found.file.display().to_string(),
        };
        termination.certificates().into_iter().map(of).collect()
    }
}

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PoolStatus {
    pub(crate) name: String,
    /// The policy that picks.
    pub(crate) balance: String,
    /// Requests in flight at all endpoints.
    pub(crate) in_flight: u32,
    /// Requests that wait for an endpoint.
    pub(crate) waiting: usize,
    /// Retries in flight that count against the budget.
    pub(crate) retries: u32,
    /// How often an endpoint was picked since the start.
    pub(crate) picks: u64,
    /// How many attempts failed since the start.
    pub(crate) failures: u64,
    /// Whether so few endpoints are fit that all serve that can be connected to.
    pub(crate) panic: bool,
    /// How many endpoints are fit.
    pub(crate) fit: usize,
    /// In the order of the configuration.
    pub(crate) endpoints: Vec<EndpointStatus>,
}

/// An endpoint at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndpointStatus {
    pub(crate) address: String,
    pub(crate) state: State,
    pub(crate) weight: u16,
    pub(crate) zone: Option<String>,
    pub(crate) backup: bool,
    pub(crate) in_flight: u32,
    pub(crate) max_requests: u32,
    pub(crate) picks: u64,
    pub(crate) failures: u64,
    /// The time to the head of an answer that is to be expected; none before the first answer.
    pub(crate) latency_ms: Option<f64>,
    /// The share of its weight that it gets while it starts slowly.
    pub(crate) slow_start_percent: Option<u8>,
    /// Whether it was ejected, and gets one request at a time until some have succeeded.
    pub(crate) on_trial: bool,
    /// How long it stays ejected.
    pub(crate) ejected_for_ms: Option<u64>,
    /// The last ones, the oldest first.
    pub(crate) probes: Vec<ProbeStatus>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbeStatus {
    /// When it ended (RFC 3339).
    pub(crate) at: String,
    pub(crate) passed: bool,
    pub(crate) took_ms: f64,
    /// What was answered, or why nothing was.
    pub(crate) reason: String,
}

impl PoolStatus {
    pub(super) fn of(pool: &Pool, now: Instant) -> Self {
        let config = pool.config();
        let ejections = pool.ejected_until();
        let endpoints = pool.endpoints().iter().zip(&config.endpoints).zip(ejections);
        let endpoints: Vec<_> = endpoints
            .map(|((endpoint, config), ejected)| EndpointStatus::of(endpoint, config, ejected, now))
            .collect();
        Self {
            name: pool.name().to_string(),
            balance: config.balance.policy.clone(),
            in_flight: pool.in_flight(),
            waiting: pool.waiting(),
            retries: pool.retries(),
            picks: endpoints.iter().map(|endpoint| endpoint.picks).sum(),
            failures: endpoints.iter().map(|endpoint| endpoint.failures).sum(),
            panic: pool.is_in_panic(),
            fit: endpoints.iter().filter(|endpoint| endpoint.state == State::Fit).count(),
            endpoints,
        }
    }
}

impl EndpointStatus {
    fn of(endpoint: &Endpoint, config: &config::Endpoint, ejected: Option<Instant>, now: Instant) -> Self {
        let load = endpoint.load();
        let warmth = load.warmth(now);
        let left = ejected.map(|until| until.saturating_duration_since(now));
        Self {
            address: endpoint.address().to_string(),
            state: endpoint.state(),
            weight: endpoint.weight(),
            zone: endpoint.zone().map(ToString::to_string),
            backup: endpoint.is_backup(),
            in_flight: endpoint.in_flight(),
            max_requests: config.max_requests,
            on_trial: endpoint.load().is_on_trial(),
            picks: load.picks(),
            failures: load.failures(),
            latency_ms: load.latency(now).map(in_ms),
            slow_start_percent: (warmth < 1.0).then_some((warmth * 100.0) as u8),
            probes: endpoint.probes().into_iter().map(ProbeStatus::of).collect(),
            ejected_for_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl ProbeStatus {
    fn of(result: ProbeResult) -> Self {
        let ProbeResult { at, passed, took, reason } = result;
        let at = humantime::format_rfc3339_millis(at).to_string();
        Self { at, passed, took_ms: in_ms(took.as_secs_f64()), reason }
    }
}

/// Seconds in milliseconds; more than two places would be noise.
fn in_ms(seconds: f64) -> f64 {
    (seconds * 100_000.0).round() / 100.0
}
