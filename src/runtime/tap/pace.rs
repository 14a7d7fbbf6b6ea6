use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many a second, counted from the first one on.
#[derive(Debug)]
pub(crate) struct Pace {
    most: u32,
    /// When the running second began, and how many it had.
    second: Mutex<Option<(Instant, u32)>>,
}

impl Pace {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, second: Mutex::new(None) }
    }

    /// Whether there may be another one, as far as that is known by now. Counts none.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        let second = *self.second.lock();
        second.is_none_or(|(began, count)| !is_of(began, now) || count < self.most)
    }

    /// Whether there may be another one.
    pub(crate) fn permits(&self, now: Instant) -> bool {
        let mut second = self.second.lock();
        match &mut *second {
            Some((began, count)) if is_of(*began, now) => {
                *count = count.saturating_add(1);
                *count <= self.most
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }
}

/// Whether a moment is of the second that began then.
fn is_of(began: Instant, now: Instant) -> bool {
    now.saturating_duration_since(began) < Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own() {
        let (pace, start) = (Pace::new(2), Instant::now());
        let permits = |millis| pace.permits(start + Duration::from_millis(millis));
        assert_eq!([0, 10, 20, 999].map(permits), [true, true, false, false]);
        assert_eq!([1000, 1900, 1999, 2000].map(permits), [true, true, false, true]);
    }

    #[test]
    fn whoever_asks_for_room_takes_none() {
        let (pace, start) = (Pace::new(1), Instant::now());
        let has_room = |millis| pace.has_room(start + Duration::from_millis(millis));
        assert!(has_room(0) && has_room(0) && pace.permits(start));
        assert_eq!([0, 999, 1000].map(has_room), [false, false, true]);
    }
}
