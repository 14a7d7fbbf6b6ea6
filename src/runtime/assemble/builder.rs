//! The parts of a configuration, each built by itself so that all that is wrong is told at once.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::spec::{RedactSpec, RedirectSpec, RespondSpec};
use crate::config::{self, Config, Diagnostics, KeyPath, Source};
use crate::files::Files;
use crate::filters::Pages;
use crate::hooks::{BuildCx, BuildError, Keeping, Needs, PoolClient, PoolRef, Scope};
use crate::pools::{Journal, Pool, PoolParts, UrlClient};
use crate::router::{Router, Rule};
use crate::runtime::carried::Carried;
use crate::runtime::peer_tls::{peer_tls, report};
use crate::runtime::route::{Redirect, Respond, Step};
use crate::runtime::tracing::tracing;
use crate::runtime::{Action, Listener, ListenerIds, Listeners, Registry, Route};
use crate::split::Split;
use crate::telemetry::OwnLines;
use crate::tls::{Clock, Problem, Termination, TicketKeys};
use crate::tracing::Tracing;
use crate::types::{PoolName, Random, ZoneName};

use super::lines::hide_credentials;

/// Builds the parts of a configuration.
pub(super) struct Builder<'a> {
    pub(super) registry: &'a Registry,
    pub(super) journal: Arc<Journal>,
    pub(super) carried: Option<&'a Carried<'a>>,
    pub(super) source: &'a Source,
    pub(super) cx: BuildCx<'a>,
    pub(super) pool_names: &'a [PoolName],
    pub(super) keeping: &'a Keeping<'a>,
    pub(super) zone: Option<&'a ZoneName>,
    pub(super) secret: &'a [u8],
    pub(super) now: Instant,
    pub(super) clock: Clock,
    pub(super) ticket_keys: Arc<TicketKeys>,
    /// What filters are shown, for lines to hide.
    pub(super) redact: RedactSpec,
    pub(super) diagnostics: Diagnostics,
}

/// What the parts of a configuration are built to, as far as they could be.
pub(super) struct Built {
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) routes: Vec<Route>,
    pub(super) error_pages: Pages,
    pub(super) tracing: Option<Arc<Tracing>>,
    /// By listener.
    terminations: Vec<Option<Arc<Termination>>>,
}

impl Built {
    /// The listeners, which go on with their numbers, and the router that knows them by these.
    pub(super) fn listeners(
        &self,
        config: &Config,
        mut ids: ListenerIds,
        keeping: &Keeping<'_>,
    ) -> (Listeners, Router) {
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

impl Builder<'_> {
    /// Everything, whatever fails, so that all problems come at once.
    pub(super) fn build(&mut self, config: &Config) -> Built {
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
            Ok(filter) => {
                if let Err(error) = hide_credentials(&*filter, &mut self.redact) {
                    self.diagnostics
                        .error(self.source, settings, format!("what it is shown cannot be hidden: {error}"))
                        .help("let `Filter::credentials` name the parameter as it is compared, decoded");
                }
                Some(Step {
                    name: name.clone(),
                    number,
                    needs: filter.needs(),
                    filter,
                    stats: self.keeping.counts(&scope, "decisions"),
                })
            }
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

/// The router, which knows each listener by the number that it has of `id_of`.
fn router(config: &Config, id_of: &[usize]) -> Router {
    let ids = |route: &config::Route| route.listeners.iter().map(|index| id_of[*index]).collect();
    let ids: Vec<Vec<usize>> = config.routes.iter().map(ids).collect();
    Router::build(config.routes.iter().zip(&ids).map(|(route, listeners)| rule(route, listeners)))
}

fn rule<'a>(route: &'a config::Route, listeners: &'a [usize]) -> Rule<'a> {
    Rule { name: &route.name, listeners, matches: &route.matches }
}
