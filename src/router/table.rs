use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::config::spec::{MatchSpec, PathSpec};
use crate::types::{HostPattern, RouteName};

use super::conditions::{Condition, conditions};
use super::host::{HostGroup, HostTable};
use super::path::{Entry, PathKey, PathTable};
use super::specificity::Specificity;

/// A route as the router is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Its name, for explanations.
    pub name: &'a RouteName,
    /// The listeners that it is for, as the numbers that [`Parts::listener`] has; empty for all. These count,
    /// not the names in `matches`.
    pub listeners: &'a [usize],
    /// Which requests take it.
    pub matches: &'a MatchSpec,
}

/// The place of a route in the order in which the rules were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub usize);

/// What of a request decides its route.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The listener that it came in on.
    pub listener: usize,
    /// The host: lower case, without port and closing dot, empty where an HTTP/1.0 client named none.
    pub host: &'a str,
    /// The normalised path; starts with `/`.
    pub path: &'a str,
    /// The query without its `?`.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The client's address, as far as it is trusted.
    pub client_ip: IpAddr,
}

/// Finds the route of a request. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Router {
    pub(super) routes: Vec<Route>,
    pub(super) hosts: HostTable,
    /// Every route once, by its most specific host.
    order: Vec<RouteId>,
}

/// What is kept of a rule for explanations.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: RouteName,
    pub(super) path: Option<PathSpec>,
    pub(super) conditions: Arc<[Condition]>,
    /// Without repetitions; a route without a host has `None` alone.
    hosts: Vec<Option<HostPattern>>,
}

impl Router {
    /// Compiles the rules, which come in the order of the file. Costs about half a microsecond a rule.
    pub fn build<'a>(rules: impl IntoIterator<Item = Rule<'a>>) -> Self {
        let routes: Vec<Route> = rules.into_iter().map(|rule| Route::new(&rule)).collect();
        let mut ranked: Vec<Specificity> = Vec::new();
        let group = |(host, ids): (Option<&HostPattern>, Vec<RouteId>)| {
            let ranks = rank(&routes, host, &ids);
            ranked.extend(&ranks);
            host_group(&routes, host, &ranks)
        };
        let hosts = by_host(&routes).into_iter().map(group).collect();
        let order = first_of_each(ranked);
        Self { routes, hosts, order }
    }

    /// The most specific route whose conditions all hold. Allocates nothing.
    pub fn find(&self, parts: &Parts<'_>) -> Option<RouteId> {
        self.hosts.groups_for(parts.host).find_map(|group| group.paths.find(parts))
    }

    /// All routes from the most to the least specific; one with several hosts stands where its most specific
    /// host puts it.
    pub fn effective_order(&self) -> Vec<RouteId> {
        self.order.clone()
    }
}

impl Route {
    fn new(rule: &Rule<'_>) -> Self {
        let mut hosts: Vec<Option<HostPattern>> = match &rule.matches.host {
            None => vec![None],
            Some(patterns) => patterns.as_slice().iter().cloned().map(Some).collect(),
        };
        hosts.sort_unstable();
        hosts.dedup();
        Self {
            name: rule.name.clone(),
            path: rule.matches.path.clone(),
            conditions: conditions(rule).into(),
            hosts,
        }
    }
}

/// The routes of each host in the order of the file. Sorted, so that the same rules make the same router.
fn by_host(routes: &[Route]) -> BTreeMap<Option<&HostPattern>, Vec<RouteId>> {
    let mut groups: BTreeMap<Option<&HostPattern>, Vec<RouteId>> = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        for host in &route.hosts {
            groups.entry(host.as_ref()).or_default().push(RouteId(index));
        }
    }
    groups
}

/// Ranks the routes of one host, the first to be tried first.
fn rank(routes: &[Route], host: Option<&HostPattern>, ids: &[RouteId]) -> Vec<Specificity> {
    let mut firsts: HashMap<PathKey<'_>, RouteId> = HashMap::new();
    let specificity = |&id: &RouteId| {
        let route = &routes[id.0];
        let path = route.path.as_ref();
        let first = *firsts.entry(PathKey::of(path)).or_insert(id);
        Specificity::new(host, path, route.conditions.len(), id, first)
    };
    let mut ranks: Vec<Specificity> = ids.iter().map(specificity).collect();
    ranks.sort_unstable();
    ranks
}

fn host_group(routes: &[Route], host: Option<&HostPattern>, ranks: &[Specificity]) -> HostGroup {
    let tried: Vec<RouteId> = ranks.iter().map(Specificity::route).collect();
    let entry = |&id: &RouteId| {
        let route = &routes[id.0];
        (route.path.as_ref(), Entry { route: id, conditions: Arc::clone(&route.conditions) })
    };
    HostGroup { pattern: host.cloned(), paths: PathTable::build(tried.iter().map(entry)), tried }
}

fn first_of_each(mut ranked: Vec<Specificity>) -> Vec<RouteId> {
    ranked.sort_unstable();
    let mut seen = std::collections::HashSet::new();
    ranked.iter().map(Specificity::route).filter(|&route| seen.insert(route)).collect()
}
