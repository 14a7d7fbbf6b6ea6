use std::collections::VecDeque;

use crate::control::Command;
use crate::runtime::{Recent, Sample, TransitionStatus};

/// How the process did lately, and what has changed, as it tells itself.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Whose it is.
    process: u32,
    /// The oldest first.
    samples: VecDeque<Sample>,
    /// The newest first.
    changes: VecDeque<TransitionStatus>,
}

/// How much of it was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    process: u32,
    sample: u64,
    transition: u64,
}

/// A quarter of an hour.
const MOST_SAMPLES: usize = 900;
/// As many as a process keeps.
const MOST_CHANGES: usize = 256;

impl History {
    /// Goes by this process from now on; another may count anew, and tells all that it knows again.
    pub(super) fn follow(&mut self, process: u32) {
        if self.process != process {
            *self = Self { process, ..Self::default() };
        }
    }

    /// Takes in what came after what was known.
    pub(super) fn add(&mut self, recent: Recent) {
        let last = self.samples.back().map_or(0, |sample| sample.at_ms);
        self.samples.extend(recent.samples.into_iter().filter(|sample| sample.at_ms > last));
        let surplus = self.samples.len().saturating_sub(MOST_SAMPLES);
        self.samples.drain(..surplus);
        for change in recent.transitions {
            if self.changes.front().is_none_or(|last| last.number < change.number) {
                self.changes.push_front(change);
            }
        }
        self.changes.truncate(MOST_CHANGES);
    }

    pub(super) fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample> + ExactSizeIterator {
        self.samples.iter()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &TransitionStatus> {
        self.changes.iter()
    }
}

impl Told {
    /// What to ask this process for, of which nothing is known yet if it is another one.
    pub(super) fn question(&mut self, process: u32) -> Command {
        if self.process != process {
            *self = Self { process, ..Self::default() };
        }
        Command::Recent { sample: self.sample, transition: self.transition }
    }

    pub(super) fn note(&mut self, recent: &Recent) {
        self.sample = recent.samples.last().map_or(self.sample, |sample| sample.at_ms);
        self.transition = recent.transitions.last().map_or(self.transition, |change| change.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::{change, sample};

    fn recent() -> Recent {
        Recent {
            samples: vec![sample(1000, 5.0), sample(2000, 7.0)],
            transitions: vec![change(1, "fit"), change(2, "unfit")],
        }
    }

    #[test]
    fn what_was_told_is_not_asked_for_again_but_of_another_process() {
        let mut told = Told::default();
        assert_eq!(told.question(42), Command::Recent { sample: 0, transition: 0 });
        told.note(&recent());
        told.note(&Recent::default());
        assert_eq!(told.question(42), Command::Recent { sample: 2000, transition: 2 });
        assert_eq!(told.question(43), Command::Recent { sample: 0, transition: 0 });
    }

    #[test]
    fn what_is_told_twice_is_there_once() {
        let mut history = History::default();
        history.follow(42);
        for _ in 0..2 {
            history.add(recent());
        }
        assert_eq!(history.samples().map(|sample| sample.requests_per_s).collect::<Vec<_>>(), [5.0, 7.0]);
        assert_eq!(history.changes().map(|change| change.number).collect::<Vec<_>>(), [2, 1]);
        history.follow(42);
        assert_eq!(history.samples().len(), 2);
        history.follow(43);
        assert_eq!((history.samples().len(), history.changes().count()), (0, 0));
    }

    #[test]
    fn no_more_is_kept_than_a_process_tells() {
        let mut history = History::default();
        for second in 1..2000 {
            history.add(Recent {
                samples: vec![sample(second * 1000, 1.0)],
                transitions: vec![change(second, "fit")],
            });
        }
        assert_eq!((history.samples().len(), history.changes().count()), (MOST_SAMPLES, MOST_CHANGES));
        assert_eq!(history.changes().next().unwrap().number, 1999);
    }
}
