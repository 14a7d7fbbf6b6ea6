//! From the spec to the [`Config`]: names become indexes, relative paths get their directory, and what no single
//! value can know is checked.

mod admin;
mod caches;
mod files;
mod health;
mod l4;
mod listeners;
mod log;
mod log_files;
mod names;
mod pools;
mod respond;
mod retry;
mod routes;
mod split;
mod sticky;
mod stores;
mod tls;
mod tracing;

use std::fmt;
use std::path::Path;

use admin::Served;
use listeners::Taken;
use names::{Names, PoolNames};

use super::node::Node;
use super::spec::{AccessFormat, ControlSocket, DrainSpec, Spec, TrustedProxy};
use super::{Config, ControlPlace, Diagnostic, Diagnostics, KeyPath, Source};

/// Resolves a spec from which `removed` was left out because it is wrong. Problems that can only be consequences
/// of that are not reported. The result is whole only if there are no errors among the `diagnostics`.
pub(super) fn resolve(
    spec: Spec,
    base: &Path,
    source: &Source,
    removed: &[KeyPath],
    diagnostics: &mut Diagnostics,
) -> Config {
    let has_json_lines = matches!(spec.log.access.format, AccessFormat::Json | AccessFormat::Off);
    let mut resolver = Resolver { base, source, removed, has_json_lines, diagnostics };
    let root = KeyPath::default();
    resolver.check_drain(&spec.server.drain, &root.child("server").child("drain"));
    let caches = resolver.caches(spec.server.caches, &root.child("server").child("caches"));
    let stores = resolver.stores(spec.server.stores, &root.child("server").child("stores"));
    let debug_secret = spec.server.debug_secret;
    let debug_secret =
        debug_secret.and_then(|secret| resolver.secret(&secret, &root.child("server").child("debug_secret")));
    let pools = resolver.pools(spec.pools, &root.child("pools"));
    let pool_names = PoolNames::of(&pools);
    let access_log = resolver.access_log(spec.log.access, &root.child("log").child("access"));
    let mut taken = Taken::new();
    let listeners = resolver.listeners(spec.listeners, &root.child("listeners"), &pool_names, &mut taken);
    let routes = resolver.routes(
        spec.routes,
        &root.child("routes"),
        &Names { listeners: &listeners, pools: &pool_names },
    );
    let served = Served { listeners: &listeners, pools: &pools, routes: &routes, pool_names: &pool_names };
    let admin = spec.admin.map(|admin| resolver.admin(admin, &root.child("admin"), &served, &mut taken));
    let tracing = spec.tracing.map(|tracing| resolver.tracing(tracing, &root.child("tracing")));
    resolver.check_pools_of_l4(&listeners, &routes, &pools);
    let is_serving = !routes.is_empty() || listeners.iter().any(|listener| listener.service.http().is_none());
    if !resolver.diagnostics.has_errors() && is_serving {
        resolver.warn_of_unused_pools(&pools, &routes, &listeners);
    }
    let config = Config {
        threads: spec.server.threads.map(to_usize),
        connections: spec.server.connections.map(|count| to_usize(count.get())),
        trusts_unix: spec.server.trusted_proxies.contains(&TrustedProxy::Unix),
        trusted_proxies: spec.server.trusted_proxies.into_iter().filter_map(TrustedProxy::network).collect(),
        ipv6_prefix: spec.server.http_client_id.ipv6_prefix,
        drain: spec.server.drain,
        caches,
        error_pages: spec.server.error_pages.pages.into_iter().collect(),
        zone: spec.server.zone,
        control_socket: control_place(spec.server.control_socket, base),
        watch: spec.server.watch,
        secret_file: base.join(spec.server.secret_file),
        stores,
        debug_secret,
        listeners,
        pools,
        routes,
        admin,
        tracing,
        audit: spec.audit,
        log_level: spec.log.level,
        access_log,
    };
    resolver.check_log_files(&config, &taken);
    config
}

struct Resolver<'a> {
    base: &'a Path,
    source: &'a Source,
    removed: &'a [KeyPath],
    /// Whether fields of the access log's lines can be chosen.
    has_json_lines: bool,
    diagnostics: &'a mut Diagnostics,
}

impl Resolver<'_> {
    /// Whether something inside the value at `path` was left out, so that what is missing there may be that.
    fn is_partial(&self, path: &KeyPath) -> bool {
        self.removed.iter().any(|removed| path.contains(removed))
    }

    /// The paths of a list's items that are left, with the indexes that they have in the file.
    fn items(&self, list: &KeyPath) -> impl Iterator<Item = KeyPath> + use<> {
        let removed: Vec<KeyPath> = self.removed.to_vec();
        let list = list.clone();
        (0..).map(move |index| list.index(index)).filter(move |path| !removed.contains(path))
    }

    /// The keys of a map that are left, as they are spelt in the file.
    fn written_keys(&self, map: &KeyPath) -> Vec<String> {
        let Some(Node::Map(entries)) = self.source.root().at(map) else { return Vec::new() };
        let keys = entries.iter().map(|(key, _)| key);
        keys.filter(|key| !self.removed.contains(&map.child(key.as_str()))).cloned().collect()
    }

    fn check_drain(&mut self, drain: &DrainSpec, at: &KeyPath) {
        if drain.requests > drain.tunnels {
            let message = format!("it is longer than `tunnels`, which is {}", drain.tunnels);
            self.warning(&at.child("requests"), message)
                .help("raise `tunnels`: nothing is cut before requests have had their time");
        }
    }

    fn error(&mut self, path: &KeyPath, message: impl fmt::Display) -> &mut Diagnostic {
        self.diagnostics.error(self.source, path, message)
    }

    fn error_at_key(&mut self, path: &KeyPath, message: impl fmt::Display) -> &mut Diagnostic {
        self.diagnostics.error_at_key(self.source, path, message)
    }

    fn warning(&mut self, path: &KeyPath, message: impl fmt::Display) -> &mut Diagnostic {
        self.diagnostics.warning(self.source, path, message)
    }
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(super) fn control_place(socket: ControlSocket, base: &Path) -> Option<ControlPlace> {
    match socket {
        ControlSocket::Default => {
            Some(ControlPlace { path: base.join(ControlSocket::DEFAULT), is_chosen: false })
        }
        ControlSocket::At(path) => Some(ControlPlace { path: base.join(path), is_chosen: true }),
        ControlSocket::Off => None,
    }
}
