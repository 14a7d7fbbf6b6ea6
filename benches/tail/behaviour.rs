use std::{ops::Range, time::Duration};

/// What the odd origin does; times count from the beginning of the scenario.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// The same as all others.
    Even,
    /// Requests that it begins with at these times take longer.
    Slower { factor: u32, within: Range<Duration> },
    /// Between these times nothing goes on, timers that run already included.
    Frozen(Range<Duration>),
    /// Every request fails.
    Failing { after: Duration },
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) at: Duration,
    pub(crate) status: u16,
}

impl Behaviour {
    /// How a request ends that an origin begins with at `start`.
    pub(crate) fn end(&self, start: Duration, cost: Duration) -> End {
        match self {
            Self::Slower { factor, within } if within.contains(&start) => End::good(start + cost * *factor),
            Self::Even | Self::Slower { .. } => End::good(start + cost),
            Self::Frozen(freeze) => End::good(thawed(freeze, start, cost)),
            Self::Failing { after } => End { at: start + *after, status: 503 },
        }
    }
}

impl End {
    fn good(at: Duration) -> Self {
        Self { at, status: 200 }
    }
}

/// When `cost` of work from `start` on is done, if none is done during `freeze`.
fn thawed(freeze: &Range<Duration>, start: Duration, cost: Duration) -> Duration {
    let begun = if freeze.contains(&start) { freeze.end } else { start };
    let done = begun + cost;
    if begun < freeze.start && done > freeze.start { done + (freeze.end - freeze.start) } else { done }
}
