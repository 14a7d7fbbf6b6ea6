use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::hooks::{Export, ImportError};
use crate::split::Share;
use crate::telemetry::AtomicHistogram;
use crate::types::{PoolName, RouteName};

use super::course::{Course, NotRunning, Phase, Turn};
use super::rules::Rules;
use super::status::{CanaryPhase, CanaryStatus, FiguresStatus};
use super::verdict::{Counts, Verdict, Window};
use super::{CanaryOrder, Outcome};

/// A canary as requests find it: they read its share and are counted without a lock, and one of them a second has its course
/// looked at.
#[derive(Debug)]
pub(super) struct State {
    route: RouteName,
    pool: PoolName,
    start: Instant,
    /// In hundredths of a percent.
    share: AtomicU32,
    canary: Tally,
    others: Tally,
    /// Milliseconds from `start` until the next look.
    next_look: AtomicU64,
    watched: Mutex<Watched>,
}

/// All requests of one side until now.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    latencies: AtomicHistogram,
}

#[derive(Debug)]
struct Watched {
    /// Those of the configuration that is served.
    rules: Rules,
    course: Course,
    /// What the tallies said when the course says that counting began.
    before: Window,
    recent: Recent,
}

/// Readings of the tallies by which the most recent requests are told from those before: in a long window, what breaks late
/// would hardly count.
#[derive(Debug)]
struct Recent {
    older: Window,
    newer: Window,
    /// When the newer one was taken.
    at: Instant,
}

/// How long a look suffices.
const LOOK: Duration = Duration::from_secs(1);

/// Recent is what came so long ago at most, or twice as long.
const RECENT: Duration = Duration::from_secs(60);

impl State {
    pub(super) fn new(rules: Rules, route: RouteName, pool: PoolName, now: Instant) -> Self {
        let course = Course::begin(&rules, now);
        Self {
            route,
            pool,
            start: now,
            share: AtomicU32::new(course.share.hundredths()),
            canary: Tally::default(),
            others: Tally::default(),
            next_look: AtomicU64::new(millis(LOOK)),
            watched: Mutex::new(Watched {
                rules,
                course,
                before: Window::default(),
                recent: Recent::begin(Window::default(), now),
            }),
        }
    }

    /// Goes by these rules from now on, after which it takes a whole window until it grows.
    pub(super) fn come_under(&self, rules: &Rules, now: Instant) {
        let mut watched = self.watched.lock();
        let is_news = !watched.rules.judge_like(rules);
        watched.rules = rules.clone();
        if !is_news {
            return;
        }
        watched.course.come_under(rules, now);
        watched.before = self.counted();
        let (route, pool, share) = (&self.route, &self.pool, self.spread(&watched));
        log::info!("canary goes on by other settings route={route} pool={pool} share=\"{share}\"");
    }

    pub(super) fn share(&self) -> Share {
        Share::from_hundredths(self.share.load(Ordering::Relaxed))
    }

    pub(super) fn is_running(&self) -> bool {
        self.watched.lock().course.phase == Phase::Running
    }

    pub(super) fn record(&self, is_canary: bool, outcome: Outcome, now: Instant) {
        let tally = if is_canary { &self.canary } else { &self.others };
        tally.count(outcome);
        let elapsed = millis(now.saturating_duration_since(self.start));
        let due = self.next_look.load(Ordering::Relaxed);
        let next = elapsed + millis(LOOK);
        let is_ours =
            || self.next_look.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if elapsed >= due && is_ours() {
            self.look(now);
        }
    }

    pub(super) fn steer(&self, order: CanaryOrder, now: Instant) -> Result<(), NotRunning> {
        let mut watched = self.watched.lock();
        let Watched { rules, course, .. } = &mut *watched;
        course.steer(order, rules, now)?;
        match order {
            CanaryOrder::Pause => {}
            // What is known against it stays.
            CanaryOrder::Resume => watched.before = self.counted(),
            CanaryOrder::Restart | CanaryOrder::Promote | CanaryOrder::Abort => {
                watched.count_anew(self.counted(), now);
            }
        }
        let (route, pool, order, share) = (&self.route, &self.pool, order.as_str(), self.spread(&watched));
        log::info!(
            "canary is steered by an operator route={route} pool={pool} order={order} share=\"{share}\""
        );
        Ok(())
    }

    pub(super) fn status(&self, now: Instant) -> CanaryStatus {
        let watched = self.watched.lock();
        let (course, window) = (&watched.course, self.counted().since(&watched.before));
        let (phase, why) = match &course.phase {
            Phase::Running => (CanaryPhase::Running, None),
            Phase::Promoted { why } => (CanaryPhase::Promoted, Some(why.clone())),
            Phase::Aborted { why } => (CanaryPhase::Aborted, Some(why.clone())),
        };
        CanaryStatus {
            pool: self.pool.to_string(),
            phase,
            share_percent: course.share.percent(),
            for_s: now.saturating_duration_since(course.since).as_secs(),
            paused: course.is_paused,
            why,
            waits_for: (phase == CanaryPhase::Running).then(|| watched.waits_for(&window, now)),
            canary: FiguresStatus::of(&window.canary),
            others: FiguresStatus::of(&window.others),
        }
    }

    fn look(&self, now: Instant) {
        let mut watched = self.watched.lock();
        let counted = self.counted();
        let window = counted.since(&watched.before);
        let recent = watched.recent.pass(&counted, now);
        let Watched { rules, course, .. } = &mut *watched;
        let Some(turn) = course.look(rules, &window, &recent, now) else { return };
        watched.count_anew(counted, now);
        let share = self.spread(&watched);
        let (route, pool, figures) = (&self.route, &self.pool, window.describe());
        match (turn, &watched.course.phase) {
            (Turn::IsAborted, Phase::Aborted { why }) => {
                log::warn!("canary is aborted route={route} pool={pool} share=\"{share}\" why=\"{why}\"");
            }
            (Turn::IsPromoted, _) => {
                log::info!(
                    "canary is promoted route={route} pool={pool} share=\"{share}\" why=\"{figures}\""
                );
            }
            _ => log::info!("canary grows route={route} pool={pool} share=\"{share}\" why=\"{figures}\""),
        }
    }

    /// Has requests spread by the share that the course has come to.
    fn spread(&self, watched: &Watched) -> Share {
        let share = watched.course.share;
        self.share.store(share.hundredths(), Ordering::Relaxed);
        share
    }

    fn counted(&self) -> Window {
        Window { canary: self.canary.read(), others: self.others.read() }
    }
}

impl Watched {
    /// Nothing that was counted by now matters any more.
    fn count_anew(&mut self, counted: Window, now: Instant) {
        self.recent = Recent::begin(counted.clone(), now);
        self.before = counted;
    }

    fn waits_for(&self, window: &Window, now: Instant) -> String {
        let Self { rules, course, .. } = self;
        match window.judge(rules) {
            _ if course.is_paused => "an operator".to_owned(),
            Verdict::TooFew => format!("{} requests on either side", rules.min_requests),
            Verdict::Unclear => "more requests, since it looks worse, which may be chance".to_owned(),
            _ if !course.is_due(rules, now) => format!("the end of {}", rules.every),
            _ => "the next request".to_owned(),
        }
    }
}

impl Recent {
    fn begin(counted: Window, now: Instant) -> Self {
        Self { older: counted.clone(), newer: counted, at: now }
    }

    /// The most recent requests.
    fn pass(&mut self, counted: &Window, now: Instant) -> Window {
        let recent = counted.since(&self.older);
        if now.saturating_duration_since(self.at) >= RECENT {
            self.older = std::mem::replace(&mut self.newer, counted.clone());
            self.at = now;
        }
        recent
    }
}

impl Tally {
    fn count(&self, outcome: Outcome) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if outcome.is_failure {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(latency) = outcome.first_byte {
            self.latencies.count(latency);
        }
    }

    fn read(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            latencies: self.latencies.read(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What another process is told. The requests so far are not: the window begins anew there.
#[derive(Debug, Serialize, Deserialize)]
struct Handed {
    phase: Phase,
    share: Share,
    paused: bool,
}

impl Export for State {
    fn export(&self, _: Instant) -> Vec<u8> {
        let Course { phase, share, is_paused, .. } = self.watched.lock().course.clone();
        // Plain values always serialise.
        serde_json::to_vec(&Handed { phase, share, paused: is_paused }).unwrap_or_default()
    }

    fn import(&mut self, bytes: &[u8], at: Instant) -> Result<(), ImportError> {
        let Handed { phase, share, paused } = serde_json::from_slice(bytes).map_err(ImportError::new)?;
        let share = Share::from_hundredths(share.hundredths());
        let Watched { rules, course, .. } = self.watched.get_mut();
        *course = Course { phase, share, since: at, is_paused: paused };
        // They may not be those that it had there.
        course.come_under(rules, at);
        self.share = AtomicU32::new(course.share.hundredths());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
