use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::behaviour::{Behaviour, End};

/// Origins behind each balancer.
pub(crate) const ORIGINS: usize = 8;
/// The one that differs: neither first nor last, where some balancers begin.
const ODD: usize = 3;

/// What the origins play at the moment, and what they have seen of it.
#[derive(Debug)]
pub(crate) struct Stage(Mutex<Play>);

#[derive(Debug)]
struct Play {
    begin: Instant,
    behaviour: Behaviour,
    in_flight: usize,
    seen: Seen,
}

/// What came to the origins in one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// By origin, from the beginning of the scenario on; attempts that were given up are among them.
    pub(crate) requests: [u64; ORIGINS],
    /// With those of the time before.
    pub(crate) connections: u64,
    /// How late the timers were.
    pub(crate) late: Vec<Duration>,
}

impl Stage {
    /// All origins alike, until a run begins.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Play::new(Instant::now(), Behaviour::Even)))
    }

    /// Has the odd origin behave like this from `begin` on, and counts anew.
    pub(crate) fn play(&self, begin: Instant, behaviour: Behaviour) {
        *self.0.lock() = Play::new(begin, behaviour);
    }

    pub(crate) fn connected(&self) {
        self.0.lock().seen.connections += 1;
    }

    /// A request came to this origin.
    pub(crate) fn arrived(&self, origin: usize) {
        let mut play = self.0.lock();
        play.in_flight += 1;
        if Instant::now() >= play.begin {
            play.seen.requests[origin] += 1;
        }
    }

    /// When this origin answers a request that it begins with now, and with which status.
    pub(crate) fn begin(&self, origin: usize, cost: Duration) -> (Instant, u16) {
        let play = self.0.lock();
        let now = Instant::now();
        let Some(start) = now.checked_duration_since(play.begin).filter(|_| origin == ODD) else {
            return (now + cost, 200);
        };
        let End { at, status } = play.behaviour.end(start, cost);
        (play.begin + at, status)
    }

    /// A request that was to be answered at `due` is answered now.
    pub(crate) fn answered(&self, due: Instant) {
        let mut play = self.0.lock();
        play.in_flight -= 1;
        play.seen.late.push(due.elapsed());
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.lock().in_flight == 0
    }

    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().seen.clone()
    }
}

impl Play {
    fn new(begin: Instant, behaviour: Behaviour) -> Self {
        Self { begin, behaviour, in_flight: 0, seen: Seen::default() }
    }
}

impl Seen {
    /// The share of the odd origin, from 0 to 1.
    pub(crate) fn odd_share(&self) -> f64 {
        self.requests[ODD] as f64 / self.requests.iter().sum::<u64>().max(1) as f64
    }
}
