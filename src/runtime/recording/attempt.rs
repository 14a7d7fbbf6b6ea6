use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use crate::telemetry::SpanId;
use crate::types::EndpointAddr;

use super::super::Cause;

/// The request at one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) endpoint: Arc<EndpointAddr>,
    pub(crate) why: WhyAttempt,
    /// What the endpoint was told that its request comes from.
    pub(crate) span: Option<SpanId>,
    pub(crate) began: Instant,
    /// When it had a connection; `None` where there was none, or nobody but the race of two attempts knows.
    pub(crate) connected: Option<Instant>,
    /// Whether the connection was a kept one.
    pub(crate) is_reused: bool,
    /// When the head of the answer came.
    pub(crate) first_byte: Option<Instant>,
    pub(crate) outcome: Outcome,
    /// When it was over: its answer had come whole, or it had failed.
    pub(crate) ended: Option<Instant>,
}

/// Why an attempt was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WhyAttempt {
    First,
    /// The one before failed so.
    Retry(Cause),
    /// A kept connection had been closed by the endpoint, which has not begun with the request.
    Anew,
    /// The first took long.
    Hedge,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It runs, or ended without a word.
    Open,
    Answered(StatusCode),
    Failed(Cause),
    /// The other one of two answered first.
    Outrun,
}

impl Attempt {
    pub(crate) fn new(endpoint: Arc<EndpointAddr>, why: WhyAttempt, began: Instant) -> Self {
        Self {
            endpoint,
            why,
            span: None,
            began,
            connected: None,
            is_reused: false,
            first_byte: None,
            outcome: Outcome::Open,
            ended: None,
        }
    }

    /// Notes what it came to, unless that is known.
    pub(crate) fn come_to(&mut self, outcome: Outcome) {
        if self.outcome == Outcome::Open {
            self.outcome = outcome;
        }
    }

    /// Notes that it is over, unless it was before.
    pub(crate) fn end(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }
}

impl WhyAttempt {
    /// A word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry(_) => "retry",
            Self::Anew => "anew",
            Self::Hedge => "hedge",
        }
    }
}
