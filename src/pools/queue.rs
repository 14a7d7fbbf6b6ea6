use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::spec::QueueSpec;

use super::lease::Lease;

/// Requests that wait for an endpoint to have room, the oldest first. It outlives the generations of its pool.
///
/// Whoever ends a request hands its place over to the first that waits, so that nobody who comes later can take it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// How many wait; read without the lock by all requests.
    waiting: AtomicUsize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    place: oneshot::Sender<Lease>,
}

/// Why a request that waited, or wanted to, got no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// As many wait as may.
    Full,
    /// No place became free in time.
    TimedOut,
}

/// A request's place in the line, which it leaves however it ends.
struct Place<'q> {
    queue: &'q Queue,
    ticket: u64,
}

impl Queue {
    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Waits for a place, within the `limits` of the request's own configuration. `pick` is asked once more when the
    /// request stands in line, since a place may have become free before it did.
    pub(super) async fn wait(
        &self,
        limits: &QueueSpec,
        pick: impl FnOnce() -> Option<Lease>,
    ) -> Result<Lease, QueueError> {
        let (sender, receiver) = oneshot::channel();
        let place = self.join(limits.size, sender)?;
        // Who stands behind others must not pass them.
        if place.is_first()
            && let Some(lease) = pick()
        {
            return Ok(lease);
        }
        match tokio::time::timeout(limits.timeout.get(), receiver).await {
            Ok(Ok(lease)) => {
                lease.endpoint().load().note_pick(Instant::now());
                Ok(lease)
            }
            // The other end is in the line, which this request's place keeps it in.
            Ok(Err(_)) | Err(_) => Err(QueueError::TimedOut),
        }
    }

    fn join(&self, size: u32, place: oneshot::Sender<Lease>) -> Result<Place<'_>, QueueError> {
        let mut line = self.line.lock();
        if line.waiters.len() as u64 >= u64::from(size) {
            return Err(QueueError::Full);
        }
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiters.push_back(Waiter { ticket, place });
        self.waiting.store(line.waiters.len(), Ordering::SeqCst);
        Ok(Place { queue: self, ticket })
    }

    /// Gives a lease to the first that waits; back it comes when nobody does.
    pub(super) fn hand_over(&self, mut lease: Lease) -> Result<(), Lease> {
        loop {
            let first = {
                let mut line = self.line.lock();
                let first = line.waiters.pop_front();
                self.waiting.store(line.waiters.len(), Ordering::SeqCst);
                first
            };
            let Some(waiter) = first else { return Err(lease) };
            match waiter.place.send(lease) {
                Ok(()) => return Ok(()),
                // It gave up at this very moment; the next one is asked.
                Err(back) => lease = back,
            }
        }
    }
}

impl Place<'_> {
    fn is_first(&self) -> bool {
        self.queue.line.lock().waiters.front().is_some_and(|first| first.ticket == self.ticket)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = self.queue.line.lock();
        // Tickets rise along the line. Whoever was handed a place stands in it no more.
        if let Ok(index) = line.waiters.binary_search_by_key(&self.ticket, |waiter| waiter.ticket) {
            line.waiters.remove(index);
            self.queue.waiting.store(line.waiters.len(), Ordering::SeqCst);
        }
    }
}
