use std::sync::Arc;

use tokio::time::Instant;

use crate::hooks::Picked;
use crate::pools::{Pool, State};
use crate::types::{EndpointAddr, PoolName};

use super::super::Cause;
use super::Bounded;

/// How an endpoint was found, or was not.
#[derive(Clone, Debug)]
pub(crate) struct PickRun {
    pub(crate) pool: PoolName,
    /// The name of the pool's policy.
    pub(crate) policy: String,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// What the policy told, of its last pick where it was asked again.
    pub(crate) picked: Picked,
    pub(crate) waited_for: Option<WaitedFor>,
    /// Those of the pool's endpoints that got no work.
    pub(crate) out: Bounded<OutOfWork, 16>,
    /// Whom it came to, or why to nobody.
    pub(crate) found: Result<Arc<EndpointAddr>, Cause>,
}

/// What took time before there was an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitedFor {
    /// Its first probes, or a place at an endpoint.
    Room,
    /// The pause before a retry.
    BackOff,
}

/// An endpoint that gets no work.
#[derive(Clone, Debug)]
pub(crate) struct OutOfWork {
    pub(crate) endpoint: Arc<EndpointAddr>,
    pub(crate) state: State,
}

impl OutOfWork {
    /// Those of a pool at this moment.
    pub(crate) fn of(pool: &Pool) -> Bounded<Self, 16> {
        let out = pool.endpoints().iter().filter(|endpoint| endpoint.state() != State::Fit);
        out.map(|endpoint| Self { endpoint: endpoint.address().clone(), state: endpoint.state() }).collect()
    }
}

impl WaitedFor {
    /// A word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::BackOff => "back_off",
        }
    }
}
