use std::collections::HashMap;

use crate::config::spec::{PathSpec, ValueSpec};

use super::conditions::Condition;
use super::host::HostGroup;
use super::path::PathKey;
use super::table::Route;
use super::{RouteId, Router};

/// What was passed while the routes of one host are walked in the order in which they are tried.
#[derive(Default)]
struct Passed<'a> {
    by_path: HashMap<PathKey<'a>, Vec<RouteId>>,
    /// Routes for every path that starts with a literal.
    by_start: Vec<(&'a str, RouteId)>,
}

impl Router {
    /// The routes that no request can take, each with an earlier one that takes all of its requests; for a route
    /// with several hosts, the one that does so for one of them. In the order of the file.
    ///
    /// Sound, not complete: compared are hosts, paths and conditions pairwise. That several routes together
    /// leave nothing to another one, or how two expressions relate, is not seen.
    ///
    /// For people, not for the way of a request: in the worst case, all routes with one host and path, quadratic.
    pub fn unreachable(&self) -> Vec<(RouteId, RouteId)> {
        let mut hosts_left = vec![0_usize; self.routes.len()];
        let mut shadows: Vec<Option<RouteId>> = vec![None; self.routes.len()];
        // A pattern with more hosts is tried later, so a route can be shadowed only under its own pattern.
        for (route, shadow) in self.hosts.iter().flat_map(|group| self.shadows_in(group)) {
            match shadow {
                Some(shadow) => _ = shadows[route.0].get_or_insert(shadow),
                None => hosts_left[route.0] += 1,
            }
        }
        let dead = |index: usize| Some((RouteId(index), shadows[index].filter(|_| hosts_left[index] == 0)?));
        (0..self.routes.len()).filter_map(dead).collect()
    }

    /// Every route of the group with what shadows it there.
    fn shadows_in(&self, group: &HostGroup) -> Vec<(RouteId, Option<RouteId>)> {
        let mut passed = Passed::default();
        let shadow = |&id: &RouteId| {
            let route = &self.routes[id.0];
            let covers = |earlier: &RouteId| covers(&self.routes[earlier.0].conditions, &route.conditions);
            let shadow = passed.for_all_paths_of(route).find(covers);
            passed.add(id, route);
            (id, shadow)
        };
        group.tried.iter().map(shadow).collect()
    }
}

impl<'a> Passed<'a> {
    fn add(&mut self, id: RouteId, route: &'a Route) {
        let path = route.path.as_ref();
        self.by_path.entry(PathKey::of(path)).or_default().push(id);
        if let Some(start) = covered_start(path) {
            self.by_start.push((start, id));
        }
    }

    /// The routes passed that are for every path that `route` is for.
    fn for_all_paths_of(&self, route: &'a Route) -> impl Iterator<Item = RouteId> {
        let path = route.path.as_ref();
        let same = self.by_path.get(&PathKey::of(path)).into_iter().flatten().copied();
        let own_start = common_start(path);
        let wider = self.by_start.iter().filter(move |(start, _)| own_start.starts_with(start));
        same.chain(wider.map(|&(_, id)| id))
    }
}

/// A literal of which it is certain that the path matches whatever starts with it.
fn covered_start(path: Option<&PathSpec>) -> Option<&str> {
    match path {
        None => Some("/"),
        Some(PathSpec::Prefix(prefix)) => (prefix == "/").then_some("/"),
        Some(PathSpec::Exact(_)) => None,
        Some(PathSpec::Regex(regex)) => {
            let (literal, rest) = anchored_literal(regex.get().as_str())?;
            matches!(rest, "" | ".*").then_some(literal)
        }
    }
}

/// A literal of which it is certain that all paths that match start with it.
fn common_start(path: Option<&PathSpec>) -> &str {
    match path {
        None => "/",
        Some(PathSpec::Exact(path)) => path,
        // Not with its closing slash: `/api/` is for `/api` too.
        Some(PathSpec::Prefix(prefix)) if prefix.len() > 1 => prefix.strip_suffix('/').unwrap_or(prefix),
        Some(PathSpec::Prefix(_)) => "/",
        Some(PathSpec::Regex(regex)) => {
            let anchored = anchored_literal(regex.get().as_str());
            anchored.filter(|(_, rest)| matches!(*rest, "" | ".*" | "$")).map_or("/", |(literal, _)| literal)
        }
    }
}

/// Splits `^/api/.*` after the literal that follows the anchor.
fn anchored_literal(expression: &str) -> Option<(&str, &str)> {
    let after_anchor = expression.strip_prefix('^')?;
    let is_literal = |c: char| c.is_ascii_alphanumeric() || "/-_~%!&',;=:@".contains(c);
    let end = after_anchor.find(|c| !is_literal(c)).unwrap_or(after_anchor.len());
    Some(after_anchor.split_at(end))
}

/// Whether every request for which `narrow` holds is one for which `wide` holds.
fn covers(wide: &[Condition], narrow: &[Condition]) -> bool {
    wide.iter().all(|condition| narrow.iter().any(|given| given.implies(condition)))
}

impl Condition {
    fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Listeners { numbers: own, .. }, Self::Listeners { numbers, .. }) => {
                is_subset(own, numbers)
            }
            (Self::Methods(own), Self::Methods(wider)) => is_subset(own, wider),
            (Self::Clients(own), Self::Clients(wider)) => is_subset(own, wider),
            (Self::Header(own, value), Self::Header(name, wider)) => own == name && is_within(value, wider),
            (Self::Query(own, value), Self::Query(name, wider)) => own == name && is_within(value, wider),
            (Self::Cookie(own, value), Self::Cookie(name, wider)) => own == name && is_within(value, wider),
            _ => false,
        }
    }
}

fn is_subset<T: PartialEq>(narrow: &[T], wide: &[T]) -> bool {
    narrow.iter().all(|item| wide.contains(item))
}

fn is_within(narrow: &ValueSpec, wide: &ValueSpec) -> bool {
    match (narrow, wide) {
        (ValueSpec::Exact(text), ValueSpec::Regex(regex)) => regex.get().is_match(text),
        (ValueSpec::Exact(_) | ValueSpec::Regex(_), ValueSpec::Present(present)) => *present,
        _ => narrow == wide,
    }
}
