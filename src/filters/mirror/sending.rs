use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::hooks::{FetchLimits, PoolClient};
use crate::types::Rarely;

/// Sends copies beside the requests, no more than so many at once.
#[derive(Debug)]
pub(super) struct Sending {
    client: PoolClient,
    limits: FetchLimits,
    places: Arc<Semaphore>,
    tally: Arc<Tally>,
}

/// What became of copies, for the log.
#[derive(Debug)]
pub(super) struct Tally {
    pool: String,
    answered: AtomicU64,
    failed: AtomicU64,
    /// Those that there was no room for.
    dropped: AtomicU64,
    told: Rarely,
}

impl Sending {
    pub(super) fn new(pool: String, client: PoolClient, limits: FetchLimits, in_flight: usize) -> Self {
        let tally = Tally {
            pool,
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            told: Rarely::default(),
        };
        Self { client, limits, places: Arc::new(Semaphore::new(in_flight)), tally: Arc::new(tally) }
    }

    /// A place for a copy, which it holds from its beginning on; `None` where all are taken.
    pub(super) fn place(&self, now: Instant) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.drop_one("as many copies as may be are under way", now);
        }
        place
    }

    /// Notes a copy that is not sent.
    pub(super) fn drop_one(&self, reason: &str, now: Instant) {
        self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        self.tally.tell(reason, now);
    }

    /// Sends a copy, and forgets about it.
    pub(super) fn send(&self, copy: Request<Bytes>, client_ip: IpAddr, place: OwnedSemaphorePermit) {
        let (client, limits) = (self.client.for_client(client_ip), self.limits);
        let tally = self.tally.clone();
        tokio::spawn(async move {
            let answer = client.send(copy, limits).await;
            drop(place);
            match answer {
                Ok(_) => {
                    tally.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    tally.failed.fetch_add(1, Ordering::Relaxed);
                    tally.tell(&error.to_string(), Instant::now());
                }
            }
        });
    }
}

impl Tally {
    fn tell(&self, reason: &str, now: Instant) {
        if !self.told.may_tell(now) {
            return;
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        log::warn!(
            "copies of requests get lost pool={} answered={} failed={} dropped={} last={reason:?}",
            self.pool,
            count(&self.answered),
            count(&self.failed),
            count(&self.dropped)
        );
    }
}

#[cfg(test)]
impl Sending {
    /// How many were answered, failed and were dropped.
    pub(super) fn counts(&self) -> [u64; 3] {
        let Tally { answered, failed, dropped, .. } = &*self.tally;
        [answered, failed, dropped].map(|count| count.load(Ordering::Relaxed))
    }
}
