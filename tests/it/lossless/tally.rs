use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many failures are told in full.
const TOLD: usize = 5;

/// What became of the requests, or messages, of all clients of one kind.
pub(super) struct Tally {
    kind: &'static str,
    begun: Instant,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Successes, and parts of what takes longer.
    steps: u64,
    successes: u64,
    repeated: u64,
    failures: Vec<Failure>,
    /// When something last went well.
    last: Option<Instant>,
    gap: Gap,
}

struct Failure {
    after: Duration,
    text: String,
}

/// The longest time in which nothing went well.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct Gap {
    pub(super) length: Duration,
    /// When it ended, from the beginning.
    after: Duration,
}

impl Tally {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, begun: Instant::now(), kept: Mutex::default() }
    }

    pub(super) fn note(&self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.success(),
            Err(text) => self.failure(text),
        }
    }

    pub(super) fn success(&self) {
        self.progress();
        self.kept.lock().successes += 1;
    }

    /// A part of something longer went well.
    pub(super) fn progress(&self) {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        kept.steps += 1;
        if let Some(last) = kept.last.replace(now) {
            let gap = Gap { length: now - last, after: now - self.begun };
            kept.gap = if gap.length > kept.gap.length { gap } else { kept.gap };
        }
    }

    pub(super) fn failure(&self, text: String) {
        self.kept.lock().failures.push(Failure { after: self.begun.elapsed(), text });
    }

    /// A request was sent again, by a client that was told that nobody had begun with it.
    pub(super) fn repeated(&self) {
        self.kept.lock().repeated += 1;
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn successes(&self) -> u64 {
        self.kept.lock().successes
    }

    pub(super) fn steps(&self) -> u64 {
        self.kept.lock().steps
    }

    pub(super) fn failures(&self) -> usize {
        self.kept.lock().failures.len()
    }

    pub(super) fn gap(&self) -> Gap {
        self.kept.lock().gap
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} ms after {:.2} s", self.length.as_millis(), self.after.as_secs_f64())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { successes, repeated, failures, gap, .. } = &*self.kept.lock();
        let counts = format!("{successes:>7} good {:>3} failed {repeated:>3} repeated", failures.len());
        write!(f, "{:<14}{counts}, longest gap {gap}", self.kind)?;
        for Failure { after, text } in failures.iter().take(TOLD) {
            write!(f, "\n    after {:.3} s: {text}", after.as_secs_f64())?;
        }
        Ok(())
    }
}
