//! What became of a request as others are told it: over the control socket, as JSON, and in words.
//!
//! It is made of a [`Recording`](super::recording::Recording), and holds nothing that only the request's own client and its
//! endpoint may know: no header, and of the query the names of parameters alone.

mod fit;
mod making;
mod text;

use serde::{Deserialize, Serialize};

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
