//! Whose place goes to somebody else where there are no more: clients that say nothing, or take nothing, are not to keep the
//! health checks away.

use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::runtime::Waiting;

/// The connections that have a place, each with what gives it back. There are no more than places.
#[derive(Debug)]
pub(super) struct Seats<P>(Mutex<Vec<Taken<P>>>);

#[derive(Debug)]
struct Taken<P> {
    waiting: Arc<Waiting>,
    _place: P,
    /// Is dropped with the place.
    _stays: oneshot::Sender<Infallible>,
}

/// The place of one connection, until this is dropped or the place is given to another.
pub(super) struct Seat<P> {
    seats: Arc<Seats<P>>,
    pub(super) waiting: Arc<Waiting>,
    given_away: oneshot::Receiver<Infallible>,
}

impl<P> Default for Seats<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P> Seats<P> {
    /// Keeps the place of a connection that was accepted just now.
    pub(super) fn keep(self: &Arc<Self>, place: P, now: Instant) -> Seat<P> {
        let waiting = Arc::new(Waiting::new(now));
        let (stays, given_away) = oneshot::channel();
        self.0.lock().push(Taken { waiting: waiting.clone(), _place: place, _stays: stays });
        Seat { seats: self.clone(), waiting, given_away }
    }

    /// Ends the connection that has waited longest for its client, and gives its place back; `false` where none waits.
    pub(super) fn free_one(&self) -> bool {
        let mut taken = self.0.lock();
        let waiting = taken.iter().enumerate().filter_map(|(at, one)| Some((one.waiting.since()?, at)));
        let Some((_, longest)) = waiting.min() else { return false };
        taken.swap_remove(longest);
        true
    }
}

impl<P> Seat<P> {
    /// Resolves once another has the place.
    pub(super) async fn given_away(&mut self) {
        // Nothing is ever sent.
        let Err(_) = (&mut self.given_away).await;
    }
}

impl<P> Drop for Seat<P> {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock();
        if let Some(own) = taken.iter().position(|one| Arc::ptr_eq(&one.waiting, &self.waiting)) {
            taken.swap_remove(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_one_that_waits_longest_goes_and_none_that_is_served() {
        let (seats, now) = (Arc::new(Seats::default()), Instant::now());
        let places: Vec<Arc<()>> = (0..3).map(|_| Arc::default()).collect();
        let keep =
            |(at, place): (u32, &Arc<()>)| seats.keep(place.clone(), now + Duration::from_secs(1) * at);
        let mut all: Vec<_> = (0..).zip(&places).map(keep).collect();
        let are_kept = || places.iter().map(|place| Arc::strong_count(place) == 2).collect::<Vec<_>>();
        all[0].waiting.note_request();
        assert!(seats.free_one());
        assert_eq!(are_kept(), [true, false, true]);
        all[1].given_away().await;
        all[2].waiting.note_request();
        assert!(!seats.free_one(), "both are served");
        all[0].waiting.note_answered(now + Duration::from_secs(9));
        assert!(seats.free_one());
        assert_eq!(are_kept(), [false, false, true]);
        drop(all);
        assert_eq!(are_kept(), [false; 3]);
        assert!(seats.0.lock().is_empty());
    }
}
