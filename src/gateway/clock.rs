use std::time::Duration;

use pingora_proxy::Session;
use tokio::time::Instant;

use crate::runtime::Cause;

use super::cx::RequestCx;

/// Until when the session of an HTTP/2 client waits, for its client and for the endpoint alike.
///
/// Both loops of Pingora wait on the session as long as they wait at all, so that its limit can keep all of ours, exactly
/// and without touching a connection that others share. The session learns of each that begins by [`wind`]; after the
/// whole answer it has a limit of its own.
#[derive(Debug)]
pub(super) struct Clock {
    limits: Limits,
    /// When the client has paused for too long, or sent too little, in its body.
    body: Option<Instant>,
    /// When the endpoint has been silent for too long.
    answer: Option<Instant>,
    /// When the request's total is used up.
    total: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// For a pause in the body.
    pub(super) body: Option<Duration>,
    /// For the silence of the endpoint within its answer; `None` where its own connection is watched.
    pub(super) answer: Option<Duration>,
    /// For everything, from now on.
    pub(super) total: Option<Duration>,
}

impl Clock {
    pub(super) fn start(limits: Limits, now: Instant) -> Self {
        let due = |limit: Option<Duration>| limit.map(|limit| now + limit);
        Self { limits, body: due(limits.body), answer: None, total: due(limits.total) }
    }

    /// A piece of the body came; at `paced` too little will have come, unless more does.
    pub(super) fn on_request_data(&mut self, paced: Option<Instant>, now: Instant) {
        self.body =
            self.limits.body.map(|idle| now + idle).map(|due| paced.map_or(due, |paced| paced.min(due)));
    }

    /// The request has ended, and the wait for the head of its answer begins.
    pub(super) fn on_request_end(&mut self, head: Duration, now: Instant) {
        self.body = None;
        if self.limits.answer.is_some() && self.answer.is_none() {
            self.answer = Some(now + head);
        }
    }

    /// The head of the answer came, or a piece of it.
    pub(super) fn on_answer(&mut self, now: Instant) {
        self.answer = self.limits.answer.map(|idle| now + idle);
    }

    /// Nothing is waited for meanwhile.
    pub(super) fn on_pause(&mut self, pause: Duration) {
        for due in [&mut self.body, &mut self.answer, &mut self.total].into_iter().flatten() {
            *due += pause;
        }
    }

    /// The answer goes on for as long as its client listens.
    pub(super) fn lift_total(&mut self) {
        self.total = None;
    }

    /// Which limit has passed.
    pub(super) fn expired(&self, now: Instant) -> Option<Cause> {
        let has_passed = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if has_passed(self.total) {
            Some(Cause::TotalTimeout)
        } else if has_passed(self.answer) {
            Some(Cause::ResponseTimeout)
        } else {
            has_passed(self.body).then_some(Cause::BodyTimeout)
        }
    }

    /// What is left until the first limit passes.
    fn left(&self, now: Instant) -> Option<Duration> {
        let next = [self.body, self.answer, self.total].into_iter().flatten().min();
        next.map(|due| due.saturating_duration_since(now))
    }
}

/// Tells the session how long it may wait, after something has come. Clients of HTTP/1 have no clock.
pub(super) fn wind(session: &mut Session, cx: &RequestCx, now: Instant) {
    if let Some(clock) = &cx.clock {
        session.as_downstream_mut().set_read_timeout(clock.left(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        body: Some(Duration::from_secs(5)),
        answer: Some(Duration::from_secs(2)),
        total: Some(Duration::from_secs(60)),
    };

    /// A time so many seconds later.
    fn at(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn the_client_may_pause_and_then_the_endpoint() {
        let now = Instant::now();
        let mut clock = Clock::start(LIMITS, now);
        clock.on_request_data(None, at(now, 4));
        assert_eq!(clock.expired(at(now, 8)), None);
        assert_eq!(clock.expired(at(now, 9)), Some(Cause::BodyTimeout));
        clock.on_request_end(Duration::from_secs(10), at(now, 8));
        assert_eq!(clock.expired(at(now, 17)), None);
        assert_eq!(clock.expired(at(now, 18)), Some(Cause::ResponseTimeout));
        clock.on_answer(at(now, 17));
        assert_eq!(clock.left(at(now, 17)), Some(Duration::from_secs(2)));
        assert_eq!(clock.expired(at(now, 19)), Some(Cause::ResponseTimeout));
    }

    #[test]
    fn a_body_that_drips_is_due_before_it_pauses() {
        let now = Instant::now();
        let mut clock = Clock::start(LIMITS, now);
        clock.on_request_data(Some(at(now, 3)), now);
        assert_eq!(clock.expired(at(now, 3)), Some(Cause::BodyTimeout));
        clock.on_request_data(Some(at(now, 30)), now);
        assert_eq!(clock.expired(at(now, 4)), None);
    }

    #[test]
    fn an_early_answer_does_not_wait_for_its_request() {
        let now = Instant::now();
        let mut clock = Clock::start(LIMITS, now);
        clock.on_answer(now);
        clock.on_request_end(Duration::from_secs(10), at(now, 1));
        assert_eq!(clock.expired(at(now, 2)), Some(Cause::ResponseTimeout));
    }

    #[test]
    fn the_total_ends_everything_that_has_one() {
        let now = Instant::now();
        let mut clock = Clock::start(LIMITS, now);
        clock.on_answer(at(now, 60));
        assert_eq!(clock.expired(at(now, 60)), Some(Cause::TotalTimeout));
        clock.lift_total();
        assert_eq!(clock.expired(at(now, 61)), Some(Cause::BodyTimeout));
    }

    #[test]
    fn a_pause_moves_every_limit_that_runs() {
        let now = Instant::now();
        let mut clock = Clock::start(LIMITS, now);
        clock.on_answer(now);
        clock.on_pause(Duration::from_secs(100));
        assert_eq!(clock.expired(at(now, 101)), None);
        assert_eq!(clock.left(now), Some(Duration::from_secs(102)));
        assert_eq!(clock.expired(at(now, 102)), Some(Cause::ResponseTimeout));
        clock.on_answer(at(now, 160));
        assert_eq!(clock.expired(at(now, 160)), Some(Cause::TotalTimeout));
    }

    #[test]
    fn a_watched_endpoint_has_no_limit_here() {
        let now = Instant::now();
        let mut clock = Clock::start(Limits { body: LIMITS.body, ..Limits::default() }, now);
        clock.on_request_end(Duration::from_secs(10), now);
        clock.on_answer(now);
        assert_eq!(clock.left(now), None);
    }
}
