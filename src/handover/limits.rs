use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::Cause;

/// How long each step of a hand-over may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the start of the new process until it says who it is, by when it has read its configuration and all files.
    pub(crate) hello: Duration,
    /// Each step after that.
    pub(crate) step: Duration,
    /// From the last that the new process is given until it could serve.
    pub(crate) ready: Duration,
    /// From `go` until it does. As long as that nobody may be served.
    pub(crate) go: Duration,
}

/// When a step has to be over, and what it waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
    pub(super) awaited: &'static str,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(60),
            step: Duration::from_secs(30),
            ready: Duration::from_secs(120),
            go: Duration::from_secs(3),
        }
    }
}

impl Deadline {
    pub(super) fn new(begun: Instant, limit: Duration, awaited: &'static str) -> Self {
        Self { at: begun + limit, limit, awaited }
    }

    pub(super) async fn keep<T>(&self, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        let Self { at, limit, awaited } = *self;
        match timeout_at(at, work).await {
            Ok(Err(Cause::Closed)) => Err(Cause::ClosedBefore { awaited }),
            Ok(done) => done,
            Err(_) => Err(Cause::TooLate { awaited, limit }),
        }
    }
}
