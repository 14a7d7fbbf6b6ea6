mod lines;
mod warnings;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::spec::{RedirectSpec, RespondSpec};
use crate::config::{self, Config, Diagnostics, Diff, KeyPath, Loaded, Origin, Outline, Source};
use crate::files::Files;
use crate::filters::Pages;
use crate::hooks::{BuildCx, BuildError, Keeping, Kept, Needs, PoolClient, PoolRef, Scope};
use crate::pools::{Journal, Pool, PoolParts, UrlClient};
use crate::router::{Router, Rule};
use crate::split::Split;
use crate::telemetry::{OwnLines, Pulse, Redaction};
use crate::tls::{Clock, Problem, Termination, TicketKeys, install_provider, system_clock};
use crate::tracing::Tracing;
use crate::types::{PoolName, Random, ZoneName};

use lines::add_lines;
use warnings::warn;

use super::caches::caches;
use super::carried::Carried;
use super::edge_paths::EdgePaths;
use super::peer_tls::{peer_tls, report};
use super::route::{Redirect, Respond, Step};
use super::stores::stores;
use super::tracing::tracing;
use super::{
    Action, Admin, DebugKey, Listener, ListenerIds, Listeners, Registry, Route, SecretFile, Snapshot,
};

/// A configuration that was built to the end, with what was noticed on the way, and what the next one takes over.
#[derive(Debug)]
pub(crate) struct Assembled {
    /// What it was built from, to be built again.
    pub(crate) origin: Origin,
    pub(crate) config: Config,
    pub(crate) outline: Outline,
    /// What differs from the configuration before; nothing where there was none.
    pub(crate) diff: Diff,
    pub(crate) snapshot: Arc<Snapshot>,
    /// What the hooks keep for the configuration after this one.
    pub(crate) kept: Kept,
    /// To be saved before anything is served.
    pub(crate) secret_file: Option<SecretFile>,
    pub(crate) ticket_keys: Arc<TicketKeys>,
    /// Whether it was made before all was known that it depends on, so that none of its pools is carried on as it is.
    pub(crate) is_draft: bool,
    pub(crate) warnings: Diagnostics,
}

impl Assembled {
    /// What differs from what stands there; `None` where that cannot be read any more.
    pub(crate) fn diff_from(&self, before: &Origin) -> Option<Diff> {
        let Loaded { config, source, diagnostics } = before.read().ok()?;
        let outline = (!diagnostics.has_errors()).then(|| Outline::of(&config, &source).ok())??;
        Some(config::diff(&outline, &self.outline))
    }
}

/// What the parts of a configuration are built to, as far as they could be.
struct Built {
    pools: Vec<Arc<Pool>>,
    routes: Vec<Route>,
    error_pages: Pages,
    tracing: Option<Arc<Tracing>>,
    /// By listener.
    terminations: Vec<Option<Arc<Termination>>>,
}

impl Built {
    /// The listeners, which go on with their numbers, and the router that knows them by these.
    fn listeners(&self, config: &Config, mut ids: ListenerIds, keeping: &Keeping<'_>) -> (Listeners, Router) {
        let id_of: Vec<_> = config.listeners.iter().map(|listener| ids.id(&listener.name)).collect();
        let parts = id_of.iter().zip(&config.listeners).zip(&self.terminations);
        let listener = |((id, listener), tls): ((&usize, &config::Listener), &Option<Arc<Termination>>)| {
            let stats = keeping.counts(&Scope::listener(&listener.name), "connections");
            let own = listener.service.access_log();
            let lines = own.map(|spec| OwnLines::of_connections(spec, &config.access_log));
            Arc::new(Listener::new(*id, listener, tls.clone(), &self.pools, lines, stats))
        };
        (Listeners::new(parts.map(listener).collect(), ids), router(config, &id_of))
    }
}

/// Builds everything that requests need; the only way to a running configuration, for `check`, start and reload alike. What
/// has a name, and is the same as in the `previous` configuration, is carried on.
///
/// # Errors
/// All problems at once: those of the text, and filters and policies that are not registered or refuse their settings.
pub(crate) fn assemble(
    origin: &Origin,
    registry: &Registry,
    previous: Option<&Assembled>,
) -> Result<Assembled, Diagnostics> {
    let nothing = Kept::default();
    let keeping = Keeping::new(previous.map_or(&nothing, |previous| &previous.kept));
    assemble_keeping(origin, registry, previous, keeping)
}

/// As [`assemble()`], for a configuration that was served before and comes back in the place of `previous`.
///
/// # Errors
/// As for [`assemble()`].
pub(crate) fn assemble_again(
    origin: &Origin,
    registry: &Registry,
    previous: &Assembled,
) -> Result<Assembled, Diagnostics> {
    assemble_keeping(origin, registry, Some(previous), Keeping::going_back(&previous.kept, Instant::now()))
}

fn assemble_keeping(
    origin: &Origin,
    registry: &Registry,
    previous: Option<&Assembled>,
    keeping: Keeping<'_>,
) -> Result<Assembled, Diagnostics> {
    let Loaded { mut config, source, mut diagnostics } = origin.read()?;
    let pool_names: Vec<PoolName> = config.pools.iter().map(|pool| pool.name.clone()).collect();
    refuse_taken(registry, &source, &mut diagnostics);
    let secret_file = secret_file(&config, &source, previous, &mut diagnostics);
    install_provider();
    let clock = system_clock();
    let ticket_keys = ticket_keys(previous, &clock);
    // What is wrong with the text is told with what is wrong beyond it; nothing is carried on then.
    let outline = if diagnostics.has_errors() { None } else { Some(Outline::of(&config, &source)?) };
    let new = |(previous, outline)| Carried::new(previous, &config, outline, secret_file.as_ref());
    let carried = previous.zip(outline.as_ref()).map(new);
    let folder = origin.folder();
    let caches = caches(&config, &keeping, &source, &mut diagnostics);
    let now = Instant::now();
    let stores = stores(&config, &keeping, now, |tls| peer_tls(tls, &clock, &source, &mut diagnostics));
    // Not as hooks keep their state: pools go on noting in the one that they know, also when another process leaves its own.
    let journal = previous.map(|previous| previous.snapshot.journal.clone()).unwrap_or_default();
    let mut builder = Builder {
        registry,
        journal: journal.clone(),
        carried: carried.as_ref(),
        source: &source,
        cx: BuildCx::new(&pool_names, config.ipv6_prefix)
            .in_folder(&folder)
            .with_caches(&caches)
            .with_stores(&stores),
        pool_names: &pool_names,
        keeping: &keeping,
        zone: config.zone.as_ref(),
        secret: secret_file.as_ref().map_or(&[], SecretFile::bytes),
        now,
        ticket_keys: ticket_keys.clone(),
        clock,
        diagnostics,
    };
    let mut built = builder.build(&config);
    let mut warnings = builder.diagnostics;
    let Some(outline) = outline.filter(|_| !warnings.has_errors()) else { return Err(warnings) };
    let diff = carried.map(|carried| carried.diff).unwrap_or_default();
    add_lines(&mut built.routes, &mut config);
    let (listeners, router) = built.listeners(&config, listener_ids(previous), &keeping);
    warn(&router, &config, &source, &mut warnings);
    // The same configuration goes on with what is known of it.
    let pulse = previous.filter(|_| diff.is_empty()).map(|previous| previous.snapshot.pulse.clone());
    let unrouted = keeping.counts(Scope::shared(), "requests without a route");
    let kept = keeping.into_kept();
    let snapshot = Arc::new(Snapshot {
        admin: config.admin.as_ref().map(|admin| Admin::new(admin, &built.pools)),
        pulse: pulse.unwrap_or_else(|| Arc::new(Pulse::new(now))),
        router,
        routes: built.routes,
        unrouted,
        journal,
        pools: built.pools,
        pool_names,
        caches,
        stores,
        error_pages: built.error_pages,
        listeners,
        tracing: built.tracing,
        trusted_proxies: config.trusted_proxies.clone(),
        trusts_unix: config.trusts_unix,
        drain: config.drain,
        watches_file: config.watch,
        edge_paths: EdgePaths::of(&config.routes),
        debug_key: config.debug_secret.as_ref().map(|secret| DebugKey::new(&secret.0)),
        watchers: previous.map(|previous| previous.snapshot.watchers.clone()).unwrap_or_default(),
        redaction: Arc::new(Redaction::new(&config.access_log.redact, config.access_log.client)),
        jobs: kept.jobs(),
    });
    let origin = origin.fixed_to(&source);
    Ok(Assembled {
        origin,
        config,
        outline,
        diff,
        snapshot,
        kept,
        secret_file,
        ticket_keys,
        is_draft: false,
        warnings,
    })
}

/// The numbers of the listeners that there were.
fn listener_ids(previous: Option<&Assembled>) -> ListenerIds {
    previous.map(|previous| previous.snapshot.listeners.ids().clone()).unwrap_or_default()
}

/// A name that stands for two hooks stands for neither.
fn refuse_taken(registry: &Registry, source: &Source, diagnostics: &mut Diagnostics) {
    if let Some(taken) = registry.taken() {
        diagnostics.error(source, &KeyPath::default(), format_args!("this program registers {taken} twice"));
    }
}

/// The same over all configurations of a process.
fn ticket_keys(previous: Option<&Assembled>, clock: &Clock) -> Arc<TicketKeys> {
    let known = previous.map(|previous| previous.ticket_keys.clone());
    known.unwrap_or_else(|| Arc::new(TicketKeys::new(clock.clone())))
}

/// The secret file, if a pool needs it.
fn secret_file(
    config: &Config,
    source: &Source,
    previous: Option<&Assembled>,
    diagnostics: &mut Diagnostics,
) -> Option<SecretFile> {
    let needs_it = |pool: &config::Pool| pool.sticky.as_ref().is_some_and(|sticky| sticky.secret.is_none());
    if !config.pools.iter().any(needs_it) {
        return None;
    }
    let known = previous.and_then(|previous| previous.secret_file.as_ref());
    let opened = SecretFile::open(&config.secret_file, known);
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

struct Builder<'a> {
    registry: &'a Registry,
    journal: Arc<Journal>,
    carried: Option<&'a Carried<'a>>,
    source: &'a Source,
    cx: BuildCx<'a>,
    pool_names: &'a [PoolName],
    keeping: &'a Keeping<'a>,
    zone: Option<&'a ZoneName>,
    secret: &'a [u8],
    now: Instant,
    clock: Clock,
    ticket_keys: Arc<TicketKeys>,
    diagnostics: Diagnostics,
}

impl Builder<'_> {
    /// Everything, whatever fails, so that all problems come at once.
    fn build(&mut self, config: &Config) -> Built {
        let pools: Vec<_> = config.pools.iter().map(|pool| self.pool(pool)).collect();
        let client =
            |pool: &Option<Arc<Pool>>| pool.as_ref().map_or_else(PoolClient::of_nobody, Pool::client);
        let clients: Vec<_> = pools.iter().map(client).collect();
        Built {
            routes: config.routes.iter().map(|route| self.route(route, &clients)).collect(),
            pools: pools.into_iter().flatten().collect(),
            error_pages: self.error_pages(config),
            tracing: config.tracing.as_ref().and_then(|tracing| self.tracing(tracing)),
            terminations: config.listeners.iter().map(|listener| self.termination(listener)).collect(),
        }
    }

    fn error_pages(&mut self, config: &Config) -> Pages {
        let scope = Scope::error_pages();
        let cx = self.cx.keeping(self.keeping, &scope);
        Pages::build(config.error_pages.iter().cloned(), &cx).unwrap_or_else(|error| {
            let at = KeyPath::default().child("server").child("error_pages").child("pages");
            let (keys, message, _) = error.into_parts();
            let at = keys.iter().fold(at, |at, key| at.child(key.as_str()));
            self.diagnostics.error(self.source, &at, message);
            Pages::default()
        })
    }

    fn tracing(&mut self, config: &config::Tracing) -> Option<Arc<Tracing>> {
        let scope = Scope::tracing();
        let cx = self.cx.keeping(self.keeping, &scope);
        let built = tracing(config, &cx, self.keeping, UrlClient);
        let refuse = |error: BuildError| {
            let (keys, message, _) = error.into_parts();
            let at = keys.iter().fold(config.at.clone(), |at, key| at.child(key.as_str()));
            self.diagnostics.error(self.source, &at, message);
        };
        built.map_err(refuse).ok().map(Arc::new)
    }

    fn pool(&mut self, config: &config::Pool) -> Option<Arc<Pool>> {
        let balance = &config.balance;
        // A bare name has no settings; they would stand under it.
        let settings = balance.settings.clone().unwrap_or_else(|| balance.at.child(&balance.policy));
        let tls = config.tls.as_ref();
        let tls = tls.map(|tls| peer_tls(tls, &self.clock, self.source, &mut self.diagnostics));
        let scope = Scope::policy(&config.name);
        let cx = self.cx.keeping(self.keeping, &scope);
        match self.registry.build_policy(&balance.policy, self.source, &settings, &cx) {
            Ok(policy) => {
                // An error is reported already, and ends this once everything was looked at.
                let tls = tls.flatten();
                let carried = self.carried;
                if let Some(pool) = carried.and_then(|carried| carried.unchanged(config, tls.as_ref())) {
                    return Some(pool.clone());
                }
                let predecessor = carried.and_then(|carried| carried.predecessor(config));
                Some(Pool::new(PoolParts {
                    config,
                    tls,
                    own_zone: self.zone,
                    secret: self.secret,
                    new_policy: policy,
                    random: Random::new(),
                    predecessor,
                    journal: self.journal.clone(),
                    now: self.now,
                }))
            }
            Err(problems) => {
                self.diagnostics.append(problems);
                None
            }
        }
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
        report(problems, self.source, &mut self.diagnostics);
    }

    fn route(&mut self, config: &config::Route, clients: &[PoolClient]) -> Route {
        let steps = (0..config.filters.len()).filter_map(|index| self.step(config, index, clients));
        let filters: Box<[Step]> = steps.collect();
        Route {
            name: config.name.clone(),
            needs: filters.iter().fold(Needs::NOTHING, |needs, step| needs.and(step.needs)),
            filters,
            action: self.action(config),
            stats: self.keeping.counts(&Scope::route(&config.name), "requests"),
            // Not before it is known what all routes have to hide.
            lines: None,
        }
    }

    /// What cannot be built is reported, and ends this once everything was looked at; until then something else answers.
    fn action(&mut self, route: &config::Route) -> Action {
        match &route.action {
            config::Action::Pool(index) => Action::Pool(PoolRef(*index)),
            config::Action::Redirect(spec) => Action::Redirect(redirect(spec)),
            config::Action::Respond(spec) => Action::Respond(respond(spec)),
            config::Action::Files(files) => match Files::open(&files.root, &files.spec) {
                Ok(opened) => Action::Files(Arc::new(opened)),
                Err(error) => {
                    let message = format!("`{}` cannot be served: {error}", files.root.display());
                    self.diagnostics
                        .error(self.source, &files.at.child("root"), message)
                        .help("name a folder that is there, on Linux 5.6 or later");
                    Action::Respond(respond(&RespondSpec::default()))
                }
            },
            config::Action::Split(split) => {
                let scope = Scope::split(&route.name);
                let cx = self.cx.keeping(self.keeping, &scope);
                Action::Split(Split::build(split, &route.name, self.pool_names, &cx, self.now))
            }
        }
    }

    fn step(&mut self, route: &config::Route, index: usize, clients: &[PoolClient]) -> Option<Step> {
        let config::FilterUse { name, settings } = &route.filters[index];
        let number = route.filters[..index].iter().filter(|filter| filter.name == *name).count();
        let scope = Scope::filter(&route.name, name, number);
        let warnings = Mutex::default();
        let cx = self.cx.with_clients(clients).keeping(self.keeping, &scope).warning_into(&warnings);
        let built = self.registry.build_filter(name, self.source, settings, &cx);
        for warning in warnings.into_inner() {
            self.diagnostics.warning(self.source, settings, warning);
        }
        match built {
            Ok(filter) => Some(Step {
                name: name.clone(),
                number,
                needs: filter.needs(),
                filter,
                stats: self.keeping.counts(&scope, "decisions"),
            }),
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

#[cfg(test)]
mod tests;
