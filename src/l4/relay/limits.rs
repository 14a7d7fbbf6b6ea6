use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::End;

/// How long connections may rest, and live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayLimits {
    /// Without a byte in either direction.
    pub(crate) idle: Duration,
    pub(crate) lifetime: Option<Duration>,
}

/// Watches over both limits of a connection with one timer, which is set anew only when it has fired: what passes in
/// between costs a look at the clock.
pub(super) struct Watch {
    idle: Duration,
    over: Option<Instant>,
    last: Instant,
    /// Boxed, since a timer must not move and the relay should.
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    pub(super) fn new(limits: RelayLimits) -> Self {
        let now = Instant::now();
        let over = limits.lifetime.map(|lifetime| now + lifetime);
        let first = next(now + limits.idle, over);
        Self { idle: limits.idle, over, last: now, timer: Box::pin(sleep_until(first)) }
    }

    /// A byte passed.
    pub(super) fn moved(&mut self) {
        self.last = Instant::now();
    }

    /// Whether so little passes that the connection can be taken for one between two messages.
    pub(super) fn rests(&self) -> bool {
        self.last.elapsed() >= REST.min(self.idle)
    }

    /// Ready once a limit is reached.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.over.is_some_and(|over| now >= over) {
                return Poll::Ready(End::LifetimeOver);
            }
            let rested = self.last + self.idle;
            if now >= rested {
                return Poll::Ready(End::IdleTimeout);
            }
            self.timer.as_mut().reset(next(rested, self.over));
        }
    }
}

fn next(rested: Instant, over: Option<Instant>) -> Instant {
    over.map_or(rested, |over| over.min(rested))
}

/// Longer than streams pause in the midst of what they say.
const REST: Duration = Duration::from_secs(1);
