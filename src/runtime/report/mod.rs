//! What became of a request as others are told it: over the control socket, as JSON, and in words.
//!
//! It is made of a [`Recording`], and holds nothing that only the request's own client and its endpoint may know: no header,
//! and of the query the names of parameters alone.

mod fit;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::hooks::{Picked, PickedBy, Sampled};
use crate::telemetry::{protocol_word, started};

use super::GrpcStatus;
use super::recording::{
    Attempt, FilterRun, FilterVerdict, Outcome, PickRun, Recording, RouteCandidate, SplitRun, WhyAttempt,
};

pub(super) use text::{in_words, write_sampled};

/// What became of one request. Keys without a value are left out; times are milliseconds, and moments count from the
/// request's header on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestReport {
    /// When its header had come (RFC 3339).
    pub(crate) time: String,
    pub(crate) request_id: String,
    pub(crate) client: String,
    pub(crate) listener: String,
    pub(crate) protocol: String,
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) host: String,
    /// The path, and the names of the query's parameters; one that is long ends with `…`.
    pub(crate) target: String,
    /// The routes for its host, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) candidates: Vec<CandidateReport>,
    /// How many more routes, filters, picks, endpoints compared or out, and attempts there were than are told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) left_out: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) filters: Vec<FilterReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<SplitReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) picks: Vec<PickReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<AttemptReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<EndReport>,
}

/// A route that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CandidateReport {
    pub(crate) route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    pub(crate) chosen: bool,
    pub(crate) verdict: String,
}

/// What a filter made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FilterReport {
    pub(crate) filter: String,
    pub(crate) at_ms: f64,
    pub(crate) took_ms: f64,
    /// `continued`, `answered`, `rejected` or `failed`.
    pub(crate) verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
}

/// Which of several pools was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SplitReport {
    pub(crate) pool: String,
    /// What keeps the client with it; nothing where chance decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// Each pool with its percentage of the requests.
    pub(crate) shares: Vec<(String, f64)>,
}

/// How an endpoint was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PickReport {
    pub(crate) pool: String,
    pub(crate) policy: String,
    pub(crate) at_ms: f64,
    pub(crate) took_ms: f64,
    /// What decided; nothing where the policy does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sampled: Vec<SampledReport>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) more_sampled: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waited_for: Option<String>,
    /// Endpoints that got no work, each with its state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) out: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
}

/// An endpoint that was compared with others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SampledReport {
    pub(crate) endpoint: String,
    /// What decided, less being better: the milliseconds that an answer is likely to take, or else requests in flight, either for
    /// each of its weight. Of those that are equal the one with fewer recent picks is taken.
    pub(crate) cost: f64,
    pub(crate) in_flight: u32,
    /// Of the last half second or so.
    pub(crate) recent_picks: f64,
    /// Less than its own while it starts slowly.
    pub(crate) weight: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<f64>,
    pub(crate) has_room: bool,
}

/// The request at one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AttemptReport {
    pub(crate) endpoint: String,
    /// `first`, `retry`, `anew` (a kept connection had been closed) or `hedge`.
    pub(crate) why: String,
    /// What the attempt before it failed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_of: Option<String>,
    pub(crate) at_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connected_ms: Option<f64>,
    /// Whether its connection was a kept one.
    pub(crate) reused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// Whether the other one of two answered first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) outrun: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndReport {
    /// Nothing where no answer was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// When its route was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routed_ms: Option<f64>,
    /// When all filters had seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filtered_ms: Option<f64>,
    /// When the head of the endpoint's answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_ms: Option<f64>,
    pub(crate) total_ms: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Milliseconds with three decimals.
pub(super) fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

// === Of a recording ===

impl RequestReport {
    /// What a recording tells, in no more than a line holds.
    pub(crate) fn of(recording: &Recording) -> Self {
        Self::whole(recording).fitted()
    }

    fn whole(recording: &Recording) -> Self {
        let Recording { began, asked, routing, filters, split, picks, attempts, end, .. } = recording;
        let at = |moment: Instant| millis(moment.saturating_duration_since(*began));
        let candidates = routing.as_ref().map(|routing| &routing.candidates);
        Self {
            time: humantime::format_rfc3339_millis(started(began.elapsed())).to_string(),
            request_id: asked.request_id.to_str().unwrap_or_default().to_owned(),
            client: asked.client.to_string(),
            listener: asked.listener.to_string(),
            protocol: protocol_word(asked.version).to_owned(),
            method: asked.method.to_string(),
            scheme: asked.scheme.as_str().to_owned(),
            host: asked.host.clone(),
            target: asked.redaction.target(&asked.target),
            candidates: candidates
                .map(|candidates| candidates.as_slice().iter().map(CandidateReport::of).collect())
                .unwrap_or_default(),
            left_out: candidates.map_or(0, |candidates| candidates.more())
                + filters.more()
                + picks.more()
                + attempts.more(),
            route: routing.as_ref().and_then(|routing| routing.route.as_ref()).map(ToString::to_string),
            filters: filters.as_slice().iter().map(|run| FilterReport::of(run, at)).collect(),
            split: split.as_ref().map(SplitReport::of),
            picks: picks.as_slice().iter().map(|run| PickReport::of(run, at)).collect(),
            attempts: attempts.as_slice().iter().map(|attempt| AttemptReport::of(attempt, at)).collect(),
            cache: end.as_ref().and_then(|end| end.cache).map(str::to_owned),
            end: end.as_ref().map(|end| EndReport {
                status: end.status.map(|status| status.as_u16()),
                cause: end.cause.as_ref().map(|cause| cause.word().to_owned()),
                grpc_status: end.grpc_status.map(GrpcStatus::code),
                pool: end.pool.as_ref().map(ToString::to_string),
                endpoint: end.endpoint.as_ref().map(ToString::to_string),
                bytes_in: end.bytes_in,
                bytes_out: end.bytes_out,
                routed_ms: routing.as_ref().map(|routing| at(routing.at)),
                filtered_ms: end.filtered.map(at),
                first_byte_ms: end.first_byte.map(at),
                total_ms: at(end.at),
            }),
        }
    }
}

impl CandidateReport {
    fn of(candidate: &RouteCandidate) -> Self {
        Self {
            route: candidate.name.to_string(),
            host: candidate.host.as_ref().map(ToString::to_string),
            chosen: candidate.is_chosen,
            verdict: candidate.verdict.clone(),
        }
    }
}

impl FilterReport {
    fn of(run: &FilterRun, at: impl Fn(Instant) -> f64) -> Self {
        let (status, cause) = match &run.verdict {
            FilterVerdict::Continued => (None, None),
            FilterVerdict::Answered(status) => (Some(status.as_u16()), None),
            FilterVerdict::Rejected(status, word) => (Some(status.as_u16()), Some(word.clone())),
            FilterVerdict::Failed(cause) => (Some(cause.status().as_u16()), Some(cause.word().to_owned())),
        };
        let verdict = run.verdict.word().to_owned();
        let (at_ms, took_ms) = (at(run.began), millis(run.took));
        Self { filter: run.name.clone(), at_ms, took_ms, verdict, status, cause }
    }
}

impl SplitReport {
    fn of(run: &SplitRun) -> Self {
        let shares = run.shares.as_slice().iter();
        Self {
            pool: run.chosen.to_string(),
            by: run.by.clone(),
            shares: shares.map(|side| (side.pool.to_string(), side.share.percent())).collect(),
        }
    }
}

impl PickReport {
    fn of(run: &PickRun, at: impl Fn(Instant) -> f64) -> Self {
        let (at_ms, out) = (at(run.began), run.out.as_slice().iter());
        Self {
            pool: run.pool.to_string(),
            policy: run.policy.clone(),
            at_ms,
            took_ms: rounded(at(run.ended) - at_ms),
            by: run.picked.by.map(|by| by.word().to_owned()),
            sampled: SampledReport::all(&run.picked),
            more_sampled: run.picked.more,
            waited_for: run.waited_for.map(|what| what.word().to_owned()),
            out: out.map(|out| (out.endpoint.to_string(), out.state.as_str().to_owned())).collect(),
            endpoint: run.found.as_ref().ok().map(ToString::to_string),
            cause: run.found.as_ref().err().map(|cause| cause.word().to_owned()),
        }
    }
}

impl SampledReport {
    /// Those of a pick.
    pub(super) fn all(picked: &Picked) -> Vec<Self> {
        picked.sampled.iter().map(|sampled| Self::of(sampled, picked.by)).collect()
    }

    fn of(sampled: &Sampled, by: Option<PickedBy>) -> Self {
        let load = f64::from(sampled.in_flight) / sampled.weight;
        Self {
            endpoint: sampled.endpoint.to_string(),
            cost: rounded(if by == Some(PickedBy::Latency) { sampled.cost } else { load }),
            in_flight: sampled.in_flight,
            recent_picks: rounded(sampled.recent_picks),
            weight: sampled.weight,
            latency_ms: sampled.latency.map(|seconds| rounded(seconds * 1000.0)),
            has_room: sampled.has_room,
        }
    }
}

impl AttemptReport {
    fn of(attempt: &Attempt, at: impl Fn(Instant) -> f64) -> Self {
        let retry_of = match &attempt.why {
            WhyAttempt::Retry(cause) => Some(cause.word().to_owned()),
            WhyAttempt::First | WhyAttempt::Anew | WhyAttempt::Hedge => None,
        };
        let (status, cause) = match &attempt.outcome {
            Outcome::Answered(status) => (Some(status.as_u16()), None),
            Outcome::Failed(cause) => (None, Some(cause.word().to_owned())),
            Outcome::Open | Outcome::Outrun => (None, None),
        };
        Self {
            endpoint: attempt.endpoint.to_string(),
            why: attempt.why.word().to_owned(),
            retry_of,
            at_ms: at(attempt.began),
            connected_ms: attempt.connected.map(&at),
            reused: attempt.is_reused,
            first_byte_ms: attempt.first_byte.map(&at),
            ended_ms: attempt.ended.map(&at),
            status,
            cause,
            outrun: attempt.outcome == Outcome::Outrun,
        }
    }
}
