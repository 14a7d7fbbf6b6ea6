//! How a canary goes on: a state machine without a clock.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::split::Share;

use super::CanaryOrder;
use super::rules::Rules;
use super::verdict::{Verdict, Window};

/// How far a canary has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Course {
    pub(super) phase: Phase,
    pub(super) share: Share,
    /// When it got this share, was resumed, or came under other rules: what is counted from then on decides whether it grows.
    pub(super) since: Instant,
    pub(super) is_paused: bool,
}

/// Whether a canary is still judged, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Running,
    Promoted { why: String },
    Aborted { why: String },
}

/// What a look at the requests led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Grows,
    IsPromoted,
    IsAborted,
}

/// A canary that has ended cannot be paused, nor resumed unless it was promoted and may have more by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotRunning;

/// Why an operator's word counts.
const BY_OPERATOR: &str = "an operator wants it so";

impl Course {
    pub(super) fn begin(rules: &Rules, now: Instant) -> Self {
        Self { phase: Phase::Running, share: rules.start, since: now, is_paused: false }
    }

    /// Looks at the requests since `since`, and at the most recent ones.
    pub(super) fn look(
        &mut self,
        rules: &Rules,
        window: &Window,
        recent: &Window,
        now: Instant,
    ) -> Option<Turn> {
        if self.phase != Phase::Running {
            return None;
        }
        if let Some(why) = window.why_worse(rules).or_else(|| recent.why_worse(rules)) {
            self.abort(rules, why, now);
            return Some(Turn::IsAborted);
        }
        let may_grow = !self.is_paused && self.is_due(rules, now);
        let is_good = || window.judge(rules) == Verdict::Good;
        (may_grow && is_good()).then(|| self.advance(rules, window, now))
    }

    /// Comes under other rules, which may make its share smaller at once, and never larger.
    pub(super) fn come_under(&mut self, rules: &Rules, now: Instant) {
        let most = if matches!(self.phase, Phase::Aborted { .. }) { rules.on_abort } else { rules.max };
        (self.share, self.since) = (self.share.min(most), now);
    }

    /// Whether it has had its share for as long as it has to.
    pub(super) fn is_due(&self, rules: &Rules, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= rules.every.get()
    }

    /// Does what an operator wants.
    pub(super) fn steer(
        &mut self,
        order: CanaryOrder,
        rules: &Rules,
        now: Instant,
    ) -> Result<(), NotRunning> {
        match order {
            CanaryOrder::Pause if self.phase != Phase::Running => return Err(NotRunning),
            CanaryOrder::Resume if !self.may_run(rules) => return Err(NotRunning),
            CanaryOrder::Pause => self.is_paused = true,
            CanaryOrder::Resume => {
                (self.phase, self.since, self.is_paused) = (Phase::Running, now, false);
            }
            CanaryOrder::Restart => *self = Self::begin(rules, now),
            CanaryOrder::Promote => self.promote(rules, BY_OPERATOR.to_owned(), now),
            CanaryOrder::Abort => self.abort(rules, BY_OPERATOR.to_owned(), now),
        }
        Ok(())
    }

    /// Whether there is anything to resume: one that has got all that it could may be allowed more by now.
    fn may_run(&self, rules: &Rules) -> bool {
        match self.phase {
            Phase::Running => true,
            Phase::Promoted { .. } => self.share < rules.max,
            Phase::Aborted { .. } => false,
        }
    }

    /// Beside a canary that has everything there is nobody to compare it with, so that it needs no last window.
    fn advance(&mut self, rules: &Rules, window: &Window, now: Instant) -> Turn {
        let next = self.share.plus(rules.step, rules.max);
        if self.share == rules.max || next == Share::ALL {
            self.promote(rules, window.describe(), now);
            return Turn::IsPromoted;
        }
        (self.share, self.since) = (next, now);
        Turn::Grows
    }

    fn promote(&mut self, rules: &Rules, why: String, now: Instant) {
        *self = Self { phase: Phase::Promoted { why }, share: rules.max, since: now, is_paused: false };
    }

    fn abort(&mut self, rules: &Rules, why: String, now: Instant) {
        *self = Self { phase: Phase::Aborted { why }, share: rules.on_abort, since: now, is_paused: false };
    }
}

#[cfg(test)]
mod tests;
