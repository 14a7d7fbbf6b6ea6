use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many in each span of time, which begins with the first one in it.
#[derive(Debug)]
pub(crate) struct Pace {
    most: u32,
    span: Duration,
    /// When the running span began, and how many it had.
    running: Mutex<Option<(Instant, u32)>>,
}

impl Pace {
    pub(crate) fn a_second(most: u32) -> Self {
        Self::new(most, Duration::from_secs(1))
    }

    pub(crate) fn a_minute(most: u32) -> Self {
        Self::new(most, Duration::from_secs(60))
    }

    fn new(most: u32, span: Duration) -> Self {
        Self { most, span, running: Mutex::new(None) }
    }

    /// Whether there may be another one, as far as that is known by now. Counts none.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        let running = *self.running.lock();
        running.is_none_or(|(began, count)| !self.is_of(began, now) || count < self.most)
    }

    /// Whether there may be another one.
    pub(crate) fn permits(&self, now: Instant) -> bool {
        let mut running = self.running.lock();
        match &mut *running {
            Some((began, count)) if self.is_of(*began, now) => {
                *count = count.saturating_add(1);
                *count <= self.most
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }

    /// Whether a moment is of the span that began then.
    fn is_of(&self, began: Instant, now: Instant) -> bool {
        now.saturating_duration_since(began) < self.span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_its_own() {
        let (pace, start) = (Pace::a_second(2), Instant::now());
        let permits = |millis| pace.permits(start + Duration::from_millis(millis));
        assert_eq!([0, 10, 20, 999].map(permits), [true, true, false, false]);
        assert_eq!([1000, 1900, 1999, 2000].map(permits), [true, true, false, true]);
    }

    #[test]
    fn whoever_asks_for_room_takes_none() {
        let (pace, start) = (Pace::a_second(1), Instant::now());
        let has_room = |millis| pace.has_room(start + Duration::from_millis(millis));
        assert!(has_room(0) && has_room(0) && pace.permits(start));
        assert_eq!([0, 999, 1000].map(has_room), [false, false, true]);
    }
}
