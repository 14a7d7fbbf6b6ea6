use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use pingora_proxy::HttpProxy;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::edge::Edge;
use crate::gateway::Gateway;
use crate::runtime::Live;
use crate::telemetry::AccessLog;

/// What signals do: SIGINT ends the process at once; SIGTERM and SIGQUIT after the running requests, and at once
/// when they come again. SIGUSR1 has the access log opened again; SIGHUP has certificates read again.
pub(super) struct Signals {
    live: Arc<Live>,
    edge: Arc<Edge<HttpProxy<Gateway>>>,
    log: Arc<AccessLog>,
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

/// How long running requests may take after the first SIGTERM.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// How long connections that are cut off may take to say so in the log.
const CUT_LIMIT: Duration = Duration::from_millis(200);

impl Signals {
    pub(super) fn new(live: Arc<Live>, edge: Arc<Edge<HttpProxy<Gateway>>>, log: Arc<AccessLog>) -> Self {
        Self { live, edge, log }
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
        log::info!("draining connections={}", self.edge.open_connections());
        self.live.begin_drain();
        tokio::select! {
            drained = timeout(DRAIN_LIMIT, self.edge.drained()) => match drained {
                Ok(()) => log::info!("drained"),
                Err(_) => self.cut("it took too long").await,
            },
            () = ends.any() => self.cut("by a second signal").await,
        }
        // Nothing is left that a graceful end of Pingora's would wait for.
        ShutdownSignal::FastShutdown
    }

    /// Ends what a drain could not wait for.
    async fn cut(&self, why: &str) {
        log::warn!("drain cut short connections={} reason=\"{why}\"", self.edge.open_connections());
        self.live.cut();
        // However it ends: what still goes on is not worth waiting for.
        let _ = timeout(CUT_LIMIT, self.edge.drained()).await;
    }

    async fn kept_up(&self, upkeep: &mut Upkeep) -> Infallible {
        loop {
            tokio::select! {
                Some(()) = upkeep.usr1.recv() => self.log.reopen(),
                Some(()) = upkeep.hangup.recv() => {
                    log::warn!("SIGHUP reads certificates again, and no more; restart to serve a changed configuration");
                    self.live.reread_tls();
                }
                else => std::future::pending().await,
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut upkeep), Ok(mut ends)) = (Upkeep::new(), Ends::new()) else {
            log::error!("signals cannot be received; only SIGKILL ends this process");
            return std::future::pending().await;
        };
        tokio::select! {
            signal = self.ended(&mut ends) => signal,
            never = self.kept_up(&mut upkeep) => match never {},
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
