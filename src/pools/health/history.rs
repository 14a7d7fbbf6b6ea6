use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// The last probes of an endpoint, for display.
#[derive(Debug, Default)]
pub(in crate::pools) struct History {
    /// The oldest first.
    results: Mutex<VecDeque<ProbeResult>>,
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    /// When it ended.
    pub(crate) at: SystemTime,
    pub(crate) passed: bool,
    pub(crate) took: Duration,
    /// What was answered, or why nothing was: `200 OK`, `connection refused`.
    pub(crate) reason: String,
}

/// So many probes are remembered.
const LENGTH: usize = 10;

impl History {
    pub(in crate::pools) fn note(&self, result: ProbeResult) {
        let mut results = self.results.lock();
        if results.len() == LENGTH {
            results.pop_front();
        }
        results.push_back(result);
    }

    /// Goes on from what was found before; of more than are remembered, the last.
    pub(in crate::pools) fn set(&self, results: impl DoubleEndedIterator<Item = ProbeResult>) {
        let mut last: VecDeque<_> = results.rev().take(LENGTH).collect();
        last.make_contiguous().reverse();
        *self.results.lock() = last;
    }

    /// The results so far, the oldest first.
    pub(in crate::pools) fn snapshot(&self) -> Vec<ProbeResult> {
        self.results.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_are_kept_in_order() {
        let history = History::default();
        for second in 0..25 {
            history.note(ProbeResult {
                at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
                passed: second % 2 == 0,
                took: Duration::from_millis(second),
                reason: second.to_string(),
            });
        }
        let reasons: Vec<_> = history.snapshot().into_iter().map(|result| result.reason).collect();
        assert_eq!(reasons, ["15", "16", "17", "18", "19", "20", "21", "22", "23", "24"]);
    }
}
