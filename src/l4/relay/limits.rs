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
    /// When the owner wants to have a look at its connections.
    look: Option<Instant>,
    /// Boxed, since a timer must not move and the relay should.
    timer: Pin<Box<Sleep>>,
}

/// What the watch wakes its owner for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// A limit is reached.
    Limit(End),
    /// It is time for the look that was wanted.
    Look,
}

impl Watch {
    /// The first look is wanted after [`LOOK`].
    pub(super) fn new(limits: RelayLimits) -> Self {
        let now = Instant::now();
        let over = limits.lifetime.map(|lifetime| now + lifetime);
        let (idle, look) = (limits.idle, Some(now + LOOK));
        let first = earliest(now + idle, over, look);
        Self { idle, over, last: now, look, timer: Box::pin(sleep_until(first)) }
    }

    /// A byte passed.
    pub(super) fn moved(&mut self) {
        self.last = Instant::now();
    }

    /// Whether so little passes that the connection can be taken for one between two messages.
    pub(super) fn rests(&self) -> bool {
        self.last.elapsed() >= REST.min(self.idle)
    }

    /// Has the owner look again in a while.
    pub(super) fn look_again(&mut self) {
        if self.look.is_none() {
            self.look = Some(Instant::now() + LOOK);
            self.timer.as_mut().reset(earliest(self.last + self.idle, self.over, self.look));
        }
    }

    /// Ready once there is something to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Alarm> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.over.is_some_and(|over| now >= over) {
                return Poll::Ready(Alarm::Limit(End::LifetimeOver));
            }
            let rested = self.last + self.idle;
            if now >= rested {
                return Poll::Ready(Alarm::Limit(End::IdleTimeout));
            }
            let is_look = self.look.is_some_and(|look| now >= look);
            if is_look {
                self.look = None;
            }
            self.timer.as_mut().reset(earliest(rested, self.over, self.look));
            if is_look {
                return Poll::Ready(Alarm::Look);
            }
        }
    }
}

fn earliest(rested: Instant, over: Option<Instant>, look: Option<Instant>) -> Instant {
    [over, look].into_iter().flatten().fold(rested, Instant::min)
}

/// How long a connection goes on between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Longer than streams pause in the midst of what they say.
const REST: Duration = Duration::from_secs(1);
