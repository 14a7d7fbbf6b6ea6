use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::config::spec::{RedirectSpec, RespondSpec};
use crate::config::{self, Config, Diagnostics, KeyPath, Loaded, Source};
use crate::hooks::{BuildCx, PoolRef};
use crate::pools::{PeerTls, Pool, UnusableTls};
use crate::router::{RouteId, Router, Rule};
use crate::tls::{Clock, Problem, Termination, TicketKeys, UpstreamFiles, install_provider, system_clock};
use crate::types::{PoolName, Random, ZoneName};

use super::route::{Redirect, Respond, Step};
use super::{Action, Listener, ListenerIds, Listeners, Registry, Route, SecretFile, Snapshot};

/// A configuration that was built to the end, with what was noticed on the way.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) config: Config,
    pub(crate) snapshot: Arc<Snapshot>,
    /// To be saved before anything is served.
    pub(crate) secret_file: Option<SecretFile>,
    pub(crate) warnings: Diagnostics,
}

/// Builds everything that requests need; the only way to a running configuration, for `check` and start alike.
///
/// # Errors
/// All problems at once: those that were found before, and filters and policies that are not registered or
/// refuse their settings.
pub(crate) fn assemble(loaded: Loaded, registry: &Registry) -> Result<Assembled, Diagnostics> {
    assemble_with(loaded, registry, ListenerIds::default())
}

/// The same in a process in which listeners have numbers already.
///
/// # Errors
/// As for [`assemble`].
pub(crate) fn assemble_with(
    loaded: Loaded,
    registry: &Registry,
    mut ids: ListenerIds,
) -> Result<Assembled, Diagnostics> {
    let Loaded { config, source, diagnostics } = loaded;
    let pool_names: Vec<PoolName> = config.pools.iter().map(|pool| pool.name.clone()).collect();
    let mut diagnostics = diagnostics;
    let secret_file = secret_file(&config, &source, &mut diagnostics);
    install_provider();
    let clock = system_clock();
    let mut builder = Builder {
        registry,
        source: &source,
        cx: BuildCx::new(&pool_names, config.ipv6_prefix),
        zone: config.zone.as_ref(),
        secret: secret_file.as_ref().map_or(&[], SecretFile::bytes),
        now: Instant::now(),
        ticket_keys: Arc::new(TicketKeys::new(clock.clone())),
        clock,
        diagnostics,
    };
    let pools: Vec<_> = config.pools.iter().filter_map(|pool| builder.pool(pool)).collect();
    let routes: Vec<_> = config.routes.iter().map(|route| builder.route(route)).collect();
    let listeners: Vec<_> = config.listeners.iter().map(|listener| builder.termination(listener)).collect();
    let mut warnings = builder.diagnostics;
    if warnings.has_errors() {
        return Err(warnings);
    }
    let id_of = config.listeners.iter().map(|listener| ids.id(&listener.name)).collect::<Vec<_>>();
    let router = router(&config, &id_of);
    warn_of_unreachable(&router, &config, &source, &mut warnings);
    let listeners = id_of.iter().zip(&config.listeners).zip(listeners);
    let listeners =
        listeners.map(|((id, listener), tls)| Arc::new(Listener::new(*id, listener, tls, &pools)));
    let listeners = Listeners::new(listeners.collect(), ids);
    let trusted_proxies = config.trusted_proxies.clone();
    let trusts_unix = config.trusts_unix;
    let snapshot = Snapshot { router, routes, pools, pool_names, listeners, trusted_proxies, trusts_unix };
    Ok(Assembled { config, snapshot: Arc::new(snapshot), secret_file, warnings })
}

/// The secret file, if a pool needs it.
fn secret_file(config: &Config, source: &Source, diagnostics: &mut Diagnostics) -> Option<SecretFile> {
    let needs_it = |pool: &config::Pool| pool.sticky.as_ref().is_some_and(|sticky| sticky.secret.is_none());
    if !config.pools.iter().any(needs_it) {
        return None;
    }
    let opened = SecretFile::open(&config.secret_file);
    let problem = |error| {
        let path = KeyPath::default().child("server").child("secret_file");
        let message = format!("`{}` cannot be read: {error}", config.secret_file.display());
        diagnostics.error(source, &path, message).help("remove the file, then a new one is made");
    };
    opened.map_err(problem).ok()
}

/// The router, which knows each listener by the number that it has of `id_of`.
fn router(config: &Config, id_of: &[usize]) -> Router {
    let ids = |route: &config::Route| route.listeners.iter().map(|index| id_of[*index]).collect();
    let ids: Vec<Vec<usize>> = config.routes.iter().map(ids).collect();
    Router::build(config.routes.iter().zip(&ids).map(|(route, listeners)| rule(route, listeners)))
}

fn rule<'a>(route: &'a config::Route, listeners: &'a [usize]) -> Rule<'a> {
    Rule { name: &route.name, listeners, matches: &route.matches }
}

fn warn_of_unreachable(router: &Router, config: &Config, source: &Source, warnings: &mut Diagnostics) {
    for (RouteId(never), RouteId(shadow)) in router.unreachable() {
        let path = KeyPath::default().child("routes").index(never);
        let (never, shadow) = (&config.routes[never].name, &config.routes[shadow].name);
        let message =
            format!("route `{never}` can never match: `{shadow}` takes every request that it could");
        warnings.warning(source, &path, message);
    }
}

struct Builder<'a> {
    registry: &'a Registry,
    source: &'a Source,
    cx: BuildCx<'a>,
    zone: Option<&'a ZoneName>,
    secret: &'a [u8],
    now: Instant,
    clock: Clock,
    ticket_keys: Arc<TicketKeys>,
    diagnostics: Diagnostics,
}

impl Builder<'_> {
    fn pool(&mut self, config: &config::Pool) -> Option<Arc<Pool>> {
        let balance = &config.balance;
        // A bare name has no settings; they would stand under it.
        let settings = balance.settings.clone().unwrap_or_else(|| balance.at.child(&balance.policy));
        let tls = config.tls.as_ref().map(|tls| self.peer_tls(tls));
        match self.registry.build_policy(&balance.policy, self.source, &settings, &self.cx) {
            Ok(policy) => {
                // An error is reported already, and ends this once everything was looked at.
                let tls = tls.flatten();
                let random = Random::new();
                Some(Arc::new(Pool::new(config, tls, self.zone, self.secret, policy, random, self.now)))
            }
            Err(problems) => {
                self.diagnostics.append(problems);
                None
            }
        }
    }

    /// TLS towards the endpoints of a pool, if its files are sound.
    fn peer_tls(&mut self, config: &config::UpstreamTls) -> Option<PeerTls> {
        let UpstreamFiles { authorities, identity, warnings } =
            UpstreamFiles::load(config, &self.clock).map_err(|problems| self.report(problems)).ok()?;
        self.report(warnings);
        let refuse = |error| {
            let told = self.diagnostics.error(self.source, &config.at, format!("it cannot be used: {error}"));
            if matches!(error, UnusableTls::NoAuthority) {
                told.help("name a file of authorities as `ca`, or install the system's (`ca-certificates`)");
            }
        };
        PeerTls::new(authorities.as_deref(), identity.as_ref(), config.verify).map_err(refuse).ok()
    }

    /// The TLS of a listener, if it speaks any and its files are sound.
    fn termination(&mut self, config: &config::Listener) -> Option<Arc<Termination>> {
        let tls = config.tls.as_ref()?;
        let versions = config.service.http().map_or(&[][..], |http| &http.spec.versions);
        match Termination::load(tls, versions, &self.ticket_keys, &self.clock) {
            Ok((termination, warnings)) => {
                self.report(warnings);
                Some(Arc::new(termination))
            }
            Err(problems) => {
                self.report(problems);
                None
            }
        }
    }

    fn report(&mut self, problems: Vec<Problem>) {
        for Problem { at, message, help, is_error } in problems {
            let told = if is_error {
                self.diagnostics.error(self.source, &at, message)
            } else {
                self.diagnostics.warning(self.source, &at, message)
            };
            if let Some(help) = help {
                told.help(help);
            }
        }
    }

    fn route(&mut self, config: &config::Route) -> Route {
        let filters: Box<[Step]> = config.filters.iter().filter_map(|filter| self.step(filter)).collect();
        Route {
            name: config.name.clone(),
            filters_bodies: filters.iter().any(|step| step.filter.filters_bodies()),
            filters,
            action: match &config.action {
                config::Action::Pool(index) => Action::Pool(PoolRef(*index)),
                config::Action::Redirect(spec) => Action::Redirect(redirect(spec)),
                config::Action::Respond(spec) => Action::Respond(respond(spec)),
            },
        }
    }

    fn step(&mut self, config: &config::FilterUse) -> Option<Step> {
        match self.registry.build_filter(&config.name, self.source, &config.settings, &self.cx) {
            Ok(filter) => Some(Step { name: config.name.clone(), filter }),
            Err(problems) => {
                self.diagnostics.append(problems);
                None
            }
        }
    }
}

fn redirect(spec: &RedirectSpec) -> Redirect {
    Redirect { to: spec.to.clone(), status: spec.status.0 }
}

fn respond(spec: &RespondSpec) -> Respond {
    Respond {
        status: spec.status.0,
        body: Bytes::from(spec.body.clone()),
        headers: spec.headers.iter().map(|(name, value)| (name.0.clone(), value.clone())).collect(),
        delay: spec.delay.get(),
    }
}
