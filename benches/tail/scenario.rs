use std::time::Duration;

use clap::ValueEnum;

use crate::behaviour::Behaviour;

/// How often a request of `slow-requests` is slow, and how much.
const SLOW_SHARE: f64 = 0.2;
const SLOW_FACTOR: u32 = 10;
/// How long the odd origin stands still in `pause`.
const PAUSE: Duration = Duration::from_secs(3);

/// What happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    Uniform,
    OneSlow,
    SlowRequests,
    BrownOut,
    Pause,
    FastFail,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::OneSlow => "one-slow",
            Self::SlowRequests => "slow-requests",
            Self::BrownOut => "brown-out",
            Self::Pause => "pause",
            Self::FastFail => "fast-fail",
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Uniform => "all origins are alike",
            Self::OneSlow => "one origin takes 20 times as long for each request",
            Self::SlowRequests => "one request in five takes 10 times as long, whichever origin it goes to",
            Self::BrownOut => "one origin takes 80 times as long during the second quarter of the run",
            Self::Pause => {
                "one origin stands still for 3 s in the middle: it accepts and reads, but answers nothing"
            }
            Self::FastFail => "one origin answers 503 after 1 ms",
        }
    }

    /// What the cost of a request is multiplied by, whichever origin it goes to; `draw` is from 0 to 1.
    pub(crate) fn factor(self, draw: f64) -> u32 {
        match self {
            Self::SlowRequests if draw < SLOW_SHARE => SLOW_FACTOR,
            _ => 1,
        }
    }

    /// What the odd origin does in a run that is `span` long.
    pub(crate) fn behaviour(self, span: Duration) -> Behaviour {
        match self {
            Self::Uniform | Self::SlowRequests => Behaviour::Even,
            Self::OneSlow => Behaviour::Slower { factor: 20, within: Duration::ZERO..Duration::MAX },
            Self::BrownOut => Behaviour::Slower { factor: 80, within: span / 4..span / 2 },
            Self::Pause => {
                let from = span.saturating_sub(PAUSE) / 2;
                Behaviour::Frozen(from..from + PAUSE)
            }
            Self::FastFail => Behaviour::Failing { after: Duration::from_millis(1) },
        }
    }
}
