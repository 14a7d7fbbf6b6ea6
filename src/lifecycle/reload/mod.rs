//! Puts one configuration in the place of another while the process serves.

mod history;
mod watch;

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_proxy::HttpProxy;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use crate::config::{Config, Diagnostics, Origin};
use crate::edge::Edge;
use crate::gateway::Gateway;
use crate::pools::Prober;
use crate::runtime::{
    Applied, Assembled, ChangeCounts, Changes, Generation, Live, Probation, Refused, Registry, Report, Why,
    assemble,
};
use crate::telemetry::AccessLog;

use history::History;
use watch::watch;

/// What a configuration has changed in a process that runs.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) live: Arc<Live>,
    pub(crate) edge: Arc<Edge<HttpProxy<Gateway>>>,
    pub(crate) prober: Arc<Prober>,
    pub(crate) log: Arc<AccessLog>,
}

/// Makes the changes of a process. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Shared>);

struct Shared {
    registry: Arc<Registry>,
    /// Where the configuration is read again.
    origin: Mutex<Origin>,
    serving: Serving,
    /// What is served. Held over a change, so that changes come one after the other, in the order in which they were asked
    /// for.
    served: Arc<AsyncMutex<Assembled>>,
    history: Mutex<History>,
    made: AtomicU64,
    refused: AtomicU64,
}

/// A change that is wanted.
struct Order {
    why: Why,
    origin: Origin,
    /// The generation that had this configuration, if one had.
    configuration: Option<u64>,
}

impl Reloader {
    /// For a process that serves `served`, which was read from `origin`.
    pub(crate) fn new(registry: Arc<Registry>, origin: Origin, served: Assembled, serving: Serving) -> Self {
        let history = History::new(served.origin.clone(), SystemTime::now());
        Self(Arc::new(Shared {
            registry,
            origin: Mutex::new(origin),
            serving,
            served: Arc::new(AsyncMutex::new(served)),
            history: Mutex::new(history),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Serves the configuration's file anew whenever it changes, if the configuration wants that.
    pub(crate) async fn watch(self) -> Infallible {
        let file = self.0.origin.lock().file().map(Path::to_owned);
        match file {
            Some(file) => watch(&file, &self.0.serving.live, &self).await,
            None => pending().await,
        }
    }

    /// Serves a text in the place of what was read before, also at reloads to come.
    pub(crate) async fn reload_text(&self, text: &str) -> Result<Applied, Refused> {
        let origin = self.0.origin.lock().with_text(text);
        let order = Order { why: Why::Program, origin: origin.clone(), configuration: None };
        let report = self.change(order).await?;
        *self.0.origin.lock() = origin;
        Ok(Applied { report, verdict: None })
    }

    async fn change(&self, order: Order) -> Result<Report, Refused> {
        let mut served = self.0.served.clone().lock_owned().await;
        let shared = self.0.clone();
        // A thread of its own: files are read and tables are built. It goes on when whoever has asked is gone.
        let changed = tokio::task::spawn_blocking(move || shared.change(&mut served, order)).await;
        changed.unwrap_or_else(|_| Err(Refused("the process ends".to_owned())))
    }
}

#[async_trait]
impl Changes for Reloader {
    async fn reload(&self, why: Why, _probation: Option<Probation>) -> Result<Applied, Refused> {
        let order = Order { why, origin: self.0.origin.lock().clone(), configuration: None };
        self.change(order).await.map(|report| Applied { report, verdict: None })
    }

    async fn roll_back(&self, to: Option<u64>) -> Result<Applied, Refused> {
        let (configuration, origin) = self.0.history.lock().find(to)?;
        let order = Order { why: Why::Rollback, origin, configuration: Some(configuration) };
        self.change(order).await.map(|report| Applied { report, verdict: None })
    }

    fn history(&self) -> Vec<Generation> {
        self.0.history.lock().generations()
    }

    fn served(&self) -> Origin {
        self.0.history.lock().served().clone()
    }

    fn counts(&self) -> ChangeCounts {
        ChangeCounts {
            generation: self.0.history.lock().current(),
            made: self.0.made.load(Ordering::Relaxed),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Makes a change as a whole or not at all, and tells of it.
    fn change(&self, served: &mut Assembled, order: Order) -> Result<Report, Refused> {
        let begun = Instant::now();
        let why = order.why.as_str();
        match self.replace(served, order, begun) {
            Ok(report) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                log::info!("configuration is served generation={} why={why}", report.generation);
                tell(log::Level::Info, &report.to_string());
                tell(log::Level::Warn, &report.warnings);
                Ok(report)
            }
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                log::error!("configuration is refused, what was served stays why={why}");
                tell(log::Level::Error, &refused.to_string());
                Err(refused)
            }
        }
    }

    fn replace(&self, served: &mut Assembled, order: Order, begun: Instant) -> Result<Report, Refused> {
        let Order { why, origin, configuration } = order;
        let new = assemble(&origin, &self.registry, Some(served)).map_err(refused)?;
        if let Some(secret) = &new.secret_file {
            let path = secret.path().display();
            secret
                .save()
                .map_err(|error| Refused(format!("the secret cannot be written to {path}: {error}\n")))?;
        }
        self.serving.serve(&new);
        let mut history = self.history.lock();
        let mut report = Report {
            generation: history.current(),
            diff: new.diff.clone(),
            files: new.snapshot.file_changes(&served.snapshot),
            restart: needs_restart(&served.config, &new.config),
            warnings: new.warnings.to_string(),
            took_ms: begun.elapsed().as_secs_f64() * 1000.0,
        };
        if !report.is_empty() {
            report.generation += 1;
            history.push(&report, why, configuration, new.origin.clone(), SystemTime::now());
        }
        *served = new;
        Ok(report)
    }
}

impl Serving {
    /// Serves what was assembled from now on.
    fn serve(&self, new: &Assembled) {
        let now = Instant::now();
        self.live.replace(new.snapshot.clone());
        new.snapshot.pools.iter().for_each(|pool| pool.take_over(now));
    }
}

/// What differs and waits for another process.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let later = "counts from the next upgrade or start on";
    let mut found = Vec::new();
    if old.threads != new.threads {
        found.push(format!("server.threads: {later}"));
    }
    if old.control_socket != new.control_socket {
        found.push(format!("server.control_socket: {later}"));
    }
    found
}

fn refused(problems: Diagnostics) -> Refused {
    Refused(problems.to_string())
}

/// More lines of one change are not logged.
const MOST_LINES: usize = 100;

fn tell(level: log::Level, text: &str) {
    let mut lines = text.lines();
    for line in lines.by_ref().take(MOST_LINES) {
        log::log!(level, "configuration: {line}");
    }
    match lines.count() {
        0 => {}
        more => log::log!(level, "configuration: and {more} lines more"),
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("origin", &*self.0.origin.lock()).finish_non_exhaustive()
    }
}
