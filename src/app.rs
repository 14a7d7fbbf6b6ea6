//! The composition root: from a configuration and the hooks of a program to something that serves.

mod running;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use crate::audit::{self, Audit};
use crate::config::{self, Diagnostics, Loaded, Origin, ReferenceSection};
use crate::edge::{InheritError, Inherited};
use crate::hooks::{BuildCx, BuildError, Filter, Member, Policy};
use crate::lifecycle::{self, ControlSocket, Parts, StartError, Takeover};
use crate::runtime::{self, Assembled, Question, Registry, Side};
use crate::telemetry::Messages;
use crate::types::{BindAddr, ListenerName, Random};

pub use running::{ReloadError, Reloaded, RunningApp};

/// Collects the hooks of a program; then loads configurations that may name them.
///
/// ```no_run
/// use evener::app::App;
///
/// let app = App::builder().load("evener.yaml".as_ref())?;
/// app.bind()?.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AppBuilder {
    registry: Arc<Registry>,
}

/// A configuration that was checked and built, and can be started.
#[derive(Debug)]
pub struct App {
    assembled: Assembled,
    origin: Origin,
    registry: Arc<Registry>,
}

/// An app whose listeners are bound: clients can connect, and are served once it runs.
pub struct BoundApp {
    parts: Parts,
    /// None until it was tried to open it.
    control: Option<ControlSocket>,
}

/// Why a configuration was refused: every problem with its place, in the form of `evener check`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(Diagnostics);

/// Why a sound configuration could not be started on this machine: an address in use, a file that cannot be
/// opened. The text names the listener or file.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BindFailed(#[from] StartError);

impl App {
    /// A builder with the built-in filters and policies.
    pub fn builder() -> AppBuilder {
        AppBuilder { registry: Arc::new(Registry::with_built_ins()) }
    }

    /// What is legal but surely not meant: routes that can never match, pools that nobody uses.
    pub fn warnings(&self) -> &Diagnostics {
        &self.assembled.warnings
    }

    /// The configuration in short: listeners, routes in the order in which they are tried, pools.
    pub fn summary(&self) -> String {
        runtime::summary(&self.assembled)
    }

    /// Says what would become of a request, as `evener explain` does.
    pub(crate) fn explain(&self, question: &Question) -> Result<String, impl std::error::Error + use<>> {
        runtime::explain(&self.assembled.snapshot, question)
    }

    /// Where the configuration deviates from the secure profile.
    pub(crate) fn audit(&self) -> Result<Audit, ConfigError> {
        let Loaded { config, source, .. } =
            self.origin.read().and_then(Loaded::sound).map_err(ConfigError)?;
        let secrets = |filter: &str| self.registry.secrets_of_filter(filter);
        Ok(audit::audit((&config, &source), &self.origin.folder(), &secrets, SystemTime::now()))
    }

    /// The configuration, to be asked about the requests of a log beside another.
    pub(crate) fn side(&self) -> Side<'_> {
        let Assembled { config, snapshot, outline, .. } = &self.assembled;
        Side { config, snapshot, outline }
    }

    /// Binds every listener, or none. Where an older process of the program has started this one to be replaced by it
    /// (`evener upgrade`), that one's sockets are used, and nothing is accepted until it has given way, once
    /// [`run`](BoundApp::run) or [`start`](BoundApp::start) is called.
    ///
    /// # Errors
    /// When an address cannot be bound, the access log cannot be opened, or the older process goes on by itself.
    pub fn bind(self) -> Result<BoundApp, BindFailed> {
        self.bind_with(|| Ok(Inherited::default()))
    }

    /// The same for a program that a service manager starts: sockets that it has opened (socket activation, by
    /// LISTEN_FDS and LISTEN_PID) are used in place of binding their addresses. It takes all that were handed to the
    /// process, once, and closes those that no listener can use, with a warning.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind), or when the variables tell of descriptors that are not open.
    pub fn bind_or_adopt(self) -> Result<BoundApp, BindFailed> {
        self.bind_with(Inherited::take)
    }

    fn take_over(self, mut takeover: Takeover) -> Result<Parts, StartError> {
        let Self { assembled, origin, registry } = self;
        match Parts::build(assembled, (origin, registry), takeover.take_listening(), true) {
            Ok(mut parts) => {
                parts.takeover = Some(takeover);
                Ok(parts)
            }
            Err(error) => {
                takeover.fail("the start", &error.to_string());
                Err(error)
            }
        }
    }

    /// With the sockets of an older process, or else those that `inherited` finds.
    fn bind_with(
        self,
        inherited: impl FnOnce() -> Result<Inherited, InheritError>,
    ) -> Result<BoundApp, BindFailed> {
        let parts = match Takeover::begin().map_err(StartError::from)? {
            Some(takeover) => self.take_over(takeover)?,
            None => {
                let Self { assembled, origin, registry } = self;
                let inherited = inherited().map_err(StartError::from)?;
                Parts::build(assembled, (origin, registry), inherited, false)?
            }
        };
        Ok(BoundApp { parts, control: None })
    }
}

impl AppBuilder {
    /// Registers a filter under a name by which routes use it: `- name: { settings }`.
    ///
    /// `build` gets the settings, read and checked, once for every route that uses the filter, whenever a
    /// configuration is loaded. A name that is taken is told by [`load`](Self::load).
    #[must_use]
    pub fn filter<S, F>(
        mut self,
        name: &str,
        build: impl Fn(S, &BuildCx<'_>) -> Result<F, BuildError> + Send + Sync + 'static,
    ) -> Self
    where
        S: DeserializeOwned,
        F: Filter + 'static,
    {
        Arc::make_mut(&mut self.registry).filter(name, build);
        self
    }

    /// Registers a balancing policy under a name by which pools use it: `balance: name` or
    /// `balance: { name: { settings } }`.
    ///
    /// `build` gets the settings, read and checked, once for every pool that uses the policy, and gives a
    /// function that makes the policy for a set of members, which is never empty; this is called again whenever
    /// the set of fit endpoints changes. While it panics, requests of the pool fail with 500.
    #[must_use]
    pub fn policy<S, F, P>(
        mut self,
        name: &str,
        build: impl Fn(S, &BuildCx<'_>) -> Result<F, BuildError> + Send + Sync + 'static,
    ) -> Self
    where
        S: DeserializeOwned,
        F: Fn(&[Member]) -> P + Send + Sync + 'static,
        P: Policy + 'static,
    {
        let build = move |settings, cx: &BuildCx<'_>| {
            let new_policy = build(settings, cx)?;
            Ok(move |members: &[Member], _: &mut Random| Box::new(new_policy(members)) as Box<dyn Policy>)
        };
        Arc::make_mut(&mut self.registry).policy(name, build);
        self
    }

    /// Loads, checks and builds a configuration file.
    ///
    /// # Errors
    /// All of its problems at once, or a hook's name that was registered twice.
    pub fn load(&self, path: &Path) -> Result<App, ConfigError> {
        self.load_from(Origin::File(path.to_owned()))
    }

    /// Loads, checks and builds a configuration from a text. `name` stands for it in diagnostics; relative paths
    /// in it start at `base`.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_text(&self, name: &str, base: &Path, text: &str) -> Result<App, ConfigError> {
        self.load_from(Origin::Text {
            name: name.to_owned(),
            base: base.to_owned(),
            text: text.to_owned(),
            included: None,
        })
    }

    /// The reference of all configuration keys, as Markdown.
    pub fn reference(&self) -> String {
        let section = |(title, schema): &(String, schemars::Schema)| ReferenceSection {
            title: title.clone(),
            schema: schema.clone(),
        };
        config::reference(&self.registry.schemas().iter().map(section).collect::<Vec<_>>())
    }

    /// What `evener simulate` may choose from.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn load_from(&self, origin: Origin) -> Result<App, ConfigError> {
        let assembled = runtime::assemble(&origin, &self.registry, None).map_err(ConfigError)?;
        Ok(App { assembled, origin, registry: self.registry.clone() })
    }
}

impl BoundApp {
    /// Where the listeners really listen: with the ports that the kernel chose for port 0.
    pub fn addresses(&self) -> Vec<(ListenerName, BindAddr)> {
        self.parts.addresses()
    }

    /// Where `admin` really answers.
    pub fn admin_addresses(&self) -> Vec<BindAddr> {
        self.parts.admin_addresses()
    }

    /// Whether another process serves at these addresses until this one takes over.
    pub(crate) fn is_taking_over(&self) -> bool {
        self.parts.takeover.is_some()
    }

    /// What to print when the app is up: addresses, pools, and requests to try.
    pub fn banner(&self) -> String {
        let control = self.control.as_ref().and_then(ControlSocket::path);
        lifecycle::banner(&self.parts.assembled, &self.addresses(), &self.admin_addresses(), control)
    }

    /// Opens the control socket now, so that the banner can tell where it is; else [`run`](Self::run) does. Commands
    /// that come before that wait for it.
    ///
    /// # Errors
    /// When `server.control_socket` names a place where there can be none. At the default place that is no error, but
    /// leads to a warning.
    pub fn with_control_socket(mut self) -> Result<Self, BindFailed> {
        if self.control.is_none() {
            self.control = Some(self.parts.open_control()?);
        }
        Ok(self)
    }

    /// Serves on threads of its own until a signal ends the process: SIGINT at once, SIGTERM after the drain that
    /// `server.drain` describes; SIGHUP has the configuration read again. Blocks the thread. `evener status`, `drain`,
    /// `weight`, `reload` and `rollback` reach the process meanwhile.
    /// A service manager that listens at NOTIFY_SOCKET is told what becomes of it.
    ///
    /// # Errors
    /// As for [`with_control_socket`](Self::with_control_socket).
    pub fn run(self) -> Result<(), BindFailed> {
        let Self { parts, control } = self.with_control_socket()?;
        let messages = Arc::new(Messages::init(parts.assembled.config.log_level));
        let served = lifecycle::serve(parts, control.unwrap_or(ControlSocket::Off), messages.clone());
        messages.settle(lifecycle::LOG_PATIENCE);
        Ok(served?)
    }

    /// Serves on the tokio runtime that this is called on, beside whatever else runs there.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> RunningApp {
        RunningApp::start(self.parts)
    }
}

impl std::fmt::Debug for BoundApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundApp").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}
