//! A canary: a pool whose share of a split grows by itself, step by step, as long as it does as well as the other pools, and
//! is taken back when it surely does not.
//!
//! [`course`] is the state machine, [`verdict`] the comparison, [`rules`] what both go by, all three pure; [`state`] counts
//! requests, has the machine look at them once a second while there are any, and is what is kept and handed over. It is
//! known by whom it compares: other rules make no other canary of it.

mod course;
mod rules;
mod state;
mod status;
mod verdict;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::config;
use crate::hooks::BuildCx;
use crate::types::{PoolName, RouteName};

use super::Share;
use rules::Rules;
use state::State;

pub(crate) use course::NotRunning;
pub(crate) use status::{CanaryPhase, CanaryStatus, FiguresStatus};

/// The canary of a split.
#[derive(Debug)]
pub(crate) struct Canary {
    side: usize,
    /// Those of this configuration; the state has those of the one that is served.
    rules: Rules,
    state: Arc<State>,
}

/// What a request came to at the pool that it was chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it counts as a failure of the pool.
    pub(crate) is_failure: bool,
    /// How long the pool took to the first byte, if there was one.
    pub(crate) first_byte: Option<Duration>,
}

/// What an operator wants of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CanaryOrder {
    /// It keeps its share until it is resumed; it is still taken back if it is worse.
    Pause,
    /// It grows again, once it was good for as long as it has to be with each share.
    Resume,
    /// It begins anew.
    Restart,
    /// It gets its largest share at once.
    Promote,
    /// It is taken back at once.
    Abort,
}

/// A text that is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write pause, resume, restart, promote or abort")]
pub(crate) struct InvalidOrder;

impl Canary {
    /// The canary among the pools of a route, which goes on with its course if it is still compared with the same.
    pub(super) fn kept(
        config: &config::Canary,
        start: Option<Share>,
        route: &RouteName,
        sides: &[PoolName],
        cx: &BuildCx<'_>,
        now: Instant,
    ) -> Self {
        let rules = Rules::new(&config.spec, start);
        let pool = &sides[config.side];
        let mut others: Vec<_> = sides.iter().filter(|side| *side != pool).map(PoolName::as_str).collect();
        others.sort_unstable();
        let name = format!("canary {pool} beside {}", others.join(" "));
        let make = || State::new(rules.clone(), route.clone(), pool.clone(), now);
        Self { side: config.side, state: cx.keep_returning(&name, make), rules }
    }

    /// Goes by the rules of this configuration from now on.
    pub(super) fn take_over(&self, now: Instant) {
        self.state.come_under(&self.rules, now);
    }

    /// Its place among the pools of the split.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// What it has of all requests now.
    pub(super) fn share(&self) -> Share {
        self.state.share()
    }

    /// Whether it may still grow, or be taken back.
    pub(super) fn is_on_trial(&self) -> bool {
        self.state.is_running()
    }

    pub(super) fn record(&self, side: usize, outcome: Outcome, now: Instant) {
        self.state.record(side == self.side, outcome, now);
    }

    /// Does what an operator wants.
    ///
    /// # Errors
    /// When it has ended, and is to be paused, or resumed without being allowed more than it has.
    pub(crate) fn steer(&self, order: CanaryOrder, now: Instant) -> Result<(), NotRunning> {
        self.state.steer(order, now)
    }

    pub(crate) fn status(&self, now: Instant) -> CanaryStatus {
        self.state.status(now)
    }

    /// Its settings in words.
    pub(crate) fn describe(&self) -> &impl fmt::Display {
        &self.rules
    }
}

impl CanaryOrder {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Restart => "restart",
            Self::Promote => "promote",
            Self::Abort => "abort",
        }
    }
}

impl FromStr for CanaryOrder {
    type Err = InvalidOrder;

    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        let all = [Self::Pause, Self::Resume, Self::Restart, Self::Promote, Self::Abort];
        all.into_iter().find(|order| order.as_str() == text).ok_or(InvalidOrder)
    }
}
