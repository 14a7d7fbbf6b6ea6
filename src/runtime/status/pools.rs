use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::pools::{Ejection, Endpoint, Pool, ProbeResult, State, UNRESERVED};
use crate::telemetry::Percentiles;
use crate::types::wall_time;

use super::named;

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// How long its endpoints took to begin their answers in the last minute; without attempts that failed.
    #[serde(default)]
    pub(crate) last_minute: Percentiles,
    /// Requests that had to wait for an endpoint since the start.
    #[serde(default)]
    pub(crate) waited: u64,
    /// Attempts that followed a failed one since the start.
    #[serde(default)]
    pub(crate) retried: u64,
    /// Retries and hedges since the start that the budget had no room for.
    #[serde(default)]
    pub(crate) retries_refused: u64,
    /// Requests since the start that were sent to a second endpoint, since the first was silent.
    #[serde(default)]
    pub(crate) hedged: u64,
    /// Requests since the start that got no endpoint: `nobody_fit`, `queue_full`, `queue_timeout`, `out_of_time`,
    /// `policy_failed`.
    #[serde(default)]
    pub(crate) unserved: BTreeMap<String, u64>,
    /// Connections that were made to its endpoints since the start.
    #[serde(default)]
    pub(crate) connections: u64,
    /// Bytes that were sent to its endpoints since the start: bodies of requests, and all that TCP and UDP carry.
    #[serde(default)]
    pub(crate) bytes_sent: u64,
    /// Bytes that came from its endpoints since the start.
    #[serde(default)]
    pub(crate) bytes_received: u64,
    /// Attempts that failed since the start, by cause, in the words of the access log.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, u64>,
    /// In the order of the configuration.
    pub(crate) endpoints: Vec<EndpointStatus>,
}

/// An endpoint at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct EndpointStatus {
    pub(crate) address: String,
    pub(crate) state: State,
    /// Since when it has this state (RFC 3339); a drained one since its drain began.
    #[serde(default)]
    pub(crate) since: String,
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
    /// Until when an operator has it left out (RFC 3339), whatever else keeps it out.
    #[serde(default)]
    pub(crate) ordered_out_until: Option<String>,
    /// Why it is ejected, unfit, or in drain.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// How often it was ejected since the start.
    #[serde(default)]
    pub(crate) ejections: u64,
    /// How long it took to begin its answers in the last minute; without attempts that failed.
    #[serde(default)]
    pub(crate) last_minute: Percentiles,
    /// What it had of the pool's picks in the last minute; none where there were none.
    #[serde(default)]
    pub(crate) picks_percent: Option<f64>,
    /// Connections that were made to it since the start.
    #[serde(default)]
    pub(crate) connections: u64,
    /// Bytes that were sent to it since the start: bodies of requests, and all that TCP and UDP carry.
    #[serde(default)]
    pub(crate) bytes_sent: u64,
    /// Bytes that came from it since the start.
    #[serde(default)]
    pub(crate) bytes_received: u64,
    /// Attempts that failed since the start, by cause, in the words of the access log.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, u64>,
    /// The last ones, the oldest first.
    pub(crate) probes: Vec<ProbeStatus>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProbeStatus {
    /// When it ended (RFC 3339).
    pub(crate) at: String,
    pub(crate) passed: bool,
    pub(crate) took_ms: f64,
    /// What was answered, or why nothing was.
    pub(crate) reason: String,
}

impl PoolStatus {
    pub(in crate::runtime) fn of(pool: &Pool, now: Instant) -> Self {
        let (counts, tally) = (pool.counts(), pool.tally());
        let endpoints = EndpointStatus::all(pool, now);
        Self {
            name: pool.name().to_string(),
            balance: pool.config().balance.policy.clone(),
            in_flight: pool.in_flight(),
            waiting: pool.waiting(),
            retries: pool.retries(),
            picks: endpoints.iter().map(|endpoint| endpoint.picks).sum(),
            failures: endpoints.iter().map(|endpoint| endpoint.failures).sum(),
            panic: pool.is_in_panic(),
            fit: endpoints.iter().filter(|endpoint| endpoint.state == State::Fit).count(),
            last_minute: pool.last_minute().percentiles(),
            waited: counts.waited,
            retried: counts.retries,
            retries_refused: counts.retries_refused,
            hedged: counts.hedges,
            unserved: named(UNRESERVED.into_iter().zip(counts.unreserved)),
            connections: tally.connections(),
            bytes_sent: tally.sent(),
            bytes_received: tally.received(),
            errors: named(tally.errors()),
            endpoints,
        }
    }
}

impl EndpointStatus {
    pub(in crate::runtime) fn all(pool: &Pool, now: Instant) -> Vec<Self> {
        let picks: u64 = pool.endpoints().iter().map(|endpoint| endpoint.picks_of_last_minute()).sum();
        let endpoints = pool.endpoints().iter().zip(pool.ejections());
        let of = |(endpoint, ejection): (&Arc<Endpoint>, Option<Ejection>)| Self {
            picks_percent: percent(endpoint.picks_of_last_minute(), picks),
            ordered_out_until: pool.ordered_out_until(endpoint).map(rfc3339),
            ..Self::of(endpoint, ejection.as_ref(), now)
        };
        endpoints.map(of).collect()
    }

    fn of(endpoint: &Endpoint, ejection: Option<&Ejection>, now: Instant) -> Self {
        let (load, tally, state) = (endpoint.load(), endpoint.tally(), endpoint.state());
        let warmth = load.warmth(now);
        let left = ejection.map(|ejection| ejection.until.saturating_duration_since(now));
        let probes: Vec<_> = endpoint.probes().into_iter().map(ProbeStatus::of).collect();
        Self {
            address: endpoint.address().to_string(),
            state,
            since: rfc3339(endpoint.since()),
            weight: endpoint.weight(),
            zone: endpoint.zone().map(ToString::to_string),
            backup: endpoint.is_backup(),
            in_flight: endpoint.in_flight(),
            max_requests: endpoint.config().max_requests,
            // Whoever is out for another reason gets not even that one request.
            on_trial: load.is_on_trial() && state == State::Fit,
            picks: load.picks(),
            failures: load.failures(),
            latency_ms: load.latency(now).map(in_ms),
            slow_start_percent: (warmth < 1.0).then_some((warmth * 100.0) as u8),
            ejected_for_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            reason: match state {
                State::Ejected => ejection.map(|ejection| ejection.why.to_string()),
                State::Unfit => probes.iter().rfind(|probe| !probe.passed).map(|probe| probe.reason.clone()),
                State::Draining | State::Drained if endpoint.weight() == 0 => {
                    Some("its weight is 0".to_owned())
                }
                State::Draining | State::Drained => Some("taken out by an operator".to_owned()),
                State::Checking | State::Fit => None,
            },
            ejections: endpoint.counts().ejections,
            last_minute: endpoint.last_minute().percentiles(),
            picks_percent: None,
            connections: tally.connections(),
            bytes_sent: tally.sent(),
            bytes_received: tally.received(),
            errors: named(tally.errors()),
            ordered_out_until: None,
            probes,
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

/// What the clock on the wall says then.
fn rfc3339(moment: Instant) -> String {
    humantime::format_rfc3339_millis(wall_time(moment)).to_string()
}

/// One of ten thousand is the least that is told.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 10_000.0).round() / 100.0)
}

/// Seconds in milliseconds; more than two places would be noise.
fn in_ms(seconds: f64) -> f64 {
    (seconds * 100_000.0).round() / 100.0
}
