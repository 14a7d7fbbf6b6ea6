use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::runtime::{Changes, Why};
use crate::telemetry::AccessLog;

use super::drain::Drain;
use super::reload::Reloader;
use super::systemd::ServiceManager;

/// What signals do: SIGINT ends the process at once; SIGTERM and SIGQUIT after a drain, and at once when they come
/// again. SIGUSR1 has the access log opened again; SIGHUP has the configuration read again.
pub(super) struct Signals {
    reloader: Reloader,
    drain: Drain,
    log: Arc<AccessLog>,
    manager: ServiceManager,
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
}

impl Signals {
    pub(super) fn new(
        reloader: Reloader,
        drain: Drain,
        log: Arc<AccessLog>,
        manager: ServiceManager,
    ) -> Self {
        Self { reloader, drain, log, manager }
    }

    /// Drains after the first signal; ends with what the process is to do then.
    async fn ended(&self, ends: &mut Ends) -> ShutdownSignal {
        tokio::select! {
            _ = ends.int.recv() => {
                log::info!("stopping at once");
                return ShutdownSignal::FastShutdown;
            }
            _ = ends.term.recv() => {}
            _ = ends.quit.recv() => {}
        }
        self.manager.stopping();
        tokio::select! {
            () = self.drain.run() => {}
            () = ends.any() => self.drain.cut("by a second signal").await,
        }
        // Nothing is left that a graceful end of Pingora's would wait for.
        ShutdownSignal::FastShutdown
    }

    async fn kept_up(&self, upkeep: &mut Upkeep) -> Infallible {
        let Upkeep { hangup, usr1 } = upkeep;
        // Neither waits for the other's disk.
        tokio::select! {
            never = self.log_reopened(usr1) => never,
            never = self.reloaded(hangup) => never,
        }
    }

    async fn log_reopened(&self, usr1: &mut Signal) -> Infallible {
        while let Some(()) = usr1.recv().await {
            self.log.reopen();
        }
        pending().await
    }

    async fn reloaded(&self, hangup: &mut Signal) -> Infallible {
        while let Some(()) = hangup.recv().await {
            // What came of it is in the log.
            let _ = self.manager.reloading(self.reloader.reload(Why::Signal, None)).await;
        }
        pending().await
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut upkeep), Ok(mut ends)) = (Upkeep::new(), Ends::new()) else {
            log::error!("signals cannot be received; only SIGKILL ends this process");
            return pending().await;
        };
        tokio::select! {
            signal = self.ended(&mut ends) => signal,
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
        Ok(Self { hangup: signal(SignalKind::hangup())?, usr1: signal(SignalKind::user_defined1())? })
    }
}
