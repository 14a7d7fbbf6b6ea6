//! How a report is made of a recording.

use std::time::Duration;

use tokio::time::Instant;

use crate::hooks::{Picked, PickedBy, Sampled};
use crate::runtime::GrpcStatus;
use crate::runtime::recording::{
    Attempt, FilterRun, FilterVerdict, Outcome, PickRun, Recording, RouteCandidate, SplitRun, WhyAttempt,
};
use crate::telemetry::{protocol_word, started};

use super::{
    AttemptReport, CandidateReport, EndReport, FilterReport, PickReport, RequestReport, SampledReport,
    SplitReport,
};

/// Milliseconds with three decimals.
fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

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
    pub(in crate::runtime) fn all(picked: &Picked) -> Vec<Self> {
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
