use std::sync::Arc;

use tokio::task::JoinSet;

use crate::config::Diff;
use crate::lifecycle::{self, Edges, Parts, Reloader, Running, Serving};
use crate::runtime::{self, Actor, Applied, Changes, Why};
use crate::telemetry::AccessLog;
use crate::types::{BindAddr, ListenerName};

/// An app that serves on the tokio runtime that it was started on, until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningApp {
    addresses: Vec<(ListenerName, BindAddr)>,
    live: Arc<runtime::Live>,
    edges: Edges,
    reloader: Reloader,
    log: Arc<AccessLog>,
    /// What ends by itself after a drain.
    tasks: JoinSet<()>,
    /// What requests may need to their end.
    jobs: JoinSet<()>,
}

/// What a reload came to. Displayed as the differences, a line each.
#[derive(Debug)]
pub struct Reloaded {
    report: runtime::Report,
}

/// Why a configuration could not take the place of another, in the form of `evener reload`. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReloadError(runtime::Refused);

impl RunningApp {
    /// Serves on the tokio runtime that this is called on.
    pub(super) fn start(parts: Parts) -> Self {
        let addresses = parts.addresses();
        parts.tell_unused();
        let Running { reloader, serving, admin, takeover, unclaimed, .. } = parts.into_running(None);
        lifecycle::take_place(takeover, &reloader, &serving, unclaimed);
        let Serving { live, edges, prober, log, .. } = serving;
        let mut tasks = JoinSet::new();
        let prober_drain = live.drain();
        let traffic = edges.traffic.clone();
        tasks.spawn(async move { traffic.run().await });
        tasks.spawn(async move { prober.run(prober_drain).await });
        tasks.spawn(runtime::TlsFiles::new(live.clone()).run(live.drain()));
        let mut jobs = JoinSet::new();
        let answering = edges.admin.clone();
        jobs.spawn(async move {
            answering.run().await;
            drop(admin);
        });
        jobs.spawn(runtime::run_jobs(live.clone()));
        jobs.spawn(runtime::keep_series(live.clone()));
        jobs.spawn(runtime::turn_windows(live.clone()));
        let (watching, mut drain) = (reloader.clone(), live.drain());
        tasks.spawn(async move {
            tokio::select! {
                never = watching.watch() => match never {},
                _ = drain.wait_for(|draining| *draining) => {}
            }
        });
        Self { addresses, live, edges, reloader, log, tasks, jobs }
    }

    /// Where the listeners listen.
    pub fn addresses(&self) -> &[(ListenerName, BindAddr)] {
        &self.addresses
    }

    /// Where `admin` answers at this moment.
    pub fn admin_addresses(&self) -> Vec<BindAddr> {
        self.edges.admin_addresses()
    }

    /// Reads the configuration again and serves it from then on, as `evener reload` does. Nothing is lost: connections stay,
    /// requests that run end by the configuration that they began with, and what is known of endpoints is carried on.
    ///
    /// # Errors
    /// When it cannot be served; what was served before still is.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reloader
            .reload(&Actor::itself(Why::Program), None, None)
            .await
            .map(Reloaded::from)
            .map_err(ReloadError)
    }

    /// The same with a text that takes the place of what was loaded, also for reloads to come.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload).
    pub async fn reload_text(&self, text: &str) -> Result<Reloaded, ReloadError> {
        self.reloader.reload_text(text).await.map(Reloaded::from).map_err(ReloadError)
    }

    /// Stops accepting, lets running requests finish, and returns when the last connection has ended and its log
    /// line is written, as are those of the audit log. A request that never ends is waited for; put a `timeout` around
    /// this where there may be one.
    pub async fn stop(mut self) {
        self.live.begin_drain();
        while self.tasks.join_next().await.is_some() {}
        self.jobs.shutdown().await;
        let (log, live, reloader) = (self.log.clone(), self.live.clone(), self.reloader.clone());
        let settled = tokio::task::spawn_blocking(move || lifecycle::settle(&log, reloader.audit(), &live));
        // Fails only when the runtime itself ends; then nobody waits for the log either.
        let _ = settled.await;
    }
}

impl Reloaded {
    /// What differs from what was served before.
    pub fn diff(&self) -> &Diff {
        &self.report.diff
    }
}

impl From<Applied> for Reloaded {
    fn from(applied: Applied) -> Self {
        Self { report: applied.report }
    }
}

impl std::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.report.fmt(f)
    }
}

impl Drop for RunningApp {
    /// The listeners are closed; requests that run end by themselves, and their connections with them.
    fn drop(&mut self) {
        self.live.begin_drain();
        self.edges.admin.end();
    }
}
