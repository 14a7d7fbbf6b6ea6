use std::io;
use std::sync::Arc;

use pingora_core::server::configuration::ServerConf;

use crate::admin::Admin;
use crate::config::Origin;
use crate::control::CannotOpen;
use crate::edge::{Address, BindError, Edge, InheritError, Inherited};
use crate::gateway::{HttpApp, MAX_ATTEMPTS};
use crate::handover::HandoverError;
use crate::l4::Layer4;
use crate::pools::Prober;
use crate::runtime::{
    AdminService, Assembled, Audit, CannotSave, Control, FolderTaken, Live, Registry, SecretFile,
    reserve_folders,
};
use crate::telemetry::{AccessLog, Messages};
use crate::types::{BindAddr, ListenerName};

use super::control::ControlSocket;
use super::edges::Edges;
use super::limits::{edge_limits, flow_sockets, raise_nofile};
use super::reload::{Reloader, Serving};
use super::upgrade::Takeover;

/// Everything of a configuration that runs, built and bound but not started yet.
pub(crate) struct Parts {
    live: Arc<Live>,
    edges: Edges,
    prober: Arc<Prober>,
    log: Arc<AccessLog>,
    audit: Arc<Audit>,
    threads: usize,
    /// What was handed over and has no use here.
    unused: Vec<String>,
    unclaimed: Vec<Address>,
    pub(crate) assembled: Assembled,
    source: (Origin, Arc<Registry>),
    /// Of the process that serves until this one does.
    pub(crate) takeover: Option<Takeover>,
}

/// The same, once it is started.
pub(crate) struct Running {
    pub(crate) reloader: Reloader,
    pub(crate) serving: Serving,
    /// Whoever answers those who look after the process.
    pub(crate) control: Arc<Control>,
    pub(crate) admin: Arc<dyn AdminService>,
    pub(super) threads: usize,
    pub(crate) takeover: Option<Takeover>,
    pub(crate) unclaimed: Vec<Address>,
}

/// Why a sound configuration cannot be started here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Inherit(#[from] InheritError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the access log cannot be opened: {0}")]
    AccessLog(#[source] io::Error),
    #[error("{0}")]
    AuditLog(#[source] io::Error),
    #[error(transparent)]
    SecretFile(#[from] CannotSave),
    #[error(transparent)]
    Folder(#[from] FolderTaken),
    #[error(transparent)]
    Control(#[from] CannotOpen),
    #[error("no thread can be started: {0}")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Handover(#[from] HandoverError),
    #[error("the place of the other process cannot be taken: {0}")]
    Takeover(String),
}

/// Idle connections to endpoints that are kept for each worker thread; they are shared by all.
const KEPT_PER_THREAD: usize = 1024;

impl Parts {
    /// Opens what the configuration needs of this machine, as far as it was not handed over. On any failure nothing stays
    /// open. Where this process `takes_over` from another, nobody is accepted yet.
    pub(crate) fn build(
        assembled: Assembled,
        source: (Origin, Arc<Registry>),
        mut inherited: Inherited,
        takes_over: bool,
    ) -> Result<Self, StartError> {
        raise_nofile();
        let config = &assembled.config;
        // The other process may know the secret though its file is gone.
        if !takes_over {
            assembled.secret_file.iter().try_for_each(SecretFile::save)?;
            reserve_folders(&assembled.snapshot.caches)?;
        }
        // The number of cores that the process may use, by its affinity and its cgroup.
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = config.threads.unwrap_or_else(cores);
        let log =
            AccessLog::open(config.access_format, &config.access_sink).map_err(StartError::AccessLog)?;
        let log = Arc::new(log);
        let audit = Arc::new(Audit::open(config.audit_log()).map_err(StartError::AuditLog)?);
        let live = Arc::new(Live::new(assembled.snapshot.clone()));
        let app = HttpApp::new(&Arc::new(server_conf(threads)), live.clone(), log.clone());
        let layer4 = Layer4::new(log.clone(), flow_sockets());
        let ending = live.ending().clone();
        let traffic = Edge::new(app, layer4, log.clone(), ending, edge_limits(config), threads);
        let edges = Edges { traffic, admin: Edge::for_admin() };
        let prepared = edges.prepare(&assembled.snapshot, &mut inherited)?;
        edges.adopt(prepared, config.drain);
        if takes_over {
            edges.hold();
        }
        Ok(Self {
            edges,
            prober: Arc::new(Prober::new(&assembled.snapshot.pools)),
            live,
            log,
            audit,
            threads,
            unclaimed: inherited.unclaimed(),
            unused: inherited.into_unused(),
            assembled,
            source,
            takeover: None,
        })
    }

    /// Whoever changes the configuration from now on, and what is to be started.
    pub(crate) fn into_running(self, messages: Option<Arc<Messages>>) -> Running {
        let Self { live, edges, prober, log, audit, threads, assembled, source, takeover, unclaimed, .. } =
            self;
        let serving = Serving { live, edges, prober, log, messages, audit };
        let (origin, registry) = source;
        let reloader = Reloader::new(registry, origin, assembled, serving.clone());
        let control = Arc::new(Control::new(serving.live.clone(), Arc::new(reloader.clone())));
        let admin: Arc<dyn AdminService> = Arc::new(Admin::new(control.clone()));
        serving.edges.admin.answer_by(&admin);
        Running { reloader, serving, control, admin, threads, takeover, unclaimed }
    }

    /// The control socket, opened where the configuration says, or taken over with everything else.
    pub(crate) fn open_control(&mut self) -> Result<ControlSocket, StartError> {
        let place = self.assembled.config.control_socket.as_ref();
        Ok(match &mut self.takeover {
            Some(takeover) => ControlSocket::take_over(place, takeover)?,
            None => ControlSocket::open(place)?,
        })
    }

    /// Warns of what was handed over in vain.
    pub(crate) fn tell_unused(&self) {
        for socket in &self.unused {
            log::warn!("{socket}");
        }
    }

    /// Where the listeners really listen.
    pub(crate) fn addresses(&self) -> Vec<(ListenerName, BindAddr)> {
        self.edges.traffic.addresses()
    }

    /// Where those who look after the process really reach it.
    pub(crate) fn admin_addresses(&self) -> Vec<BindAddr> {
        self.edges.admin_addresses()
    }
}

/// Pingora's own configuration; it never comes from a file.
pub(super) fn server_conf(threads: usize) -> ServerConf {
    ServerConf {
        threads,
        max_retries: MAX_ATTEMPTS,
        upstream_keepalive_pool_size: KEPT_PER_THREAD,
        // The drain is ours; when it is over, nothing is left to wait for.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}
