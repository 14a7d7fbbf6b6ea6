//! What operators see.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::runtime::status::last_minute;
use crate::runtime::{
    CacheStatus, CertificateStatus, Compared, Draft, Drift, EndpointStatus, ListenerStatus, PoolStatus,
    RouteStatus, Sample, SplitStatus, Status, TransitionStatus,
};
use crate::types::wall_time;

use super::split::find_split;
use super::{Control, ControlError, find_endpoint, find_pool};

/// How the process did, second by second, and what has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    /// The oldest first.
    pub(crate) samples: Vec<Sample>,
    /// The oldest first.
    pub(crate) transitions: Vec<TransitionStatus>,
}

impl Control {
    /// What came after the sample that ended then, and after the transition of that number, as far as it is kept.
    pub(crate) fn recent(&self, after_ms: u64, after_number: u64) -> Recent {
        let noted = self.live.snapshot().journal.since(after_number);
        Recent {
            samples: self.live.series().since(after_ms),
            transitions: noted.into_iter().map(TransitionStatus::from).collect(),
        }
    }

    /// What goes on in all pools, or in one of them.
    ///
    /// # Errors
    /// When there is no pool of that name.
    pub(crate) fn status(&self, pool: Option<&str>, now: Instant) -> Result<Status, ControlError> {
        let process = self.process_status(now);
        if let Some(name) = pool {
            return Ok(Status { pools: vec![self.pool(name, now)?], ..process });
        }
        Ok(Status {
            listeners: self.listeners(),
            routes: self.routes(),
            unrouted: Some(RouteStatus::unrouted(&self.live.snapshot())),
            pools: self.pools(now),
            splits: self.splits(now),
            certificates: self.certificates(SystemTime::now()),
            caches: self.caches(now),
            ..process
        })
    }

    /// The same without any of its parts.
    fn process_status(&self, now: Instant) -> Status {
        let counts = self.changes.counts();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            uptime_s: now.saturating_duration_since(self.began).as_secs(),
            started: humantime::format_rfc3339_seconds(wall_time(self.began)).to_string(),
            draining: self.live.is_draining(),
            generation: counts.generation,
            changes_made: counts.made,
            changes_refused: counts.refused,
            last_minute: last_minute(&self.live.snapshot()),
            ..Status::default()
        }
    }

    pub(crate) fn listeners(&self) -> Vec<ListenerStatus> {
        self.live.snapshot().listeners.iter().map(|listener| ListenerStatus::of(listener)).collect()
    }

    /// Those of all listeners.
    pub(crate) fn certificates(&self, now: SystemTime) -> Vec<CertificateStatus> {
        let snapshot = self.live.snapshot();
        snapshot.listeners.iter().flat_map(|listener| CertificateStatus::all(listener, now)).collect()
    }

    pub(crate) fn routes(&self) -> Vec<RouteStatus> {
        RouteStatus::all(&self.live.snapshot())
    }

    pub(crate) fn pools(&self, now: Instant) -> Vec<PoolStatus> {
        self.live.snapshot().pools.iter().map(|pool| PoolStatus::of(pool, now)).collect()
    }

    /// # Errors
    /// When there is no pool of that name.
    pub(crate) fn pool(&self, name: &str, now: Instant) -> Result<PoolStatus, ControlError> {
        Ok(PoolStatus::of(find_pool(&self.live.snapshot().pools, name)?, now))
    }

    /// # Errors
    /// When there is no such pool, or it has no such endpoint.
    pub(crate) fn endpoint(
        &self,
        pool: &str,
        endpoint: &str,
        now: Instant,
    ) -> Result<EndpointStatus, ControlError> {
        let snapshot = self.live.snapshot();
        let pool = find_pool(&snapshot.pools, pool)?;
        let index = find_endpoint(pool, endpoint)?.index();
        Ok(EndpointStatus::all(pool, now).swap_remove(index))
    }

    pub(crate) fn splits(&self, now: Instant) -> Vec<SplitStatus> {
        SplitStatus::all(&self.live.snapshot(), now)
    }

    /// # Errors
    /// When there is no route of that name with a split.
    pub(crate) fn split(&self, route: &str, now: Instant) -> Result<SplitStatus, ControlError> {
        let snapshot = self.live.snapshot();
        let (name, split) = find_split(&snapshot, route)?;
        Ok(SplitStatus::of(name, split, now))
    }

    pub(crate) fn caches(&self, now: Instant) -> Vec<CacheStatus> {
        self.live.snapshot().caches.iter().map(|cache| CacheStatus::of(cache, now)).collect()
    }

    /// In what the process does otherwise than its file says, and what a file is made from that says it. Reads the file.
    ///
    /// # Errors
    /// When what is served cannot be read again.
    pub(crate) fn drift(&self, now: Instant) -> Result<(Drift, Draft), ControlError> {
        let (served, file) = (self.changes.served(), self.changes.origin());
        let process = Compared {
            snapshot: &self.live.snapshot(),
            generation: self.changes.counts().generation,
            log_level: self.log_level(),
            served: &served,
            file: &file,
        };
        Drift::of(&process, now).map_err(|problems| {
            // Whoever may look may ask; only the messages say what it says.
            log::warn!("what is served cannot be read again: {problems}");
            ControlError::Unreadable
        })
    }
}
