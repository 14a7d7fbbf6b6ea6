//! What is allowed but surely not meant, and seen only in the whole of a configuration.

use crate::config::spec::ClientAuthMode;
use crate::config::{Action, Config, Diagnostics, KeyPath, Listener, Route, Source};
use crate::router::{RouteId, Router};

/// All of it.
pub(super) fn warn(router: &Router, config: &Config, source: &Source, warnings: &mut Diagnostics) {
    warn_of_unreachable(router, config, source, warnings);
    warn_of_idle_filters(config, source, warnings);
}

/// Routes that others hide.
fn warn_of_unreachable(router: &Router, config: &Config, source: &Source, warnings: &mut Diagnostics) {
    for (RouteId(never), RouteId(shadow)) in router.unreachable() {
        let path = KeyPath::default().child("routes").index(never);
        let (never, shadow) = (&config.routes[never].name, &config.routes[shadow].name);
        let message =
            format!("route `{never}` can never match: `{shadow}` takes every request that it could");
        warnings.warning(source, &path, message);
    }
}

/// Filters that have no effect where they stand, refuse everything, or do over what is done already.
fn warn_of_idle_filters(config: &Config, source: &Source, warnings: &mut Diagnostics) {
    for route in &config.routes {
        let asks = listeners_of(route, config).any(asks_for_certificates);
        let mut caches = 0;
        for filter in &route.filters {
            let idle = match filter.name.as_str() {
                "client_cert" if !asks => {
                    "no listener of this route asks for certificates (`tls.client_auth`), so that every request is refused"
                }
                "cache" if !matches!(route.action, Action::Pool(_) | Action::Split(_)) => {
                    "the route has no pool, so that there is nothing to store"
                }
                "mirror" if is_own_pool(route, &filter.settings, config, source) => {
                    "the copies go to the route's own pool, whose endpoints serve each of these requests twice"
                }
                "cache" if caches > 0 => "it takes the place of the `cache` before it on the route",
                _ => "",
            };
            caches += usize::from(filter.name == "cache");
            if !idle.is_empty() {
                warnings.warning(source, &filter.settings, idle);
            }
        }
    }
}

/// Whether the settings of a filter name the pool that serves its route.
fn is_own_pool(route: &Route, settings: &KeyPath, config: &Config, source: &Source) -> bool {
    let Action::Pool(own) = route.action else { return false };
    let named = source.read_at::<String>(&settings.child("pool"));
    named.is_ok_and(|named| named == config.pools[own].name.as_str())
}

/// The listeners whose requests may take a route.
fn listeners_of<'a>(route: &'a Route, config: &'a Config) -> impl Iterator<Item = &'a Listener> {
    let all = config.listeners.iter().enumerate();
    let may = |index: &usize| route.listeners.is_empty() || route.listeners.contains(index);
    all.filter(move |(index, _)| may(index)).map(|(_, listener)| listener)
}

fn asks_for_certificates(listener: &Listener) -> bool {
    let Some(tls) = &listener.tls else { return false };
    let of_hosts = tls.hosts.iter().map(|(_, auth)| auth);
    std::iter::once(&tls.client_auth).chain(of_hosts).any(|auth| auth.mode != ClientAuthMode::Off)
}
