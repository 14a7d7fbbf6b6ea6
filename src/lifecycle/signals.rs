use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use pingora_proxy::HttpProxy;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::edge::Edge;
use crate::gateway::Gateway;
use crate::runtime::Live;

/// What ends the process: SIGINT at once; SIGTERM and SIGQUIT after the running requests, and at once when they
/// come again.
pub(super) struct Signals {
    live: Arc<Live>,
    edge: Arc<Edge<HttpProxy<Gateway>>>,
}

/// How long running requests may take after the first SIGTERM.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

impl Signals {
    pub(super) fn new(live: Arc<Live>, edge: Arc<Edge<HttpProxy<Gateway>>>) -> Self {
        Self { live, edge }
    }

    async fn drained(&self) {
        while self.edge.open_connections() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut int), Ok(mut term), Ok(mut quit)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::quit()))
        else {
            log::error!("signals cannot be received; only SIGKILL ends this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = int.recv() => {
                log::info!("stopping at once");
                return ShutdownSignal::FastShutdown;
            }
            _ = term.recv() => {}
            _ = quit.recv() => {}
        }
        log::info!("draining connections={}", self.edge.open_connections());
        self.live.begin_drain();
        tokio::select! {
            drained = timeout(DRAIN_LIMIT, self.drained()) => match drained {
                Ok(()) => log::info!("drained"),
                Err(_) => log::warn!("drain cut short connections={}", self.edge.open_connections()),
            },
            () = any(&mut int, &mut term, &mut quit) => log::warn!("drain cut short by a second signal"),
        }
        // Nothing is left that a graceful end of Pingora's would wait for.
        ShutdownSignal::FastShutdown
    }
}

async fn any(int: &mut Signal, term: &mut Signal, quit: &mut Signal) {
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = quit.recv() => {}
    }
}
