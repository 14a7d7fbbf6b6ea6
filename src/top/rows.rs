use std::cmp::Reverse;

use crate::pools::State;
use crate::runtime::{
    CacheStatus, CertificateStatus, EndpointStatus, ListenerStatus, PoolStatus, RouteStatus, SplitStatus,
    Status, TransitionStatus,
};
use crate::telemetry::Percentiles;

use super::history::History;
use super::view::{Sort, Tab};

/// A row of a tab.
#[derive(Clone, Copy, Debug)]
pub(super) enum Row<'s> {
    Pool(&'s PoolStatus),
    Endpoint(&'s PoolStatus, &'s EndpointStatus),
    Route(&'s RouteStatus),
    Listener(&'s ListenerStatus),
    Certificate(&'s CertificateStatus),
    Change(&'s TransitionStatus),
    Split(&'s SplitStatus),
    Cache(&'s CacheStatus),
}

/// The rows of a tab in their order, those that have the letters of `filter`.
pub(super) fn rows<'s>(
    status: &'s Status,
    history: &'s History,
    (tab, sort): (Tab, Sort),
    filter: &str,
) -> Vec<Row<'s>> {
    let filter = filter.to_lowercase();
    let mut rows: Vec<Row<'s>> = match tab {
        Tab::Pools => return status.pools.iter().flat_map(|pool| of_pool(pool, sort, &filter)).collect(),
        Tab::Routes => status.routes.iter().chain(&status.unrouted).map(Row::Route).collect(),
        Tab::Listeners => status.listeners.iter().map(Row::Listener).collect(),
        Tab::Certificates => status.certificates.iter().map(Row::Certificate).collect(),
        Tab::Changes => history.changes().map(Row::Change).collect(),
        Tab::Splits => status.splits.iter().map(Row::Split).collect(),
        Tab::Caches => status.caches.iter().map(Row::Cache).collect(),
    };
    rows.retain(|row| row.has(&filter));
    match tab {
        Tab::Routes if sort != Sort::File => rows.sort_by_key(|row| row.rank(sort)),
        // What has to be renewed first.
        Tab::Certificates => rows.sort_by_key(|row| match row {
            Row::Certificate(certificate) => certificate.expires_in_s,
            _ => i64::MAX,
        }),
        _ => {}
    }
    rows
}

/// A pool and its endpoints; where the filter leaves none of them, nothing.
fn of_pool<'s>(pool: &'s PoolStatus, sort: Sort, filter: &str) -> Vec<Row<'s>> {
    let is_whole = pool.name.to_lowercase().contains(filter);
    let mut endpoints: Vec<_> = pool.endpoints.iter().map(|endpoint| Row::Endpoint(pool, endpoint)).collect();
    endpoints.retain(|row| is_whole || row.has(filter));
    if endpoints.is_empty() && !is_whole {
        return Vec::new();
    }
    if sort != Sort::File {
        endpoints.sort_by_key(|row| row.rank(sort));
    }
    std::iter::once(Row::Pool(pool)).chain(endpoints).collect()
}

impl Row<'_> {
    /// What it is, whatever its place.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Pool(pool) => pool.name.clone(),
            Self::Endpoint(pool, endpoint) => format!("{}/{}", pool.name, endpoint.address),
            Self::Route(route) => route.name.clone(),
            Self::Listener(listener) => listener.name.clone(),
            Self::Certificate(certificate) => format!("{} {}", certificate.listener, certificate.file),
            Self::Change(change) => change.number.to_string(),
            Self::Split(split) => split.route.clone(),
            Self::Cache(cache) => cache.name.clone(),
        }
    }

    fn has(&self, filter: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(filter);
        match self {
            Self::Endpoint(_, endpoint) => has(&self.id()) || is_word(endpoint.state, filter),
            Self::Route(route) => has(&route.name) || has(&route.to),
            Self::Certificate(certificate) => {
                has(&self.id()) || certificate.names.iter().any(|name| has(name))
            }
            Self::Change(change) => {
                has(&what_changed(change))
                    || [&change.from, &change.to, &change.why].into_iter().any(|text| has(text))
            }
            Self::Split(split) => has(&split.route) || split.to.iter().any(|side| has(&side.pool)),
            Self::Pool(_) | Self::Listener(_) | Self::Cache(_) => has(&self.id()),
        }
    }

    /// The smallest comes first.
    fn rank(&self, sort: Sort) -> Reverse<u64> {
        let thousandths = |number: f64| (number * 1000.0) as u64;
        let of_minute = |minute: &Percentiles| match sort {
            Sort::Rate => thousandths(minute.per_s),
            Sort::P99 => minute.p99_ms.map_or(0, thousandths),
            Sort::File | Sort::InFlight | Sort::State => 0,
        };
        Reverse(match (self, sort) {
            (Self::Endpoint(_, endpoint), Sort::InFlight) => endpoint.in_flight.into(),
            (Self::Endpoint(_, endpoint), Sort::State) => trouble(endpoint.state),
            (Self::Endpoint(_, endpoint), _) => of_minute(&endpoint.last_minute),
            (Self::Route(route), Sort::InFlight) => route.in_flight.unwrap_or(0),
            (Self::Route(route), _) => of_minute(&route.last_minute),
            _ => 0,
        })
    }
}

/// `app/10.0.0.1:80`, `app` or `configuration`.
pub(super) fn what_changed(change: &TransitionStatus) -> String {
    match (&change.pool, &change.endpoint) {
        (Some(pool), Some(endpoint)) => format!("{pool}/{endpoint}"),
        (Some(pool), None) => pool.clone(),
        (None, _) => "configuration".to_owned(),
    }
}

/// `fit` is not meant to find those that are unfit.
fn is_word(state: State, filter: &str) -> bool {
    !filter.is_empty() && state.as_str().starts_with(filter)
}

/// How much somebody should look at an endpoint.
fn trouble(state: State) -> u64 {
    match state {
        State::Fit => 0,
        State::Drained => 1,
        State::Draining => 2,
        State::Checking => 3,
        State::Ejected => 4,
        State::Unfit => 5,
    }
}
