use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::handover::End;
use crate::runtime::{Actor, Changes, UpgradeOrder, Why};
use crate::telemetry::AccessLog;

use super::drain::Drain;
use super::reload::Reloader;
use super::systemd::ServiceManager;
use super::upgrade::{Arrival, Handed};

/// What leads the process to its end, and what signals do on the way: SIGINT ends it at once; SIGTERM and SIGQUIT after a
/// drain, and at once when they come again. SIGUSR1 has the access log and the audit log opened again, SIGHUP the configuration read again;
/// SIGUSR2 has a new process take over.
pub(super) struct Signals {
    pub(super) reloader: Reloader,
    pub(super) drain: Drain,
    pub(super) log: Arc<AccessLog>,
    pub(super) manager: Arc<ServiceManager>,
    /// Processes that have taken over, until somebody waits for them.
    pub(super) successors: Mutex<Option<mpsc::Receiver<Handed>>>,
    pub(super) arrival: watch::Receiver<Arrival>,
}

/// The signals that end the process.
struct Ends {
    int: Signal,
    term: Signal,
    quit: Signal,
}

/// The signals that it goes on after.
struct Upkeep {
    hangup: Signal,
    usr1: Signal,
    usr2: Signal,
}

/// What ends the life of a process beside its successor.
enum Parting {
    Drained,
    /// A signal came.
    Cut,
    SuccessorGone(End),
}

/// How long an older process has to learn that this one ends at once.
const FAREWELL: Duration = Duration::from_millis(100);

impl Signals {
    /// Drains after the first signal, or after another process has taken over; ends with what the process is to do then.
    async fn ended(&self, ends: &mut Ends) -> ShutdownSignal {
        let mut successors = self.successors.lock().take();
        loop {
            tokio::select! {
                _ = ends.int.recv() => {
                    log::info!("stopping at once");
                    self.take_leave().await;
                    return ShutdownSignal::FastShutdown;
                }
                _ = ends.term.recv() => break,
                _ = ends.quit.recv() => break,
                Some(handed) = next(&mut successors) => {
                    if self.leave(handed, ends).await {
                        return ShutdownSignal::FastShutdown;
                    }
                }
            }
        }
        self.manager.stopping();
        tokio::select! {
            () = self.drain.run() => {}
            () = ends.any() => self.drain.cut("by a second signal").await,
        }
        self.take_leave().await;
        // Nothing is left that a graceful end of Pingora's would wait for.
        ShutdownSignal::FastShutdown
    }

    /// Sees to it that an older process that still finishes its work does not come back for this one.
    async fn take_leave(&self) {
        if self.reloader.predecessor().is_some() {
            self.drain.begin();
            sleep(FAREWELL).await;
        }
    }

    /// Finishes the work of a process that another has taken over from. False where that has died, and this one serves
    /// again.
    async fn leave(&self, handed: Handed, ends: &mut Ends) -> bool {
        let Handed { mut successor, unclaimed } = handed;
        let (process, mut may_come_back) = (successor.pid().unwrap_or_default(), true);
        let drained = self.drain.run_after_hand_over(&unclaimed);
        tokio::pin!(drained);
        loop {
            let parting = tokio::select! {
                () = &mut drained => Parting::Drained,
                () = ends.any() => Parting::Cut,
                end = successor.gone(), if may_come_back => Parting::SuccessorGone(end),
            };
            match parting {
                Parting::Drained => break,
                Parting::Cut => {
                    self.drain.cut("by a signal").await;
                    break;
                }
                // Somebody wants nobody to serve, or somebody else.
                Parting::SuccessorGone(End::Regular) => {
                    may_come_back = false;
                    self.drain.let_go();
                }
                Parting::SuccessorGone(End::Died(how)) => {
                    log::error!(
                        "the new process died, this one serves again process={process} error=\"{how}\""
                    );
                    self.reloader.take_back().await;
                    return false;
                }
            }
        }
        self.manager.left().await;
        if may_come_back {
            // Whoever is gone need not be told.
            let _ = successor.done().await;
        }
        true
    }

    async fn kept_up(&self, upkeep: &mut Upkeep) -> Infallible {
        let Upkeep { hangup, usr1, usr2 } = upkeep;
        // Neither waits for the other's disk.
        tokio::select! {
            never = self.log_reopened(usr1) => never,
            never = self.reloaded(hangup) => never,
            never = self.upgraded(usr2) => never,
        }
    }

    async fn log_reopened(&self, usr1: &mut Signal) -> Infallible {
        while let Some(()) = usr1.recv().await {
            self.log.reopen();
            self.reloader.audit().reopen();
        }
        pending().await
    }

    async fn reloaded(&self, hangup: &mut Signal) -> Infallible {
        let by = Actor::itself(Why::Signal);
        while let Some(()) = hangup.recv().await {
            // What came of it is in the log.
            let _ = self.manager.reloading(self.reloader.reload(&by, None, None)).await;
        }
        pending().await
    }

    async fn upgraded(&self, usr2: &mut Signal) -> Infallible {
        let by = Actor::itself(Why::Signal);
        while let Some(()) = usr2.recv().await {
            if let Err(refused) = self.reloader.upgrade(&by, UpgradeOrder::default()).await {
                log::error!("nothing has changed: {refused}");
            }
        }
        pending().await
    }
}

/// The next process that has taken over; never, where none can.
async fn next(successors: &mut Option<mpsc::Receiver<Handed>>) -> Option<Handed> {
    match successors {
        Some(successors) => successors.recv().await,
        None => pending().await,
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut upkeep), Ok(mut ends)) = (Upkeep::new(), Ends::new()) else {
            log::error!("signals cannot be received; only SIGKILL ends this process");
            return pending().await;
        };
        let mut arrival = self.arrival.clone();
        tokio::select! {
            signal = self.ended(&mut ends) => signal,
            // The process before this one goes on.
            () = Arrival::failed(&mut arrival) => ShutdownSignal::FastShutdown,
            never = self.kept_up(&mut upkeep) => match never {},
            never = self.manager.keep_told() => match never {},
        }
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

impl Upkeep {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }
}
