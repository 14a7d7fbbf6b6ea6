use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::router::{Candidate, Parts, Router, Verdict};
use crate::split::{Share, Split};
use crate::types::{HostPattern, PoolName, RouteName, cut};

use super::super::Cause;
use super::Bounded;

/// How the route was found.
#[derive(Clone, Debug)]
pub(crate) struct Routing {
    pub(crate) at: Instant,
    /// The routes for the request's host, in the order in which they are tried.
    pub(crate) candidates: Bounded<RouteCandidate, MOST_CANDIDATES>,
    pub(crate) route: Option<RouteName>,
}

/// A route that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteCandidate {
    pub(crate) name: RouteName,
    /// The most specific of its hosts that is for the request's.
    pub(crate) host: Option<HostPattern>,
    pub(crate) is_chosen: bool,
    /// What came of it in words, without anything that the client has sent.
    pub(crate) verdict: String,
}

/// So many candidates are told of.
const MOST_CANDIDATES: usize = 64;
/// No more is told of each, in bytes: lists of what a route wants may be long.
const LONGEST_VERDICT: usize = 256;

impl Routing {
    /// By the same facts by which the route was found.
    pub(crate) fn explained(
        router: &Router,
        parts: &Parts<'_>,
        route: Option<&RouteName>,
        at: Instant,
    ) -> Self {
        let first = router.candidates(parts).take(MOST_CANDIDATES);
        let mut candidates: Bounded<_, MOST_CANDIDATES> = first.map(RouteCandidate::from).collect();
        candidates.leave_out(router.of_host(parts.host).saturating_sub(MOST_CANDIDATES));
        Self { at, candidates, route: route.cloned() }
    }

    /// Without how the route was found.
    pub(crate) fn found(route: Option<&RouteName>, at: Instant) -> Self {
        Self { at, candidates: Bounded::default(), route: route.cloned() }
    }
}

impl From<Candidate> for RouteCandidate {
    fn from(candidate: Candidate) -> Self {
        let Candidate { name, host, verdict, .. } = candidate;
        let is_chosen = verdict == Verdict::Chosen;
        Self { name, host, is_chosen, verdict: cut(verdict.redacted(), LONGEST_VERDICT) }
    }
}

/// A filter's call with the request.
#[derive(Clone, Debug)]
pub(crate) struct FilterRun {
    pub(crate) name: String,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) verdict: FilterVerdict,
}

/// What a filter made of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilterVerdict {
    Continued,
    Answered(StatusCode),
    /// With its word.
    Rejected(StatusCode, String),
    /// It failed, or was not through in time.
    Failed(Cause),
}

impl FilterVerdict {
    /// A word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Continued => "continued",
            Self::Answered(_) => "answered",
            Self::Rejected(..) => "rejected",
            Self::Failed(_) => "failed",
        }
    }
}

/// Which of several pools was chosen.
#[derive(Clone, Debug)]
pub(crate) struct SplitRun {
    pub(crate) chosen: PoolName,
    /// What keeps the client with its pool, in words; `None` where chance decides.
    pub(crate) by: Option<String>,
    pub(crate) shares: Bounded<SplitShare, 16>,
}

/// What a pool had of the requests.
#[derive(Clone, Debug)]
pub(crate) struct SplitShare {
    pub(crate) pool: PoolName,
    pub(crate) share: Share,
}

impl SplitRun {
    pub(crate) fn new(split: &Split, side: usize) -> Self {
        let shares =
            split.shares().map(|side| SplitShare { pool: side.name.clone(), share: side.share }).collect();
        Self { chosen: split.name_of(side).clone(), by: split.describe_key(), shares }
    }
}
