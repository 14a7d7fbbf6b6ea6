use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildError, KeySpec};
use crate::types::Span;

/// Limits how many requests are under way at once, for each key on its own. A request is under way from here to the end of
/// its answer, and as a tunnel until that is closed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySettings {
    /// How many requests of one key are under way at once, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// By what requests are told apart: `client_ip`, `host`, `path`, `{ header: NAME }`, `{ cookie: NAME }` or
    /// `{ query: NAME }`. Requests that lack the header, cookie or parameter share one limit among them. Default:
    /// `client_ip`.
    #[serde(default)]
    pub key: KeySpec,
    /// How many further requests of one key wait for their turn, in order, 0 to 10000. Default: 0.
    #[serde(default)]
    #[schemars(range(max = 10_000))]
    pub queue: u32,
    /// How long one waits at most, up to 1m; then it is refused. Default: 1s.
    #[serde(default)]
    pub queue_timeout: Option<Span>,
    /// The status of refusals, 429 or 503. Default: 429.
    #[serde(default)]
    pub status: Option<u16>,
}

const MAX: u32 = 1_000_000;
const LONGEST_QUEUE: u32 = 10_000;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

impl ConcurrencySettings {
    pub(super) fn checked_max(&self) -> Result<u32, BuildError> {
        match self.max {
            max @ 1..=MAX => Ok(max),
            0 => {
                Err(BuildError::new("a `max` of 0 lets no request pass; 1 to 1000000 are allowed").at("max"))
            }
            max => Err(BuildError::new(format!("{max} requests; 1 to 1000000 are allowed")).at("max")),
        }
    }

    pub(super) fn checked_queue(&self) -> Result<usize, BuildError> {
        match usize::try_from(self.queue) {
            Ok(queue) if self.queue <= LONGEST_QUEUE => Ok(queue),
            _ => {
                let found = self.queue;
                Err(BuildError::new(format!("{found} requests wait; 0 to 10000 are allowed")).at("queue"))
            }
        }
    }

    pub(super) fn checked_timeout(&self) -> Result<Duration, BuildError> {
        let Some(timeout) = self.queue_timeout else { return Ok(DEFAULT_TIMEOUT) };
        if self.queue == 0 {
            let error = BuildError::new("`queue_timeout` has a meaning with a `queue` only");
            return Err(error
                .at("queue_timeout")
                .with_help("write `queue: 10`, or leave `queue_timeout` out"));
        }
        if timeout.is_zero() || timeout.get() > LONGEST_TIMEOUT {
            let error =
                BuildError::new(format!("a wait of `{timeout}`; more than 0s and up to 1m is allowed"));
            return Err(error.at("queue_timeout"));
        }
        Ok(timeout.get())
    }

    pub(super) fn checked_status(&self) -> Result<StatusCode, BuildError> {
        match self.status {
            None | Some(429) => Ok(StatusCode::TOO_MANY_REQUESTS),
            Some(503) => Ok(StatusCode::SERVICE_UNAVAILABLE),
            Some(status) => {
                Err(BuildError::new(format!("a status of {status}; 429 or 503 is allowed")).at("status"))
            }
        }
    }
}
