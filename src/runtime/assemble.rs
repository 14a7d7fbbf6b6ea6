use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::config::spec::{RedirectSpec, RespondSpec};
use crate::config::{self, Config, Diagnostics, KeyPath, Loaded, Source};
use crate::hooks::{BuildCx, PoolRef};
use crate::pools::Pool;
use crate::router::{RouteId, Router, Rule};
use crate::types::{PoolName, Random, ZoneName};

use super::route::{Redirect, Respond, Step};
use super::{Action, Listener, Registry, Route, SecretFile, Snapshot};

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
    let Loaded { config, source, diagnostics } = loaded;
    let pool_names: Vec<PoolName> = config.pools.iter().map(|pool| pool.name.clone()).collect();
    let mut diagnostics = diagnostics;
    let secret_file = secret_file(&config, &source, &mut diagnostics);
    let mut builder = Builder {
        registry,
        source: &source,
        cx: BuildCx::new(&pool_names, config.ipv6_prefix),
        zone: config.zone.as_ref(),
        secret: secret_file.as_ref().map_or(&[], SecretFile::bytes),
        now: Instant::now(),
        diagnostics,
    };
    let pools: Vec<_> = config.pools.iter().filter_map(|pool| builder.pool(pool)).collect();
    let routes: Vec<_> = config.routes.iter().map(|route| builder.route(route)).collect();
    let mut warnings = builder.diagnostics;
    if warnings.has_errors() {
        return Err(warnings);
    }
    let router = Router::build(config.routes.iter().map(rule));
    warn_of_unreachable(&router, &config, &source, &mut warnings);
    let listeners = config.listeners.iter().enumerate();
    let listeners = listeners.map(|(index, listener)| Arc::new(Listener::new(index, listener))).collect();
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

fn rule(route: &config::Route) -> Rule<'_> {
    Rule { name: &route.name, listeners: &route.listeners, matches: &route.matches }
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
    diagnostics: Diagnostics,
}

impl Builder<'_> {
    fn pool(&mut self, config: &config::Pool) -> Option<Arc<Pool>> {
        let balance = &config.balance;
        // A bare name has no settings; they would stand under it.
        let settings = balance.settings.clone().unwrap_or_else(|| balance.at.child(&balance.policy));
        match self.registry.build_policy(&balance.policy, self.source, &settings, &self.cx) {
            Ok(policy) => {
                Some(Arc::new(Pool::new(config, self.zone, self.secret, policy, Random::new(), self.now)))
            }
            Err(problems) => {
                self.diagnostics.append(problems);
                None
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
