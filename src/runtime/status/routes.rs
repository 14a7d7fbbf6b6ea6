use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::runtime::{Action, Route, RouteStats, Snapshot, Step};
use crate::telemetry::{CLASS_NAMES, Minute, Percentiles};

use super::named;

/// What requests of a route come to. Counts are those since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RouteStatus {
    /// Empty for requests that have no route.
    pub(crate) name: String,
    /// Who answers: `pool app`, `split`, `redirect`, `respond` or `files`; empty for requests that have no route.
    pub(crate) to: String,
    /// Requests that ended, by class of status: `2xx`; `none` is a client that left before its answer.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Requests that have begun and not ended; none for those that have no route.
    pub(crate) in_flight: Option<u64>,
    /// Bytes of requests' bodies.
    pub(crate) bytes_in: u64,
    /// Bytes of answers' bodies.
    pub(crate) bytes_out: u64,
    /// Requests that were not answered by an endpoint or as the route wants it, by cause, in the words of the access log.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) last_minute: Percentiles,
    /// In the order in which they see a request.
    pub(crate) steps: Vec<StepStatus>,
}

/// What a filter on a route decided about requests that it did not let pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StepStatus {
    pub(crate) filter: String,
    /// Which of those of its name on the route it is, from 0.
    pub(crate) number: usize,
    /// Requests that it answered itself.
    pub(crate) answered: u64,
    pub(crate) rejected: u64,
    /// Requests that failed since it did.
    pub(crate) failed: u64,
}

impl RouteStatus {
    /// In the order of the configuration.
    pub(in crate::runtime) fn all(snapshot: &Snapshot) -> Vec<Self> {
        snapshot.routes.iter().map(|route| Self::of(route, snapshot)).collect()
    }

    /// What requests come to that have no route.
    pub(in crate::runtime) fn unrouted(snapshot: &Snapshot) -> Self {
        Self { in_flight: None, ..Self::counted(&snapshot.unrouted) }
    }

    fn of(route: &Route, snapshot: &Snapshot) -> Self {
        Self {
            name: route.name.to_string(),
            to: match &route.action {
                Action::Pool(pool) => format!("pool {}", snapshot.pool_names[pool.0]),
                Action::Split(_) => "split".to_owned(),
                Action::Redirect(_) => "redirect".to_owned(),
                Action::Respond(_) => "respond".to_owned(),
                Action::Files(_) => "files".to_owned(),
            },
            steps: route.filters.iter().map(StepStatus::of).collect(),
            ..Self::counted(&route.stats)
        }
    }

    fn counted(stats: &RouteStats) -> Self {
        let requests = &stats.requests;
        Self {
            name: String::new(),
            to: String::new(),
            requests: named(CLASS_NAMES.into_iter().zip(requests.by_class())),
            in_flight: Some(requests.in_flight()),
            bytes_in: requests.received(),
            bytes_out: requests.sent(),
            errors: named(stats.errors.iter()),
            last_minute: requests.last_minute().percentiles(),
            steps: Vec::new(),
        }
    }
}

impl StepStatus {
    fn of(step: &Step) -> Self {
        let [answered, rejected, failed] = step.stats.decisions();
        Self { filter: step.name.clone(), number: step.number, answered, rejected, failed }
    }
}

/// All requests of the last minute, with and without a route.
pub(in crate::runtime) fn last_minute(snapshot: &Snapshot) -> Percentiles {
    let routed = snapshot.routes.iter().map(|route| &route.stats);
    let mut sum = Minute::default();
    routed.chain([&snapshot.unrouted]).for_each(|stats| sum.add(&stats.requests.last_minute()));
    sum.percentiles()
}
