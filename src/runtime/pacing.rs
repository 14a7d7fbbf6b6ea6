use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How fast what is written next may go to a client, as filters have said of the pieces of its answer. Who writes to the
/// client keeps to it, piece by piece, so that nothing that was written before waits for what comes after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pacing(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// So that those who are not held up take no lock.
    is_any: AtomicBool,
    holds: Mutex<VecDeque<Left>>,
}

/// When a piece may pass: evenly from a time to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    hold: Hold,
    size: u64,
    left: u64,
}

/// What may pass now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many bytes.
    Bytes(usize),
    /// Nothing before then.
    NotBefore(Instant),
}

/// So much passes at once at least, or whole pieces that are shorter.
const LEAST: u64 = 4 * 1024;
/// And as much as passes in this time, so that nobody is woken for less.
const STEP: Duration = Duration::from_millis(20);

impl Pacing {
    /// Holds the next piece up that is written and was not held up yet.
    pub(crate) fn hold(&self, hold: Hold, size: usize) {
        if size == 0 {
            return;
        }
        let size = size as u64;
        self.0.holds.lock().push_back(Left { hold, size, left: size });
        self.0.is_any.store(true, Ordering::Release);
    }

    /// How much of so many bytes may pass. They count as passed only once that is [told](Self::on_passed).
    pub(crate) fn room(&self, wanted: usize, now: Instant) -> Room {
        if !self.0.is_any.load(Ordering::Acquire) {
            return Room::Bytes(wanted);
        }
        match self.0.holds.lock().front() {
            Some(front) => front.room(wanted, now),
            None => Room::Bytes(wanted),
        }
    }

    /// So many bytes, of those that there was room for, have passed.
    pub(crate) fn on_passed(&self, count: usize) {
        if !self.0.is_any.load(Ordering::Acquire) {
            return;
        }
        let mut holds = self.0.holds.lock();
        let Some(front) = holds.front_mut() else { return };
        front.left = front.left.saturating_sub(count as u64);
        if front.left == 0 {
            holds.pop_front();
        }
        self.0.is_any.store(!holds.is_empty(), Ordering::Release);
    }

    /// The answer is over, whatever was still to pass.
    pub(crate) fn clear(&self) {
        if self.0.is_any.swap(false, Ordering::AcqRel) {
            self.0.holds.lock().clear();
        }
    }
}

impl Left {
    fn room(&self, wanted: usize, now: Instant) -> Room {
        let passed = self.size - self.left;
        let due = |bytes: u64| self.hold.from + self.span().mul_f64(bytes as f64 / self.size as f64);
        let step = if self.span() <= STEP {
            self.size
        } else {
            (self.size as f64 * STEP.as_secs_f64() / self.span().as_secs_f64()) as u64
        };
        let next = passed + self.left.min(step.max(LEAST));
        if now < due(next) {
            return Room::NotBefore(due(next));
        }
        let allowed = if now >= self.hold.until {
            self.size
        } else {
            let share = now.duration_since(self.hold.from).as_secs_f64() / self.span().as_secs_f64();
            ((self.size as f64 * share) as u64).clamp(next, self.size)
        };
        Room::Bytes(wanted.min(usize::try_from(allowed - passed).unwrap_or(usize::MAX)))
    }

    fn span(&self) -> Duration {
        self.hold.until.saturating_duration_since(self.hold.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    /// Lets all pass as soon as it may; when how much had passed.
    fn run(pacing: &Pacing, mut now: Instant, total: usize) -> Vec<(Instant, usize)> {
        let (mut passed, mut steps) = (0, Vec::new());
        while passed < total {
            match pacing.room(total - passed, now) {
                Room::Bytes(count) => {
                    assert!(count > 0);
                    pacing.on_passed(count);
                    passed += count;
                    steps.push((now, passed));
                }
                Room::NotBefore(due) => {
                    assert!(due > now);
                    now = due;
                }
            }
        }
        steps
    }

    #[test]
    fn a_long_piece_passes_evenly_and_not_at_its_end() {
        let (pacing, start) = (Pacing::default(), Instant::now());
        let hold = Hold { from: at(start, 1000), until: at(start, 5000) };
        pacing.hold(hold, 256 * KIB);
        let steps = run(&pacing, start, 256 * KIB);
        assert!(steps.len() >= 60, "{} steps", steps.len());
        for (now, passed) in steps {
            let share = (now - at(start, 1000)).as_secs_f64() / 4.0;
            assert!(passed as f64 <= 256.0 * 1024.0 * share + 1.0, "{passed} after {:?}", now - start);
        }
        assert_eq!(pacing.room(7, start), Room::Bytes(7), "nothing is held up any more");
    }

    #[test]
    fn pieces_pass_one_after_the_other() {
        let (pacing, start) = (Pacing::default(), Instant::now());
        pacing.hold(Hold { from: start, until: start }, 10);
        pacing.hold(Hold { from: start, until: at(start, 100) }, 20);
        assert_eq!(pacing.room(30, start), Room::Bytes(10));
        pacing.on_passed(4);
        assert_eq!(pacing.room(26, start), Room::Bytes(6));
        pacing.on_passed(6);
        assert_eq!(pacing.room(20, start), Room::NotBefore(at(start, 100)), "short ones are not cut");
        assert_eq!(pacing.room(20, at(start, 100)), Room::Bytes(20));
        pacing.clear();
        assert_eq!(pacing.room(20, start), Room::Bytes(20));
    }

    #[test]
    fn who_was_kept_from_writing_makes_up_for_it() {
        let (pacing, start) = (Pacing::default(), Instant::now());
        pacing.hold(Hold { from: start, until: at(start, 1000) }, 100 * KIB);
        assert_eq!(pacing.room(100 * KIB, at(start, 500)), Room::Bytes(50 * KIB));
        assert_eq!(pacing.room(100 * KIB, at(start, 2000)), Room::Bytes(100 * KIB));
    }
}
