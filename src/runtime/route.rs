use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};

use crate::files::Files;
use crate::hooks::{Filter, Needs, PoolRef};
use crate::split::Split;
use crate::telemetry::OwnLines;
use crate::types::{RouteName, Template};

use super::{RouteStats, StepStats};

/// A route as requests take it.
pub(crate) struct Route {
    pub(crate) name: RouteName,
    pub(crate) filters: Box<[Step]>,
    /// What any of the filters needs.
    pub(crate) needs: Needs,
    pub(crate) action: Action,
    pub(crate) stats: Arc<RouteStats>,
    /// What its lines in the access log are made like, where that is not as for all.
    pub(crate) lines: Option<OwnLines>,
}

/// A filter on a route.
pub(crate) struct Step {
    pub(crate) name: String,
    /// Which of those of its name on the route it is, from 0.
    pub(crate) number: usize,
    pub(crate) filter: Box<dyn Filter>,
    pub(crate) needs: Needs,
    pub(crate) stats: Arc<StepStats>,
}

/// Who answers.
#[derive(Debug)]
pub(crate) enum Action {
    Pool(PoolRef),
    Redirect(Redirect),
    Respond(Respond),
    Files(Arc<Files>),
    Split(Split),
}

#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) to: Template,
    pub(crate) status: StatusCode,
}

#[derive(Debug)]
pub(crate) struct Respond {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    pub(crate) delay: Duration,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filters: Vec<_> = self.filters.iter().map(|step| &step.name).collect();
        f.debug_struct("Route").field("name", &self.name).field("filters", &filters).finish_non_exhaustive()
    }
}
