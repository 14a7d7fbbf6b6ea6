use parking_lot::Mutex;
use tokio::time::Instant;

/// Whether a connection waits for its client, and since when: where places are short, the one that has waited longest has to
/// give its own to others.
#[derive(Debug)]
pub(crate) struct Waiting(Mutex<Since>);

#[derive(Clone, Copy, Debug)]
struct Since {
    /// No whole request has come since; `None` while one is answered.
    no_request: Option<Instant>,
    /// The client takes nothing of its answer since.
    not_taken: Option<Instant>,
}

impl Waiting {
    /// That of a connection that was accepted just now.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Since { no_request: Some(now), not_taken: None }))
    }

    /// A request has come, or its body.
    pub(crate) fn note_request(&self) {
        self.0.lock().no_request = None;
    }

    /// Only its header has come, and the body is waited for.
    pub(crate) fn note_body_awaited(&self, now: Instant) {
        self.0.lock().no_request = Some(now);
    }

    /// It is answered, and the next one is waited for.
    pub(crate) fn note_answered(&self, now: Instant) {
        self.0.lock().no_request = Some(now);
    }

    /// The client takes nothing at the moment.
    pub(crate) fn note_not_taken(&self, now: Instant) {
        self.0.lock().not_taken.get_or_insert(now);
    }

    /// It has taken something.
    pub(crate) fn note_taken(&self) {
        self.0.lock().not_taken = None;
    }

    /// Since when; `None` while the client waits for its answer.
    pub(crate) fn since(&self) -> Option<Instant> {
        let Since { no_request, not_taken } = *self.0.lock();
        no_request.into_iter().chain(not_taken).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_is_waited_for_until_it_asks_and_where_it_takes_nothing() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let waiting = Waiting::new(now);
        assert_eq!(waiting.since(), Some(now));
        waiting.note_request();
        assert_eq!(waiting.since(), None);
        waiting.note_not_taken(later(1));
        waiting.note_not_taken(later(2));
        assert_eq!(waiting.since(), Some(later(1)));
        // All of it may be on its way before anything is taken.
        waiting.note_answered(later(3));
        assert_eq!(waiting.since(), Some(later(1)));
        waiting.note_taken();
        assert_eq!(waiting.since(), Some(later(3)));
    }
}
