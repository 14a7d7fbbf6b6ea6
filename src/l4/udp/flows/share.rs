use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many flows there may be over all sockets of a listener, and how many there are.
#[derive(Debug)]
pub(in crate::l4::udp) struct Seats {
    most: AtomicUsize,
    taken: AtomicUsize,
    vacated: Notify,
}

/// A flow's place in the count, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
}

impl Seats {
    pub(in crate::l4::udp) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: AtomicUsize::new(most), taken: AtomicUsize::new(0), vacated: Notify::new() })
    }

    /// Changes how many there may be. Nobody loses a seat by it.
    pub(in crate::l4::udp) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Whether there are more flows than there may be.
    pub(super) fn are_too_few(&self) -> bool {
        self.taken() > self.most.load(Ordering::Relaxed)
    }

    pub(in crate::l4::udp) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Waits until there are no flows.
    pub(in crate::l4::udp) async fn vacated(&self) {
        loop {
            let vacated = self.vacated.notified();
            if self.taken() == 0 {
                return;
            }
            vacated.await;
        }
    }

    /// A seat, if one is free.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let most = self.most.load(Ordering::Relaxed);
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Seat { seats: self.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.seats.taken.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.seats.vacated.notify_waiters();
        }
    }
}
