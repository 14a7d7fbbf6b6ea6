use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::control::Door;
use crate::edge::{Address, Inherited};
use crate::handover::{
    self, End, HandoverError, Limits, Peer, Predecessor, SocketEntry, State, Taker, Welcome,
};
use crate::lifecycle::reload::{Reloader, Serving};
use crate::lifecycle::settled::settled;
use crate::runtime::{Refused, Stage};

use super::CONFIGURATION;
use super::give::GIVE_WAY;
use super::luggage::{self, Sockets, unpacked};

/// The place of another process, which this one is about to take. Dropped before its end, it leaves that process as it was.
#[derive(Debug)]
pub(crate) struct Takeover {
    /// Its own, since it begins before the process has any other.
    runtime: Runtime,
    taker: Taker,
    welcome: Welcome,
    sockets: Sockets,
}

/// How far a process has come that may have to take over first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) enum Arrival {
    /// Another one serves yet.
    Coming,
    Serving,
    /// It does not come to serve, for this reason.
    Failed(String),
}

/// What serves in the place of another process once that has given way.
pub(in crate::lifecycle) struct Newcomer {
    pub(in crate::lifecycle) reloader: Reloader,
    pub(in crate::lifecycle) serving: Serving,
    pub(in crate::lifecycle) control: Option<Arc<Door>>,
    /// What the process before this one had, and this one has no use for.
    pub(in crate::lifecycle) unclaimed: Vec<Address>,
    /// The process before this one, as long as it finishes its work.
    pub(in crate::lifecycle) predecessor: Arc<Mutex<Option<u32>>>,
    pub(in crate::lifecycle) arrival: watch::Sender<Arrival>,
}

impl Takeover {
    /// Begins to take over, if another process has started this one for that; to be called once the configuration is found
    /// to be good. Blocks its thread.
    ///
    /// # Errors
    /// When the other process is gone, or goes on by itself.
    pub(crate) fn begin() -> Result<Option<Self>, HandoverError> {
        if !Taker::is_wanted() {
            return Ok(None);
        }
        elsewhere(|| {
            let own = |error| HandoverError::own(handover::Stage::Start, error);
            let runtime = Builder::new_current_thread().enable_all().build().map_err(own)?;
            let begun = runtime.block_on(async {
                let Some(mut taker) = Taker::inherit(Limits::default())? else { return Ok(None) };
                let welcome = taker.greet(&Peer::this_process()).await?;
                let sockets = Sockets::taken(taker.take_sockets().await?);
                Ok(Some((taker, welcome, sockets)))
            })?;
            Ok(begun.map(|(taker, welcome, sockets)| Self { runtime, taker, welcome, sockets }))
        })
    }

    /// Tells the other process, if one has started this one, that the configuration is refused.
    pub(crate) fn decline(problems: &str) {
        if !Taker::is_wanted() {
            return;
        }
        // Whoever is gone need not be told.
        elsewhere(|| {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                if let Ok(Some(taker)) = Taker::inherit(Limits::default()) {
                    let _ = taker.fail(CONFIGURATION, problems).await;
                }
            });
        });
    }

    /// The sockets of the listeners.
    pub(crate) fn take_listening(&mut self) -> Inherited {
        Inherited::from_predecessor(std::mem::take(&mut self.sockets.listening))
    }

    /// The control socket, if it is the one at this path.
    pub(in crate::lifecycle) fn take_control(&mut self, wanted: &Path) -> Option<(PathBuf, OwnedFd)> {
        let is_same = |path: &Path| path == wanted || same_file(path, wanted);
        self.sockets.control.take_if(|(path, _)| is_same(path))
    }

    /// Tells the other process that this one cannot go on.
    pub(crate) fn fail(self, stage: &str, message: &str) {
        // Whoever is gone need not be told.
        let _ = elsewhere(|| self.runtime.block_on(self.taker.fail(stage, message)));
    }

    /// Does the rest on a thread of its own; until that is done the other process has the word.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(in crate::lifecycle) fn finish(self, newcomer: Newcomer) -> io::Result<()> {
        let Self { runtime, taker, welcome, sockets } = self;
        newcomer.reloader.hold();
        let unclaimed = luggage::told(&newcomer.unclaimed, sockets.control.is_some());
        drop(sockets);
        *newcomer.predecessor.lock() = Some(welcome.peer.pid);
        let thread = std::thread::Builder::new().name("handover".to_owned());
        thread.spawn(move || runtime.block_on(newcomer.take_over(taker, &welcome, unclaimed)))?;
        Ok(())
    }
}

/// Works on another thread, since this one may be a runtime's, which another one cannot block.
fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Takes over in a program that runs on a runtime of its own. It goes on as before where that fails; what came of it is in
/// the log.
pub(crate) fn take_place(
    takeover: Option<Takeover>,
    reloader: &Reloader,
    serving: &Serving,
    unclaimed: Vec<Address>,
) {
    let Some(takeover) = takeover else { return };
    let (arrival, _) = watch::channel(Arrival::Coming);
    let (reloader, serving) = (reloader.clone(), serving.clone());
    let newcomer =
        Newcomer { reloader, serving, control: None, unclaimed, predecessor: Arc::default(), arrival };
    if let Err(error) = takeover.finish(newcomer) {
        log::error!("the place of the other process cannot be taken error=\"{error}\"");
    }
}

impl Newcomer {
    async fn take_over(self, taker: Taker, welcome: &Welcome, unclaimed: Vec<SocketEntry>) {
        match self.arrive(taker, unclaimed).await {
            // This process was asked to end in the very moment when the other gave way.
            Ok(predecessor) if self.serving.live.is_draining() => {
                self.see_off(predecessor, welcome.peer.pid).await;
            }
            Ok(mut predecessor) => {
                let Peer { version, pid } = &welcome.peer;
                if timeout(GIVE_WAY, self.serving.edges.resume()).await.is_err() {
                    log::error!("not all sockets are served");
                }
                self.control.iter().for_each(|door| door.open());
                self.reloader.begin();
                // One that is gone is noticed below.
                let _ = predecessor.serving().await;
                self.arrival.send_replace(Arrival::Serving);
                log::info!("this process serves now in the place of another process={pid} version={version}");
                self.see_off(predecessor, *pid).await;
            }
            Err(reason) => {
                log::error!("the place of the other process cannot be taken error=\"{reason}\"");
                self.arrival.send_replace(Arrival::Failed(reason));
            }
        }
    }

    /// Learns what the other process knows, tells what is `unclaimed`, and waits until it has given way.
    async fn arrive(&self, mut taker: Taker, unclaimed: Vec<SocketEntry>) -> Result<Predecessor, String> {
        // Whether endpoints can be reached is not the same in every process.
        settled(&self.serving.live).await;
        let state = taker.take_state().await.map_err(|error| error.to_string())?;
        if let Err(refused) = self.inherit(state).await {
            // Whoever is gone need not be told. What the old process is told stands in its audit.
            let _ = taker.fail("the last preparations", refused.public()).await;
            return Err(refused.into_text());
        }
        taker.ready(unclaimed).await.map_err(|error| error.to_string())
    }

    async fn inherit(&self, state: State) -> Result<(), Refused> {
        let heritage = unpacked(state).map_err(Refused::because)?;
        let snapshot = self.serving.live.snapshot();
        if let Some(pool) = heritage.unreached(&snapshot) {
            let why = format!("no endpoint of pool {pool} is fit here, while some are in the old process");
            return Err(Refused::because(why));
        }
        self.reloader.inherit(heritage).await?;
        if self.serving.live.is_draining() {
            return Err(Refused::because("it was asked to end meanwhile"));
        }
        Ok(())
    }

    /// Waits for the end of the other process; if this one is asked to end before, that one does not come back for it.
    async fn see_off(&self, mut predecessor: Predecessor, pid: u32) {
        let ended = tokio::select! {
            end = predecessor.gone() => Some(end),
            () = self.serving.live.ending().reached(Stage::Leaving) => None,
        };
        match ended {
            Some(End::Regular) => log::info!("the old process has ended process={pid}"),
            Some(End::Died(how)) => log::warn!("the old process died process={pid} error=\"{how}\""),
            None => {
                // Whoever is gone need not be told.
                let _ = timeout(Duration::from_secs(1), predecessor.leave()).await;
            }
        }
        *self.predecessor.lock() = None;
    }
}

impl Arrival {
    /// Resolves once the process serves.
    pub(in crate::lifecycle) async fn serving(arrival: &mut watch::Receiver<Self>) {
        if arrival.wait_for(|arrival| *arrival == Self::Serving).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Resolves once it is known that it does not come to serve.
    pub(in crate::lifecycle) async fn failed(arrival: &mut watch::Receiver<Self>) {
        if arrival.wait_for(|arrival| matches!(arrival, Self::Failed(_))).await.is_err() {
            pending::<()>().await;
        }
    }
}
