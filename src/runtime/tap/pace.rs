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

    /// Whether there may be another one.
    pub(crate) fn permits(&self, now: Instant) -> bool {
        let mut second = self.second.lock();
        match &mut *second {
            Some((began, count)) if now.saturating_duration_since(*began) < Duration::from_secs(1) => {
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
}
