use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::config::Origin;
use crate::control::Door;
use crate::edge::{Address, Lent};
use crate::handover::{
    Cause, Giver, HandoverError, Limits, Peer, Program, SocketKind, Stage, Successor, may_leave, own_program,
};
use crate::lifecycle::edges::Edges;
use crate::lifecycle::reload::Serving;
use crate::lifecycle::systemd::ServiceManager;
use crate::runtime::{Assembled, Generation, Heritage, Lately, Live, NotUpgraded, UpgradeOrder, Upgraded};
use crate::types::Span;

use super::CONFIGURATION;
use super::luggage::{Sockets, heard, packed};

/// Has another process take the place of this one.
pub(in crate::lifecycle) struct Upgrader {
    /// Where the program of this process is, as far as that is known.
    program: Option<PathBuf>,
    live: Arc<Live>,
    edges: Edges,
    control: Option<Arc<Door>>,
    manager: Arc<ServiceManager>,
    /// The process before this one, as long as it finishes its work.
    predecessor: Arc<Mutex<Option<u32>>>,
    /// Whoever leads this process to its end.
    successors: mpsc::Sender<Handed>,
}

/// How long it may take until nothing is accepted any more, or is again.
pub(super) const GIVE_WAY: Duration = Duration::from_secs(5);

/// A process that has taken over.
pub(in crate::lifecycle) struct Handed {
    pub(in crate::lifecycle) successor: Successor,
    /// What it has no use for.
    pub(in crate::lifecycle) unclaimed: Vec<Address>,
}

/// What the other process is told by, and of.
pub(in crate::lifecycle) struct Estate<'a> {
    pub(in crate::lifecycle) served: &'a Assembled,
    /// The generations and their configurations, the oldest first.
    pub(in crate::lifecycle) history: Vec<(Generation, Origin)>,
    pub(in crate::lifecycle) lately: Lately,
}

impl Estate<'_> {
    /// The number of the configuration that is served.
    fn generation(&self) -> u64 {
        self.history.last().map_or(0, |(generation, _)| generation.number)
    }
}

impl Upgrader {
    /// For the process that serves by these.
    pub(in crate::lifecycle) fn new(
        serving: &Serving,
        control: Option<Arc<Door>>,
        manager: Arc<ServiceManager>,
        predecessor: Arc<Mutex<Option<u32>>>,
        successors: mpsc::Sender<Handed>,
    ) -> Self {
        let program = own_program();
        let program =
            program.inspect_err(|error| log::debug!("the own program is unknown error={error}")).ok();
        let (live, edges) = (serving.live.clone(), serving.edges.clone());
        Self { program, live, edges, control, manager, predecessor, successors }
    }

    /// The process before this one, as long as it finishes its work.
    pub(in crate::lifecycle) fn predecessor(&self) -> Option<u32> {
        *self.predecessor.lock()
    }

    /// Has another process take over. Dropped before its end, it leaves everything as it was.
    ///
    /// # Errors
    /// When no other process takes over; then everything is as it was.
    pub(in crate::lifecycle) async fn upgrade(
        &self,
        order: UpgradeOrder,
        estate: Estate<'_>,
    ) -> Result<Upgraded, NotUpgraded> {
        self.check_alone()?;
        may_leave().map_err(|error| NotUpgraded::Failed(error.to_string()))?;
        let mut limits = Limits::default();
        limits.hello = order.start_limit.map_or(limits.hello, Span::get);
        let program = self.program(order)?;
        match self.give(&program, limits, &estate).await {
            Ok(upgraded) => Ok(upgraded),
            Err(error) => {
                log::error!("the upgrade came to nothing, this process serves on error=\"{error}\"");
                Err(match error.cause {
                    Cause::Failed { stage, message } if stage == CONFIGURATION => {
                        NotUpgraded::Configuration(message)
                    }
                    _ => NotUpgraded::Failed(error.to_string()),
                })
            }
        }
    }

    /// At most two generations of the process live at a time.
    fn check_alone(&self) -> Result<(), NotUpgraded> {
        match self.predecessor() {
            None => Ok(()),
            Some(pid) => Err(NotUpgraded::Failed(format!(
                "process {pid}, from which this one took over, still finishes its work\n  \
                 help: wait for its end (server.drain bounds it), or end it at once: kill {pid}"
            ))),
        }
    }

    fn program(&self, order: UpgradeOrder) -> Result<Program, NotUpgraded> {
        let path = order.binary.or(self.program.clone());
        let path = path.ok_or_else(|| {
            NotUpgraded::Failed(
                "the program of this process is unknown\n  help: name it with --binary".to_owned(),
            )
        })?;
        let args = match order.config {
            Some(config) => vec![OsString::from("run"), OsString::from("-c"), config.into_os_string()],
            None => std::env::args_os().skip(1).collect(),
        };
        Ok(Program { path, args, env: Vec::new() })
    }

    async fn give(
        &self,
        program: &Program,
        limits: Limits,
        estate: &Estate<'_>,
    ) -> Result<Upgraded, HandoverError> {
        let mut giver = Giver::start(program, limits)?;
        let process = giver.pid().unwrap_or_default();
        log::info!("a new process is started program={} process={process}", program.path.display());
        let peer = giver.greet(&Peer::this_process(), estate.generation()).await?;
        let sockets = match self.sockets() {
            Ok(sockets) => sockets,
            Err(error) => return Err(give_up(giver, error).await),
        };
        let need = giver.give_sockets(&sockets.given()).await?;
        drop(sockets);
        if need.state {
            let state = packed(Heritage::of(estate.served, &estate.history, &estate.lately, Instant::now()));
            giver.give_state(&state).await?;
        }
        let unclaimed = giver.ready().await?;
        let leaves_control = unclaimed.iter().any(|entry| entry.kind == SocketKind::Control);
        let unclaimed = heard(unclaimed);
        if self.live.is_draining() {
            giver.stay("the process was asked to end").await;
            let error = std::io::Error::other("this process was asked to end meanwhile");
            return Err(HandoverError::own(Stage::Ready, error));
        }
        // From here on the other process would serve, and only one of the two may accept.
        if timeout(GIVE_WAY, self.edges.give_way()).await.is_err() {
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "its sockets cannot be given up");
            giver.stay("its sockets cannot be given up").await;
            self.take_back().await;
            return Err(HandoverError::own(Stage::Ready, error));
        }
        self.control.iter().for_each(|door| door.close());
        self.manager.leave_to(peer.pid);
        match giver.go().await {
            Ok(successor) => {
                if leaves_control {
                    self.control.iter().for_each(|door| door.desert());
                }
                log::info!("another process serves, this one finishes its work process={}", peer.pid);
                // Whoever leads to the end is gone only when that has come.
                let _ = self.successors.send(Handed { successor, unclaimed }).await;
                Ok(Upgraded { process: peer.pid, version: peer.version })
            }
            Err(error) => {
                if !self.live.is_draining() {
                    self.take_back().await;
                }
                Err(error)
            }
        }
    }

    fn sockets(&self) -> std::io::Result<Sockets<Lent>> {
        let control = match &self.control {
            Some(door) => Some((door.path().to_owned(), door.duplicate()?)),
            None => None,
        };
        Ok(Sockets { listening: self.edges.sockets()?, control })
    }

    /// Serves again, since nobody else does any more.
    pub(in crate::lifecycle) async fn take_back(&self) {
        if timeout(GIVE_WAY, self.edges.resume()).await.is_err() {
            log::error!("not all sockets are served again");
        }
        self.control.iter().for_each(|door| door.open());
        self.manager.leave_to(std::process::id());
    }
}

async fn give_up(giver: Giver, error: std::io::Error) -> HandoverError {
    giver.stay(&format!("its sockets cannot be handed over: {error}")).await;
    HandoverError::own(Stage::Sockets, error)
}
