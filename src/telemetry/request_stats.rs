use std::time::Duration;

use http::StatusCode;

use super::histogram::Histogram;
use super::last_minute::{Latencies, Minute, Turn};
use crate::types::Counter;

/// What requests of one kind came to since the process began. Counting takes no lock; what is read of it is no moment's
/// picture, since others count meanwhile, but each count is right.
#[derive(Debug, Default)]
pub(crate) struct RequestStats {
    begun: Counter,
    ended: Counter,
    /// By class of status; at zero those that had no answer.
    classes: [Counter; CLASSES],
    received: Counter,
    sent: Counter,
    latencies: Latencies,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedRequest {
    /// None where its client was gone before its answer.
    pub(crate) status: Option<StatusCode>,
    /// From its header to the last byte of its answer.
    pub(crate) took: Duration,
    /// Bytes of its body.
    pub(crate) received: u64,
    /// Bytes of its answer's body.
    pub(crate) sent: u64,
}

/// Classes of statuses, with the one of no status.
const CLASSES: usize = 6;
/// Their names, as labels of metrics.
pub(crate) const CLASS_NAMES: [&str; CLASSES] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl RequestStats {
    /// Counts a request in. Whoever does so calls [`leave`](Self::leave) once, however it ends.
    pub(crate) fn enter(&self) {
        self.begun.count();
    }

    pub(crate) fn leave(&self) {
        self.ended.count();
    }

    /// Counts what a request came to.
    pub(crate) fn count(&self, request: &EndedRequest) {
        self.classes[class(request.status)].count();
        // Most have no body, and a count that is not written stays in everybody's cache.
        if request.received > 0 {
            self.received.add(request.received);
        }
        if request.sent > 0 {
            self.sent.add(request.sent);
        }
        self.latencies.count(request.took);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        // In this order, so that no request is seen to end that was not seen to begin.
        let ended = self.ended.get();
        self.begun.get().saturating_sub(ended)
    }

    /// How many ended, by class of status.
    pub(crate) fn by_class(&self) -> [u64; CLASSES] {
        self.classes.each_ref().map(Counter::get)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// How long they took.
    pub(crate) fn latencies(&self) -> Histogram {
        self.latencies.read()
    }

    /// How long those of the last minute took.
    pub(crate) fn last_minute(&self) -> Minute {
        self.latencies.last_minute()
    }

    pub(crate) fn turn(&self, turn: Turn) {
        self.latencies.turn(turn);
    }
}

/// The class of a status, as an index of [`CLASS_NAMES`].
fn class(status: Option<StatusCode>) -> usize {
    status.map_or(0, |status| usize::from(status.as_u16() / 100).min(CLASSES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_came_to() {
        let stats = RequestStats::default();
        let ended = |status: Option<u16>, sent| EndedRequest {
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            took: Duration::from_millis(20),
            received: 3,
            sent,
        };
        (0..5).for_each(|_| stats.enter());
        for request in [ended(Some(200), 10), ended(Some(204), 0), ended(Some(503), 7), ended(None, 0)] {
            stats.count(&request);
            stats.leave();
        }
        assert_eq!(stats.by_class(), [1, 0, 2, 0, 0, 1]);
        assert_eq!((stats.in_flight(), stats.received(), stats.sent()), (1, 12, 17));
        assert_eq!(stats.latencies().len(), 4);
    }

    #[test]
    fn a_status_beyond_the_known_classes_is_of_the_last() {
        let class = |status| CLASS_NAMES[class(Some(StatusCode::from_u16(status).unwrap()))];
        assert_eq!(
            [101, 200, 304, 499, 599, 600, 999].map(class),
            ["1xx", "2xx", "3xx", "4xx", "5xx", "5xx", "5xx"]
        );
    }
}
