use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pools::{Endpoint, Fault, Lease, Unanswered};
use crate::runtime::Outcome;
use crate::telemetry::SpanId;

/// What a race tells the request that it is run for.
#[derive(Debug, Default)]
pub(super) struct Shared {
    result: Mutex<RaceResult>,
    failure: Mutex<Failure>,
}

/// What came of the attempts until the head of an answer.
#[derive(Debug, Default)]
pub(super) struct RaceResult {
    /// The endpoint of the second attempt, once there is one.
    pub(super) second: Option<SecondAttempt>,
    /// The second attempt, if its answer is the one that is relayed.
    pub(super) won: Option<Won>,
    /// How the first attempt failed, if it did while there was a second.
    pub(super) first_failed: Option<FailedAttempt>,
}

/// A second attempt, whatever comes of it.
#[derive(Debug)]
pub(in crate::gateway) struct SecondAttempt {
    pub(in crate::gateway) endpoint: Arc<Endpoint>,
    pub(in crate::gateway) began: Instant,
    /// What the endpoint was told that its request comes from.
    pub(in crate::gateway) span: Option<SpanId>,
    /// How it failed, if it did before the first one was over.
    pub(in crate::gateway) failed: Option<Outcome>,
}

/// An attempt that serves the request.
#[derive(Debug)]
pub(super) struct Won {
    pub(super) lease: Lease,
    pub(super) began: Instant,
}

/// What a failed attempt tells of its endpoint.
#[derive(Clone, Debug)]
pub(super) struct FailedAttempt {
    /// What it did wrong, if that was its own doing.
    pub(super) fault: Option<Fault>,
    pub(super) retry_after: Option<Duration>,
    /// The same for people.
    pub(super) outcome: Outcome,
}

#[derive(Debug, Default)]
struct Failure {
    has_failed: bool,
    why: Option<Unanswered>,
}

impl Shared {
    pub(super) fn change(&self, change: impl FnOnce(&mut RaceResult)) {
        change(&mut self.result.lock());
    }

    pub(super) fn take_result(&self) -> RaceResult {
        std::mem::take(&mut self.result.lock())
    }

    /// There is no answer, or no more of it: the end of the pipe is not the answer's.
    pub(super) fn fail(&self, why: Unanswered) {
        *self.failure.lock() = Failure { has_failed: true, why: Some(why) };
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.lock().has_failed
    }

    pub(super) fn take_failure(&self) -> Option<Unanswered> {
        self.failure.lock().why.take()
    }
}
