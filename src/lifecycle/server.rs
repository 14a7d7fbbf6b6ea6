use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::Service;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::edge::Edge;
use crate::pools::Prober;
use crate::runtime::{AdminService, Audit, Live, TlsFiles, keep_series, run_jobs, turn_windows};
use crate::telemetry::{AccessLog, Messages};

use super::control::ControlSocket;
use super::drain::Drain;
use super::parts::{Parts, Running, StartError, server_conf};
use super::reload::{Reloader, Serving};
use super::signals::Signals;
use super::systemd::ServiceManager;
use super::upgrade::{Arrival, Newcomer, Upgrader};

/// How long the end of the process waits for the last lines of a log, and for the last spans.
pub(crate) const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// Serves under a Pingora server of its own until a signal ends it, or another process has taken over. Blocks its thread.
///
/// # Errors
/// When it does not come to serve, since it cannot take over from another process.
pub(crate) fn serve(
    parts: Parts,
    mut control: ControlSocket,
    messages: Arc<Messages>,
) -> Result<(), StartError> {
    parts.tell_unused();
    let running = parts.into_running(Some(messages));
    let Serving { edges, live, log, audit, .. } = running.serving.clone();
    let mut server = Server::new_with_opt_and_conf(None, server_conf(running.threads));
    server.bootstrap();
    let signals = compose(&mut server, running, &mut control)?;
    let arrival = signals.arrival.clone();
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    drop(control);
    edges.clear_away();
    settle(&log, &audit, &live);
    match &*arrival.borrow() {
        Arrival::Failed(reason) => Err(StartError::Takeover(reason.clone())),
        Arrival::Coming | Arrival::Serving => Ok(()),
    }
}

/// Waits until the last lines are written and the last spans sent, each for a while. Spans of a configuration that wanted some,
/// and was replaced by one that wants none, are on their way since then. Blocks its thread.
pub(crate) fn settle(log: &AccessLog, audit: &Audit, live: &Live) {
    log.settle(LOG_PATIENCE);
    audit.settle(LOG_PATIENCE);
    if let Some(tracing) = &live.snapshot().tracing {
        tracing.exporter().settle(LOG_PATIENCE);
    }
}

/// Gives the server its services, and returns what leads it to its end.
fn compose(
    server: &mut Server,
    Running { reloader, serving, control, admin, threads, takeover, unclaimed }: Running,
    control_socket: &mut ControlSocket,
) -> Result<Signals, StartError> {
    let Serving { live, edges, prober, log, .. } = serving.clone();
    let (started, data_plane) = watch::channel(None);
    let (arrival, arriving) = watch::channel(takeover.as_ref().map_or(Arrival::Serving, |_| Arrival::Coming));
    let manager =
        Arc::new(ServiceManager::new(live.clone(), edges.traffic.clone(), data_plane, arriving.clone()));
    let (predecessor, door) = (Arc::default(), control_socket.door().cloned());
    let (handed, successors) = mpsc::channel(1);
    let (leaving, upgrader_door) = (Arc::clone(&predecessor), door.clone());
    reloader.set_upgrader(Upgrader::new(&serving, upgrader_door, manager.clone(), leaving, handed));
    if let Some(service) = control_socket.service(control, admin.clone()) {
        server.add_service(service);
    }
    if let Some(takeover) = takeover {
        let reloader = reloader.clone();
        let newcomer = Newcomer { reloader, serving, control: door, unclaimed, predecessor, arrival };
        takeover.finish(newcomer).map_err(StartError::Thread)?;
    }
    let tls_files = Some(TlsFiles::new(live.clone()));
    server.add_service(UpkeepService {
        live: live.clone(),
        prober,
        tls_files,
        reloader: Some(reloader.clone()),
    });
    server.add_service(AdminEdge { edge: edges.admin.clone(), _answering: admin });
    server.add_service(EdgeService { edge: edges.traffic.clone(), threads, started });
    let (drain, successors) = (Drain::new(live, edges), Mutex::new(Some(successors)));
    Ok(Signals { reloader, drain, log, manager, successors, arrival: arriving })
}

/// The accept loops of all listeners, as one service with the data plane's threads.
struct EdgeService {
    edge: Arc<Edge>,
    threads: usize,
    /// Is told the runtime that this runs on.
    started: watch::Sender<Option<Handle>>,
}

#[async_trait]
impl Service for EdgeService {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        self.started.send_replace(Some(Handle::current()));
        self.edge.run().await;
    }

    fn name(&self) -> &'static str {
        "edge"
    }

    fn threads(&self) -> Option<usize> {
        Some(self.threads)
    }

    /// The sockets are bound before the server is, so Pingora holds none of them.
    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

/// The accept loops of those who look after the process, on a thread of its own, so that they have their answers when the
/// data plane is busy, and do not hold it up.
struct AdminEdge {
    edge: Arc<Edge>,
    /// The edge does not keep it.
    _answering: Arc<dyn AdminService>,
}

#[async_trait]
impl Service for AdminEdge {
    async fn start_service(&mut self, _: Option<ListenFds>, mut shutdown: ShutdownWatch, _: usize) {
        self.edge.run().await;
        // It may serve again after that. An error here means that the process ends.
        let _ = shutdown.wait_for(|is_over| *is_over).await;
    }

    fn name(&self) -> &'static str {
        "evener-admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

/// The health checks and the look at files, on a thread of their own, so that a busy data plane does not fail its
/// own probes.
struct UpkeepService {
    live: Arc<Live>,
    prober: Arc<Prober>,
    /// Until the start.
    tls_files: Option<TlsFiles>,
    reloader: Option<Reloader>,
}

#[async_trait]
impl Service for UpkeepService {
    async fn start_service(&mut self, _: Option<ListenFds>, shutdown: ShutdownWatch, _: usize) {
        if let Some(tls_files) = self.tls_files.take() {
            // Not to the drain, which may be taken back.
            tokio::spawn(tls_files.run(shutdown.clone()));
        }
        // Requests may need them to their end.
        tokio::spawn(run_jobs(self.live.clone()));
        tokio::spawn(keep_series(self.live.clone()));
        tokio::spawn(turn_windows(self.live.clone()));
        let watch = async {
            match self.reloader.take() {
                Some(reloader) => reloader.watch().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.prober.run(shutdown) => {}
            never = watch => match never {},
        }
    }

    fn name(&self) -> &'static str {
        "upkeep"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}
