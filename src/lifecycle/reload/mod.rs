//! Puts one configuration in the place of another while the process serves.

mod change;
mod former;
mod history;
mod probation;
mod upgrade;
mod watch;
mod written;

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::config::Origin;
use crate::config::spec::LogLevel;
use crate::edge::Inherited;
use crate::pools::Prober;
use crate::runtime::{
    Actor, Applied, Assembled, Audit, ChangeCounts, Changes, Deed, Generation, Heritage, Live, NotUpgraded,
    Probation, Refused, Registry, Report, SecretFile, UpgradeOrder, Upgraded, What, Why,
};
use crate::telemetry::{AccessLog, Messages, Pulse};

use super::edges::Edges;
use super::upgrade::Upgrader;

use former::free;
use history::History;
use watch::watch;

/// What a configuration has changed in a process that runs.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) live: Arc<Live>,
    pub(crate) edges: Edges,
    pub(crate) prober: Arc<Prober>,
    pub(crate) log: Arc<AccessLog>,
    /// Those of a program that leaves its messages to this library.
    pub(crate) messages: Option<Arc<Messages>>,
    /// Who has changed what.
    pub(crate) audit: Arc<Audit>,
}

/// Makes the changes of a process. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Shared>);

struct Shared {
    registry: Arc<Registry>,
    /// Where the configuration is read again.
    origin: Mutex<Origin>,
    /// What it said when it was last read and served.
    read: Mutex<Origin>,
    serving: Serving,
    /// What is served. Held over a change, so that changes come one after the other, in the order in which they were asked
    /// for.
    served: Arc<AsyncMutex<Assembled>>,
    history: Mutex<History>,
    made: AtomicU64,
    refused: AtomicU64,
    /// Whether another process serves: one before this one yet, or one after it by now.
    is_left: AtomicBool,
    /// Whether one is about to take over.
    is_upgrading: AtomicBool,
    /// None where the process is not this library's to replace.
    upgrader: OnceLock<Upgrader>,
}

/// A change that was made.
struct Changed {
    report: Report,
    /// What requests came to before.
    former: Arc<Pulse>,
}

/// A change that is wanted.
struct Order {
    by: Actor,
    why: Why,
    wanted: Wanted,
    /// The generation that it is to replace; if there is another by then, nothing is changed.
    instead_of: Option<u64>,
    is_on_probation: bool,
}

/// Why an order is not taken.
const UPGRADING: &str =
    "another process is about to take over; wait until it serves, or has turned out not to";

impl Order {
    fn new(by: &Actor, why: Why, wanted: Wanted) -> Self {
        Self { by: by.clone(), why, wanted, instead_of: None, is_on_probation: false }
    }

    fn what(&self) -> What {
        match self.wanted {
            Wanted::Anew | Wanted::Written | Wanted::Text(_) => What::Reload,
            Wanted::Earlier(_) => What::Rollback,
        }
    }
}

/// Which configuration is wanted; what that is shows when its turn has come.
enum Wanted {
    /// The one that is read, as it is by then.
    Anew,
    /// The same, if that changes nothing that runs.
    Written,
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
            read: Mutex::new(served.origin.clone()),
            serving,
            served: Arc::new(AsyncMutex::new(served)),
            history: Mutex::new(history),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            is_left: AtomicBool::new(false),
            is_upgrading: AtomicBool::new(false),
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

    /// Another process serves until this one [begins](Self::begin).
    pub(super) fn hold(&self) {
        self.0.is_left.store(true, Ordering::Release);
    }

    /// This process serves from now on.
    pub(super) fn begin(&self) {
        self.0.is_left.store(false, Ordering::Release);
    }

    /// Serves again after another process had taken over.
    pub(super) async fn take_back(&self) {
        // Nobody else may change the listeners meanwhile.
        let _served = self.0.served.lock().await;
        let snapshot = self.0.serving.live.snapshot();
        // Some addresses may be closed, since the other process had no use for them.
        match self.0.serving.edges.prepare(&snapshot, &mut Inherited::default()) {
            Ok(prepared) => self.0.serving.edges.adopt(prepared, snapshot.drain),
            Err(error) => log::error!("not all listeners are served again error=\"{error}\""),
        }
        if let Some(upgrader) = self.0.upgrader.get() {
            upgrader.take_back().await;
        }
        self.begin();
    }

    /// Goes on with what another process knew, before anything is served here.
    pub(super) async fn inherit(&self, mut heritage: Heritage) -> Result<(), Refused> {
        let mut served = self.0.served.lock().await;
        let (history, lately) = (heritage.take_history(), heritage.take_lately());
        let diff = history.last().and_then(|(_, before)| served.diff_from(before)).unwrap_or_default();
        self.0.history.lock().go_on(history, diff);
        heritage
            .bequeath(&mut served, &self.0.registry, Instant::now())
            .map_err(|problems| Refused::of_configuration(&problems))?;
        served.secret_file.iter().try_for_each(SecretFile::save).map_err(Refused::because)?;
        self.0.serving.serve(&served)?;
        self.0.serving.go_on(lately, &served);
        Ok(())
    }

    /// Serves the configuration's file anew whenever it changes, if the configuration wants that.
    pub(crate) async fn watch(self) -> Infallible {
        let file = self.0.origin.lock().file().map(Path::to_owned);
        let Some(file) = file else { return pending().await };
        watch(&file, || self.0.read.lock().clone(), &self.0.serving.live, &self).await
    }

    /// Serves a text in the place of what was read before, also at reloads to come.
    pub(crate) async fn reload_text(&self, text: &str) -> Result<Applied, Refused> {
        let by = Actor::itself(Why::Program);
        self.change(Order::new(&by, Why::Program, Wanted::Text(text.to_owned())), None).await
    }

    async fn change(&self, order: Order, terms: Option<Probation>) -> Result<Applied, Refused> {
        // Not after it, since that may take minutes.
        if self.0.is_upgrading.load(Ordering::Acquire) {
            return Err(self.refuse(&order.by, order.what(), Refused::because(UPGRADING)));
        }
        let reloader = self.clone();
        // A task of its own: it goes on when whoever has asked is gone.
        let turn = tokio::spawn(async move {
            let shared = reloader.0.clone();
            let mut served = shared.served.clone().lock_owned().await;
            let replaced = served.snapshot.clone();
            let (by, what) = (order.by.clone(), order.what());
            // And a thread: files are read and tables are built.
            let changing = tokio::task::spawn_blocking(move || shared.change(&mut served, order));
            let refuse = |error| Err(reloader.refuse(&by, what, broken_off(&error)));
            let Changed { report, former } = changing.await.unwrap_or_else(refuse)?;
            tokio::spawn(free(replaced));
            let terms = terms.filter(|_| !report.is_empty());
            let verdict = terms.map(|terms| reloader.put_on_probation(report.generation, former, terms));
            Ok(Applied { report, verdict })
        });
        turn.await.unwrap_or_else(|error| Err(broken_off(&error)))
    }

    /// Notes an order that nothing has come of.
    fn refuse(&self, by: &Actor, what: What, refused: Refused) -> Refused {
        self.audit().record(by, Deed::refused(what, &refused), Instant::now());
        refused
    }
}

#[async_trait]
impl Changes for Reloader {
    async fn reload(
        &self,
        by: &Actor,
        probation: Option<Probation>,
        instead_of: Option<u64>,
    ) -> Result<Applied, Refused> {
        let order = Order::new(by, by.why(), Wanted::Anew);
        let order = Order { instead_of, is_on_probation: probation.is_some(), ..order };
        self.change(order, probation).await
    }

    async fn take_as_read(&self, by: &Actor) -> Result<Applied, Refused> {
        self.change(Order::new(by, by.why(), Wanted::Written), None).await
    }

    async fn roll_back(
        &self,
        by: &Actor,
        to: Option<u64>,
        instead_of: Option<u64>,
    ) -> Result<Applied, Refused> {
        let order = Order::new(by, Why::Rollback, Wanted::Earlier(to));
        self.change(Order { instead_of, ..order }, None).await
    }

    async fn upgrade(&self, by: &Actor, order: UpgradeOrder) -> Result<Upgraded, NotUpgraded> {
        let (shared, by) = (self.0.clone(), by.clone());
        if self.0.is_upgrading.swap(true, Ordering::AcqRel) {
            let failed = Err(NotUpgraded::Failed(UPGRADING.to_owned()));
            return shared.noted(&by, failed);
        }
        // A task of its own: it goes on when whoever has asked is gone.
        let upgraded = tokio::spawn(async move {
            let upgraded = shared.upgrade(order).await;
            shared.is_upgrading.store(false, Ordering::Release);
            shared.noted(&by, upgraded)
        });
        let upgraded = upgraded.await;
        upgraded.unwrap_or_else(|error| Err(NotUpgraded::Failed(broken_off(&error).into_text())))
    }

    fn history(&self) -> Vec<Generation> {
        self.0.history.lock().generations()
    }

    fn served(&self) -> Origin {
        self.0.history.lock().served().clone()
    }

    fn origin(&self) -> Origin {
        self.0.origin.lock().clone()
    }

    fn counts(&self) -> ChangeCounts {
        ChangeCounts {
            generation: self.0.history.lock().current(),
            made: self.0.made.load(Ordering::Relaxed),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }

    fn log_level(&self) -> Option<LogLevel> {
        self.0.serving.messages.as_ref().map(|messages| messages.level())
    }

    fn set_log_level(&self, level: LogLevel) -> Option<LogLevel> {
        let messages = self.0.serving.messages.as_ref()?;
        let was = messages.level();
        messages.set_level(level);
        Some(was)
    }

    fn audit(&self) -> &Audit {
        &self.0.serving.audit
    }
}

impl Shared {
    /// Whether another process might take over.
    fn check_serving(&self) -> Result<(), Refused> {
        self.check_not_left()?;
        if self.serving.live.is_draining() {
            return Err(Refused::because("the process is about to end"));
        }
        Ok(())
    }

    /// Whether changes are of use: also while the process drains, but not while another one serves, or is about to.
    fn check_not_left(&self) -> Result<(), Refused> {
        if self.is_left.load(Ordering::Acquire) {
            return Err(Refused::because("another process serves, not this one"));
        }
        Ok(())
    }
}

/// Why a change has no end.
fn broken_off(error: &JoinError) -> Refused {
    let why = if error.is_panic() {
        "the program panicked while it built the configuration; its messages say where"
    } else {
        "the process ends"
    };
    Refused::because(why)
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("origin", &*self.0.origin.lock()).finish_non_exhaustive()
    }
}
