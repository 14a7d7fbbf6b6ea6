//! Looking at requests as they end. What nobody reads fast enough is counted and left out, so that a tap holds nothing up.

mod filter;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::types::{ListenerName, Span};

use super::pace::Pace;
use super::recording::Recording;
use super::{Uses, Watchers};

pub(crate) use filter::{TapFilter, TapStatus};

/// All taps that are open.
#[derive(Debug, Default)]
pub(crate) struct Taps(RwLock<Vec<Arc<Spout>>>);

/// The end of a tap at which requests come in.
#[derive(Debug)]
struct Spout {
    filter: TapFilter,
    pace: Pace,
    missed: AtomicU64,
    queue: mpsc::Sender<Arc<Recording>>,
}

/// Requests as they end, until it is dropped.
#[derive(Debug)]
pub(crate) struct Tap {
    watchers: Arc<Watchers>,
    spout: Arc<Spout>,
    queue: mpsc::Receiver<Arc<Recording>>,
}

/// As many taps are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_TAPS} others look at requests already\n  help: wait for one of them to end")]
pub(crate) struct TooManyTaps;

/// Taps at once.
const MOST_TAPS: usize = 4;
/// Requests that wait to be taken from a tap.
const QUEUE: usize = 256;
/// Requests of a second that a tap is told of.
const MOST_A_SECOND: u32 = 100;

impl Taps {
    /// What they want to know of a request, by what is known when its head has come: how each decision came about is written
    /// down only as long as one of them may be told.
    pub(super) fn want(&self, client: IpAddr, listener: &ListenerName, now: Instant) -> Uses {
        let open = self.0.read();
        let mut wanting = open.iter().filter(|spout| spout.filter.may_match(client, listener)).peekable();
        match (wanting.peek().is_some(), wanting.any(|spout| spout.pace.has_room(now))) {
            (_, true) => Uses::TAP,
            (true, false) => Uses::COUNTED,
            (false, false) => Uses::NONE,
        }
    }

    /// Tells those that want to know of a request that is over.
    pub(super) fn tell(&self, recording: &Arc<Recording>) {
        let now = recording.end.as_ref().map_or(recording.began, |end| end.at);
        let is_whole = recording.uses.has(Uses::TAP);
        for spout in self.0.read().iter().filter(|spout| spout.filter.matches(recording)) {
            let is_told =
                is_whole && spout.pace.permits(now) && spout.queue.try_send(recording.clone()).is_ok();
            if !is_told {
                spout.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Tap {
    /// No tap is open for longer.
    pub(crate) const LONGEST: Span = Span::from_secs(600);

    /// Opens a tap for requests that are like `filter`.
    ///
    /// # Errors
    /// When as many are open as may be.
    pub(crate) fn open(watchers: &Arc<Watchers>, filter: TapFilter) -> Result<Self, TooManyTaps> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let pace = Pace::a_second(MOST_A_SECOND);
        let spout =
            Arc::new(Spout { filter: filter.canonical(), pace, missed: AtomicU64::new(0), queue: sender });
        let mut open = watchers.taps.0.write();
        if open.len() == MOST_TAPS {
            return Err(TooManyTaps);
        }
        open.push(spout.clone());
        watchers.set(Uses::TAP, true);
        Ok(Self { watchers: watchers.clone(), spout, queue })
    }

    /// The next request that has ended.
    pub(crate) async fn next(&mut self) -> Arc<Recording> {
        match self.queue.recv().await {
            Some(recording) => recording,
            // The other end is held here.
            None => std::future::pending().await,
        }
    }

    /// How many matched since this was asked, and were left out.
    pub(crate) fn take_missed(&self) -> u64 {
        self.spout.missed.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut open = self.watchers.taps.0.write();
        open.retain(|spout| !Arc::ptr_eq(spout, &self.spout));
        self.watchers.set(Uses::TAP, !open.is_empty());
    }
}

#[cfg(test)]
mod tests;
