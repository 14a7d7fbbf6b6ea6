//! What became of one request, step by step, for whoever wants to understand it: a tap, a tracer, a client with a debug
//! key.
//!
//! The gateway writes a [`Recording`] while it serves the request, and only where one of the [`Watchers`](super::Watchers)
//! wants it; at the request's end it is whole and is handed to all of them. It holds instants, so that spans can be made of
//! it, and everything in it is bounded. What a client has sent is in it only as far as everybody may see it who may see
//! requests at all: no header, and the target only as its [`Redaction`] shows it.

mod attempt;
mod bounded;
mod pick;
mod route;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, Uri, Version};
use tokio::time::Instant;

use crate::hooks::{PickNotes, Scheme};
use crate::telemetry::Redaction;
use crate::tracing::Traced;
use crate::types::{EndpointAddr, ListenerName, PoolName};

use super::{Cause, GrpcStatus, Uses};

pub(crate) use attempt::{Attempt, Outcome, WhyAttempt};
pub(crate) use bounded::Bounded;
pub(crate) use pick::{OutOfWork, PickRun, WaitedFor};
pub(crate) use route::{FilterRun, FilterVerdict, RouteCandidate, Routing, SplitRun};

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Who wants to know.
    pub(crate) uses: Uses,
    /// When its header had been read.
    pub(crate) began: Instant,
    pub(crate) asked: Asked,
    /// Where it stands in its trace, if traces are wanted.
    pub(crate) traced: Option<Traced>,
    /// Where it was routed; `None` when it was refused before that.
    pub(crate) routing: Option<Routing>,
    /// The filters that saw it, in their order.
    pub(crate) filters: Bounded<FilterRun, 32>,
    pub(crate) split: Option<SplitRun>,
    /// Each time that an endpoint was looked for.
    pub(crate) picks: Bounded<PickRun, 16>,
    pub(crate) attempts: Bounded<Attempt, 16>,
    /// Which of them serves the request, or is to.
    pub(crate) serving: usize,
    /// What the policy tells while it picks.
    pub(crate) notes: PickNotes,
    /// Once it is over.
    pub(crate) end: Option<Ended>,
}

/// Who asked for what.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) scheme: Scheme,
    /// As the request was matched by; empty where it was refused before that was known.
    pub(crate) host: String,
    /// In canonical form once it is matched, before filters change it. It is for nobody's eyes but as `redaction` shows it.
    pub(crate) target: Uri,
    /// That of the access log, so that what is hidden there is hidden everywhere.
    pub(crate) redaction: Arc<Redaction>,
    /// After trusted proxies were believed.
    pub(crate) client: IpAddr,
    pub(crate) listener: ListenerName,
    pub(crate) request_id: HeaderValue,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) at: Instant,
    /// Of the answer; `None` where there was none.
    pub(crate) status: Option<StatusCode>,
    pub(crate) cause: Option<Cause>,
    pub(crate) grpc_status: Option<GrpcStatus>,
    /// What its cache did, as the access log says it.
    pub(crate) cache: Option<&'static str>,
    pub(crate) pool: Option<PoolName>,
    /// Of the last attempt.
    pub(crate) endpoint: Option<Arc<EndpointAddr>>,
    /// Bytes of the request's body.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body.
    pub(crate) bytes_out: u64,
    /// When all filters had seen the request.
    pub(crate) filtered: Option<Instant>,
    /// When the head of the endpoint's answer came.
    pub(crate) first_byte: Option<Instant>,
}

impl Recording {
    pub(crate) fn new(uses: Uses, began: Instant, asked: Asked) -> Self {
        Self {
            uses,
            began,
            asked,
            traced: None,
            routing: None,
            filters: Bounded::default(),
            split: None,
            picks: Bounded::default(),
            attempts: Bounded::default(),
            serving: 0,
            notes: PickNotes::default(),
            end: None,
        }
    }

    /// Notes an attempt that is to serve the request.
    pub(crate) fn begin_attempt(&mut self, attempt: Attempt) {
        self.serving = self.attempts.count();
        self.attempts.push(attempt);
    }

    /// The attempt that serves the request, or is to.
    pub(crate) fn serving_mut(&mut self) -> Option<&mut Attempt> {
        self.attempts.get_mut(self.serving)
    }
}
