use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Who of several lines gets a place next: the line that has had the least of the processor's time, so that a flood in one
/// makes the others wait for one piece of its work at most, and takes from them nothing but their spare time.
///
/// Pure; `W` stands for whoever waits.
pub(super) struct Turns<W> {
    /// Places that nobody has; then nobody waits.
    free: usize,
    most_waiting: usize,
    lines: HashMap<LineId, Line<W>>,
    /// Those in which somebody waits, the next one first.
    waiting: BTreeSet<(Duration, LineId)>,
    /// What the line had had whose turn it was last. One that had nothing to do begins there: what it did not use is not saved up.
    clock: Duration,
}

pub(super) type LineId = u64;

/// What became of somebody who asked for a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It has one, for which its line was charged so much for the time being.
    Place(Duration),
    Waits,
    /// Too many wait in its line.
    Refused,
}

struct Line<W> {
    had: Duration,
    /// How long its last work took, which its next is taken to take until that is known.
    usual: Duration,
    queue: VecDeque<W>,
}

impl<W> Turns<W> {
    pub(super) fn new(places: usize, most_waiting: usize) -> Self {
        let (lines, waiting) = (HashMap::new(), BTreeSet::new());
        Self { free: places, most_waiting, lines, waiting, clock: Duration::ZERO }
    }

    /// Somebody of a line wants a place. Of those who wait, the ones that are `gone` take no room.
    pub(super) fn ask(&mut self, id: LineId, who: W, gone: impl Fn(&W) -> bool) -> Asked {
        let clock = self.clock;
        let line = self.lines.entry(id).or_insert_with(|| Line {
            had: clock,
            usual: Duration::ZERO,
            queue: VecDeque::new(),
        });
        if self.free > 0 {
            self.free -= 1;
            line.had = line.had.max(clock);
            self.clock = line.had;
            return Asked::Place(self.charge(id));
        }
        if line.queue.len() >= self.most_waiting {
            line.queue.retain(|who| !gone(who));
        }
        if line.queue.len() >= self.most_waiting {
            return Asked::Refused;
        }
        if line.queue.is_empty() {
            self.waiting.remove(&(line.had, id));
            line.had = line.had.max(clock);
            self.waiting.insert((line.had, id));
        }
        line.queue.push_back(who);
        Asked::Waits
    }

    /// A place is given back after so much time, for which so much had been charged. Who gets it now, of which line, and what
    /// is charged for that.
    pub(super) fn give_back(
        &mut self,
        id: LineId,
        charged: Duration,
        took: Duration,
        gone: impl Fn(&W) -> bool,
    ) -> Option<(LineId, W, Duration)> {
        self.update(id, |line| {
            line.had = line.had.saturating_sub(charged) + took;
            line.usual = took;
        });
        let next = self.next(gone);
        self.free += usize::from(next.is_none());
        next
    }

    /// Nobody of this line comes any more.
    pub(super) fn forget(&mut self, id: LineId) {
        if let Some(line) = self.lines.remove(&id) {
            self.waiting.remove(&(line.had, id));
        }
    }

    fn next(&mut self, gone: impl Fn(&W) -> bool) -> Option<(LineId, W, Duration)> {
        while let Some((had, id)) = self.waiting.pop_first() {
            let line = self.lines.get_mut(&id)?;
            while let Some(who) = line.queue.pop_front() {
                if !gone(&who) {
                    self.clock = self.clock.max(had);
                    return Some((id, who, self.charge(id)));
                }
            }
        }
        None
    }

    /// Charges a line for work that begins.
    fn charge(&mut self, id: LineId) -> Duration {
        let mut charged = Duration::ZERO;
        self.update(id, |line| {
            charged = line.usual;
            line.had += charged;
        });
        charged
    }

    fn update(&mut self, id: LineId, change: impl FnOnce(&mut Line<W>)) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        self.waiting.remove(&(line.had, id));
        change(line);
        if !line.queue.is_empty() {
            self.waiting.insert((line.had, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Serves so much work, each as long as its line's takes, where both lines always have somebody waiting; how often each
    /// line was served.
    fn shares(places: usize, takes: [Duration; 2], work: usize) -> [usize; 2] {
        let mut turns = Turns::new(places, 4);
        let stays = |_: &()| false;
        // What runs: when it ends, and of whom it is.
        let mut running = BTreeSet::new();
        let mut served = [0; 2];
        let mut number = 0;
        let mut begin = |running: &mut BTreeSet<_>, now: Duration, id: LineId, charged| {
            number += 1;
            running.insert((now + takes[id as usize], number, id, charged));
        };
        for place in 0..places {
            let Asked::Place(charged) = turns.ask(place as u64 % 2, (), stays) else { panic!("no place") };
            begin(&mut running, Duration::ZERO, place as u64 % 2, charged);
        }
        for _ in 0..work {
            for id in 0..2 {
                while turns.ask(id, (), stays) == Asked::Waits {}
            }
            let (now, _, id, charged) = running.pop_first().unwrap();
            served[id as usize] += 1;
            let (next, (), charged) = turns.give_back(id, charged, takes[id as usize], stays).unwrap();
            begin(&mut running, now, next, charged);
        }
        served
    }

    #[test]
    fn each_line_has_the_same_time() {
        for places in [1, 3, 4] {
            let [short, long] = shares(places, [MS, 100 * MS], 10_000);
            let ratio = short as f64 / long as f64;
            assert!((80.0..125.0).contains(&ratio), "{places}: {short} and {long}");
        }
        assert_eq!(shares(1, [MS, MS], 1000), [500, 500]);
    }

    #[test]
    fn a_line_alone_has_all_places_and_is_served_in_order() {
        let (mut turns, stays) = (Turns::new(2, 2), |_: &u32| false);
        let asked = [1, 2, 3, 4, 5].map(|who| turns.ask(7, who, stays));
        let place = Asked::Place(Duration::ZERO);
        assert_eq!(asked, [Asked::Place(Duration::ZERO), place, Asked::Waits, Asked::Waits, Asked::Refused]);
        assert_eq!(turns.give_back(7, Duration::ZERO, MS, stays), Some((7, 3, MS)));
        assert_eq!(turns.ask(8, 9, stays), Asked::Waits, "another line has room of its own");
        assert_eq!(turns.give_back(7, Duration::ZERO, MS, stays), Some((8, 9, Duration::ZERO)));
        assert_eq!(turns.give_back(7, MS, MS, stays), Some((7, 4, MS)));
        assert_eq!(turns.give_back(7, MS, MS, stays), None);
        assert_eq!(turns.give_back(8, Duration::ZERO, MS, stays), None);
        assert_eq!((turns.free, turns.waiting.len()), (2, 0));
    }

    #[test]
    fn those_that_are_gone_take_no_room_and_no_place() {
        let mut turns = Turns::new(1, 2);
        assert_eq!(turns.ask(1, 0, |_| false), Asked::Place(Duration::ZERO));
        for who in [1, 2] {
            assert_eq!(turns.ask(1, who, |_| false), Asked::Waits);
        }
        assert_eq!(turns.ask(1, 3, |who| *who == 1), Asked::Waits);
        assert_eq!(turns.give_back(1, Duration::ZERO, MS, |who| *who == 2), Some((1, 3, MS)));
        assert_eq!(turns.ask(1, 4, |_| false), Asked::Waits);
        assert_eq!(turns.give_back(1, MS, MS, |_| true), None);
        assert_eq!(turns.ask(1, 5, |_| false), Asked::Place(MS));
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let stays = |_: &()| false;
        // One line has a second while the other has nothing to do: by turns, or as one that is alone.
        for waits in [true, false] {
            let mut turns = Turns::new(1, 10);
            let mut charged = Duration::ZERO;
            assert_eq!(turns.ask(1, (), stays), Asked::Place(charged));
            for _ in 0..1000 {
                if waits {
                    assert_eq!(turns.ask(1, (), stays), Asked::Waits);
                    (_, _, charged) = turns.give_back(1, charged, MS, stays).unwrap();
                } else {
                    assert_eq!(turns.give_back(1, charged, MS, stays), None);
                    let Asked::Place(next) = turns.ask(1, (), stays) else { panic!("no place") };
                    charged = next;
                }
            }
            for id in [1, 2] {
                while turns.ask(id, (), stays) == Asked::Waits {}
            }
            let mut running = 1;
            let mut served = Vec::new();
            for _ in 0..10 {
                (running, _, charged) = turns.give_back(running, charged, MS, stays).unwrap();
                served.push(running);
            }
            assert!(served.iter().filter(|&&id| id == 1).count() >= 4, "{served:?}");
        }
    }

    #[test]
    fn a_line_that_is_gone_leaves_nothing() {
        let (mut turns, stays) = (Turns::new(1, 4), |_: &()| false);
        assert_eq!(turns.ask(1, (), stays), Asked::Place(Duration::ZERO));
        assert_eq!(turns.ask(2, (), stays), Asked::Waits);
        turns.forget(2);
        turns.forget(1);
        assert_eq!(turns.give_back(1, Duration::ZERO, MS, stays), None);
        assert_eq!((turns.free, turns.lines.len(), turns.waiting.len()), (1, 0, 0));
    }
}
