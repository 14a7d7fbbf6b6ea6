use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::config::spec::DrainSpec;
use crate::edge::{Address, Open};
use crate::runtime::{Live, Stage};
use crate::types::Span;

use super::edges::Edges;

/// The way from the first signal to the end, step by step, as long as each may take.
pub(super) struct Drain {
    live: Arc<Live>,
    edges: Edges,
}

/// How often what is left is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// So long this process can go back to serving, even if it has nothing left to do.
const LINGER: Duration = Duration::from_secs(3);

/// How long what is cut may take to say so in the log.
const CUT_LIMIT: Duration = Duration::from_millis(200);

impl Drain {
    pub(super) fn new(live: Arc<Live>, edges: Edges) -> Self {
        Self { live, edges }
    }

    /// Returns when nothing is left, or what is left has had its time. It may be dropped on the way: the stage that it has
    /// come to then lasts until the end of the process is taken back or it is run again.
    pub(super) async fn run(&self) {
        let DrainSpec { accept_grace, requests, tunnels } = self.live.snapshot().drain;
        log::info!("draining {} accept_grace={accept_grace}", self.open());
        self.live.ending().advance(Stage::Leaving);
        tokio::select! {
            () = sleep(accept_grace.get()) => {}
            never = self.telling() => match never {},
        }
        if !accept_grace.is_zero() {
            log::info!("nobody is accepted any more {}", self.open());
        }
        let closed = Instant::now();
        self.live.ending().advance(Stage::Draining);
        self.finish(closed, requests, tunnels).await;
    }

    /// The same once another process serves: clients have no need to hurry. Connections that rest stay as long as requests
    /// may take, since whoever sends one finds the connection open then.
    ///
    /// Where the other process accepts nobody, at the `unclaimed` addresses, clients are not left in a queue.
    pub(super) async fn run_after_hand_over(&self, unclaimed: &[Address]) {
        let DrainSpec { requests, tunnels, .. } = self.live.snapshot().drain;
        let begun = Instant::now();
        self.live.ending().advance(Stage::Leaving);
        self.edges.close(unclaimed);
        // Whoever looks after the process is to see the other one.
        self.edges.admin.end();
        // The other process may yet turn out to be stillborn.
        sleep(LINGER).await;
        self.finish(begun, requests, tunnels).await;
    }

    /// Returns when nothing is left, or requests and then tunnels have had their time, counted from `begun`.
    async fn finish(&self, begun: Instant, requests: Span, tunnels: Span) {
        let left_of = |time: Span| time.get().saturating_sub(begun.elapsed());
        if !self.is_empty_within(left_of(requests)).await {
            log::warn!("requests have had their time {}", self.open());
            self.live.ending().advance(Stage::RequestsCut);
            if !self.is_empty_within(left_of(tunnels)).await {
                return self.cut("it took too long").await;
            }
        }
        log::info!("drained");
    }

    /// Leaves the addresses to whoever binds them next.
    pub(super) fn let_go(&self) {
        self.edges.let_go();
    }

    /// Says that the process is about to end, and no more.
    pub(super) fn begin(&self) {
        self.live.ending().advance(Stage::Leaving);
    }

    /// Ends everything that still goes on.
    pub(super) async fn cut(&self, why: &str) {
        log::warn!("drain cut short {} reason=\"{why}\"", self.open());
        self.live.ending().advance(Stage::AllCut);
        // However it ends: what still goes on is not worth waiting for.
        let _ = timeout(CUT_LIMIT, self.edges.traffic.drained()).await;
    }

    async fn is_empty_within(&self, limit: Duration) -> bool {
        let emptied = async {
            tokio::select! {
                () = self.edges.traffic.drained() => {}
                never = self.telling() => match never {},
            }
        };
        timeout(limit, emptied).await.is_ok()
    }

    /// Tells again and again what is left.
    async fn telling(&self) -> Infallible {
        again(|| log::info!("still draining {}", self.open())).await
    }

    fn open(&self) -> Open {
        self.edges.traffic.open()
    }
}

async fn again(mut tell: impl FnMut()) -> Infallible {
    let mut due = interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_told_every_ten_seconds() {
        let mut told = 0;
        let watched = timeout(Duration::from_secs(35), again(|| told += 1)).await;
        assert!(watched.is_err());
        assert_eq!(told, 3);
    }
}
