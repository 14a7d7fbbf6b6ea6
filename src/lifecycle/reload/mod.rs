//! Puts one configuration in the place of another while the process serves.

mod former;
mod history;
mod probation;
mod watch;

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_proxy::HttpProxy;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::config::{Config, Origin};
use crate::edge::{Edge, Inherited};
use crate::gateway::Gateway;
use crate::pools::Prober;
use crate::runtime::{
    Applied, Assembled, ChangeCounts, Changes, Generation, Heritage, Live, NotUpgraded, Probation, Refused,
    Registry, Report, SecretFile, UpgradeOrder, Upgraded, Why, assemble,
};
use crate::telemetry::{AccessLog, Messages, Pulse};

use super::limits::edge_limits;
use super::upgrade::{Estate, Upgrader};

use former::free;
use history::History;
use watch::watch;

/// What a configuration has changed in a process that runs.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) live: Arc<Live>,
    pub(crate) edge: Arc<Edge<HttpProxy<Gateway>>>,
    pub(crate) prober: Arc<Prober>,
    pub(crate) log: Arc<AccessLog>,
    /// Those of a program that leaves its messages to this library.
    pub(crate) messages: Option<Arc<Messages>>,
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
    /// None where the process is not this library's to replace.
    upgrader: OnceLock<Upgrader>,
}

/// A change that was made.
struct Changed {
    report: Report,
    /// What requests came to before.
    former: Arc<Pulse>,
}

impl From<Changed> for Applied {
    fn from(changed: Changed) -> Self {
        Self { report: changed.report, verdict: None }
    }
}

/// A change that is wanted.
struct Order {
    why: Why,
    wanted: Wanted,
}

/// Which configuration is wanted; what that is shows when its turn has come.
enum Wanted {
    /// The one that is read, as it is by then.
    Anew,
    /// This text, also at reloads to come.
    Text(String),
    /// That of an earlier generation: of this one, or of the one before.
    Earlier(Option<u64>),
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
            upgrader: OnceLock::new(),
        }))
    }

    /// Lets the process be replaced.
    pub(super) fn set_upgrader(&self, upgrader: Upgrader) {
        // There is one at most.
        let _ = self.0.upgrader.set(upgrader);
    }

    /// The process that this one took over from, as long as it finishes its work.
    pub(super) fn predecessor(&self) -> Option<u32> {
        self.0.upgrader.get().and_then(Upgrader::predecessor)
    }

    /// Serves again after another process had taken over.
    pub(super) async fn take_back(&self) {
        let snapshot = self.0.serving.live.snapshot();
        // Some addresses may be closed, since the other process had no use for them.
        match self.0.serving.edge.prepare(&snapshot.listeners, &mut Inherited::default()) {
            Ok(prepared) => self.0.serving.edge.adopt(prepared, snapshot.drain),
            Err(error) => log::error!("not all listeners are served again error=\"{error}\""),
        }
        if let Some(upgrader) = self.0.upgrader.get() {
            upgrader.take_back().await;
        }
    }

    /// Goes on with what another process knew, before anything is served here.
    pub(super) async fn inherit(&self, heritage: Heritage) -> Result<(), Refused> {
        let mut served = self.0.served.lock().await;
        heritage.bequeath(&mut served, &self.0.registry, Instant::now()).map_err(refused)?;
        if let Some(secret) = &served.secret_file {
            save(secret)?;
        }
        self.0.serving.live.replace(served.snapshot.clone());
        self.0.serving.prober.update(&served.snapshot.pools);
        Ok(())
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
        let order = Order { why: Why::Program, wanted: Wanted::Text(text.to_owned()) };
        self.change(order).await.map(Applied::from)
    }

    async fn change(&self, order: Order) -> Result<Changed, Refused> {
        let shared = self.0.clone();
        // A task of its own: it goes on when whoever has asked is gone.
        let turn = tokio::spawn(async move {
            let mut served = shared.served.clone().lock_owned().await;
            let former = served.snapshot.clone();
            // And a thread: files are read and tables are built.
            let changed = tokio::task::spawn_blocking(move || shared.change(&mut served, order)).await;
            if let Ok(Ok(_)) = changed {
                tokio::spawn(free(former));
            }
            changed
        });
        turn.await.and_then(|changed| changed).unwrap_or_else(|error| Err(broken_off(&error)))
    }
}

#[async_trait]
impl Changes for Reloader {
    async fn reload(&self, why: Why, probation: Option<Probation>) -> Result<Applied, Refused> {
        let Changed { report, former } = self.change(Order { why, wanted: Wanted::Anew }).await?;
        let terms = probation.filter(|_| !report.is_empty());
        let verdict = terms.map(|terms| self.put_on_probation(report.generation, former, terms));
        Ok(Applied { report, verdict })
    }

    async fn roll_back(&self, to: Option<u64>) -> Result<Applied, Refused> {
        let order = Order { why: Why::Rollback, wanted: Wanted::Earlier(to) };
        self.change(order).await.map(Applied::from)
    }

    async fn upgrade(&self, order: UpgradeOrder) -> Result<Upgraded, NotUpgraded> {
        let shared = self.0.clone();
        // A task of its own: it goes on when whoever has asked is gone.
        let upgraded = tokio::spawn(async move { shared.upgrade(order).await }).await;
        upgraded.unwrap_or_else(|error| Err(NotUpgraded::Failed(broken_off(&error).0)))
    }

    fn history(&self) -> Vec<Generation> {
        self.0.history.lock().generations()
    }

    fn served(&self) -> Origin {
        self.0.history.lock().served().anywhere()
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
    async fn upgrade(&self, order: UpgradeOrder) -> Result<Upgraded, NotUpgraded> {
        let upgrader = self.upgrader.get().ok_or_else(|| {
            NotUpgraded::Failed("this process is part of a program that replaces it by itself".to_owned())
        })?;
        // Nothing changes until it is clear who serves.
        let served = self.served.lock().await;
        self.check_serving().map_err(|refused| NotUpgraded::Failed(refused.0))?;
        let (origin, generation) = (self.origin.lock().clone(), self.history.lock().current());
        upgrader.upgrade(order, Estate { served: &served, origin: &origin, generation }).await
    }

    /// Whether changes are still of use.
    fn check_serving(&self) -> Result<(), Refused> {
        if self.serving.live.is_draining() {
            return Err(Refused("the process is about to end".to_owned()));
        }
        Ok(())
    }

    /// Makes a change as a whole or not at all, and tells of it.
    fn change(&self, served: &mut Assembled, order: Order) -> Result<Changed, Refused> {
        let begun = Instant::now();
        let why = order.why.as_str();
        let former = served.snapshot.pulse.clone();
        match self.replace(served, order, begun) {
            Ok(report) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                log::info!("configuration is served generation={} why={why}", report.generation);
                tell(log::Level::Info, &report.to_string());
                tell(log::Level::Warn, &report.warnings);
                Ok(Changed { report, former })
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
        let Order { why, wanted } = order;
        let (origin, configuration) = self.find(&wanted)?;
        let new = assemble(&origin, &self.registry, Some(served)).map_err(refused)?;
        if let Some(secret) = &new.secret_file {
            save(secret)?;
        }
        self.serving.serve(&new)?;
        let mut history = self.history.lock();
        let mut report = Report {
            generation: history.current(),
            diff: new.diff.clone(),
            files: file_changes(served, &new),
            restart: needs_restart(&served.config, &new.config),
            warnings: new.warnings.to_string(),
            took_ms: begun.elapsed().as_secs_f64() * 1000.0,
        };
        if !report.is_empty() {
            report.generation += 1;
            history.push(&report, why, configuration, new.origin.clone(), SystemTime::now());
        }
        *served = new;
        if let Wanted::Text(_) = wanted {
            *self.origin.lock() = origin;
        }
        Ok(report)
    }

    /// Where what is wanted is read, and the generation that had this configuration, if one had.
    fn find(&self, wanted: &Wanted) -> Result<(Origin, Option<u64>), Refused> {
        match wanted {
            Wanted::Anew => Ok((self.origin.lock().clone(), None)),
            Wanted::Text(text) => Ok((self.origin.lock().with_text(text), None)),
            Wanted::Earlier(number) => {
                let (configuration, origin) = self.history.lock().find(*number)?;
                Ok((origin, Some(configuration)))
            }
        }
    }
}

impl Serving {
    /// Serves what was assembled from now on. What can fail comes first, and leaves nothing behind.
    fn serve(&self, new: &Assembled) -> Result<(), Refused> {
        let Assembled { config, snapshot, .. } = new;
        let mut nobody = Inherited::default();
        let prepared = self.edge.prepare(&snapshot.listeners, &mut nobody).map_err(refused)?;
        self.log.change(config.access_format, &config.access_sink).map_err(refused)?;
        let now = Instant::now();
        self.messages.iter().for_each(|messages| messages.set_level(config.log_level));
        self.edge.change_limits(edge_limits(config));
        self.live.replace(snapshot.clone());
        snapshot.pools.iter().for_each(|pool| pool.take_over(now));
        self.edge.adopt(prepared, config.drain);
        self.prober.update(&snapshot.pools);
        Ok(())
    }
}

fn save(secret: &SecretFile) -> Result<(), Refused> {
    let path = secret.path().display();
    secret.save().map_err(|error| Refused(format!("the secret cannot be written to {path}: {error}\n")))
}

/// What differs in files that both configurations name.
fn file_changes(old: &Assembled, new: &Assembled) -> Vec<String> {
    let mut found = new.snapshot.file_changes(&old.snapshot);
    let mut secrets = new.secret_file.iter().zip(&old.secret_file);
    if secrets.any(|(new, old)| new.differs_from(old)) {
        found.push("server.secret_file: the secret".to_owned());
    }
    found
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

/// Why a change has no end.
fn broken_off(error: &JoinError) -> Refused {
    let why = if error.is_panic() {
        "the program panicked while it built the configuration; its messages say where"
    } else {
        "the process ends"
    };
    Refused(why.to_owned())
}

fn refused(problems: impl fmt::Display) -> Refused {
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
