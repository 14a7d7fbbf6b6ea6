use std::cmp::Reverse;

use crate::config::spec::PathSpec;
use crate::types::HostPattern;

use super::RouteId;
use super::path::PathKey;

/// The rank of a route under one of its hosts; what is less is tried earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Specificity {
    host: HostRank,
    path: PathRank,
    conditions: Reverse<usize>,
    route: RouteId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    Exact,
    Wildcard { length: Reverse<usize> },
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Exact,
    /// Ranked by the first route of the host that has the expression, so that routes with one expression stay
    /// together and their conditions decide between them.
    Regex {
        first: RouteId,
    },
    Prefix {
        length: Reverse<usize>,
    },
    Any,
}

impl Specificity {
    /// `first` is the first route of this host with the same path.
    pub(super) fn new(
        host: Option<&HostPattern>,
        path: Option<&PathSpec>,
        conditions: usize,
        route: RouteId,
        first: RouteId,
    ) -> Self {
        Self { host: host_rank(host), path: path_rank(path, first), conditions: Reverse(conditions), route }
    }

    pub(super) fn route(&self) -> RouteId {
        self.route
    }
}

fn host_rank(host: Option<&HostPattern>) -> HostRank {
    match host {
        Some(HostPattern::Exact(_)) => HostRank::Exact,
        Some(HostPattern::Wildcard(suffix)) => HostRank::Wildcard { length: Reverse(suffix.len()) },
        None => HostRank::Any,
    }
}

fn path_rank(path: Option<&PathSpec>, first: RouteId) -> PathRank {
    match PathKey::of(path) {
        PathKey::Exact(_) => PathRank::Exact,
        PathKey::Regex(_) => PathRank::Regex { first },
        PathKey::Prefix(stem) => PathRank::Prefix { length: Reverse(stem.len()) },
        PathKey::Any => PathRank::Any,
    }
}
