mod builder;
mod lines;
mod warnings;

use std::sync::Arc;

use tokio::time::Instant;

use crate::config::spec::RedactSpec;
use crate::config::{self, Config, Diagnostics, Diff, KeyPath, Loaded, Origin, Outline, Source};
use crate::hooks::{BuildCx, Keeping, Kept, Scope};
use crate::telemetry::{Pulse, Redaction};
use crate::tls::{Clock, TicketKeys, install_provider, system_clock};
use crate::types::PoolName;

use builder::Builder;
use lines::add_lines;
use warnings::warn;

use super::caches::caches;
use super::carried::Carried;
use super::edge_paths::EdgePaths;
use super::peer_tls::peer_tls;
use super::stores::stores;
use super::{Admin, DebugKey, ListenerIds, Registry, SecretFile, Snapshot};

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
        redact: RedactSpec::default(),
        diagnostics,
    };
    let mut built = builder.build(&config);
    let (mut warnings, hidden) = (builder.diagnostics, builder.redact);
    let Some(outline) = outline.filter(|_| !warnings.has_errors()) else { return Err(warnings) };
    let diff = carried.map(|carried| carried.diff).unwrap_or_default();
    add_lines(&mut built.routes, hidden, &mut config);
    let (listeners, router) = built.listeners(&config, listener_ids(previous), &keeping);
    warn(&router, &config, &source, &mut warnings);
    // The same configuration goes on with what is known of it.
    let pulse = previous.filter(|_| diff.is_empty()).map(|previous| previous.snapshot.pulse.clone());
    let unrouted = keeping.counts(Scope::shared(), "requests without a route");
    let kept = keeping.into_kept();
    let snapshot = Arc::new(Snapshot {
        admin: config.admin.as_ref().map(Admin::new),
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
    Ok(Assembled {
        origin: origin.fixed_to(&source),
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

#[cfg(test)]
mod tests;
