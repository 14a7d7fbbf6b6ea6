use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Uri};
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::time::Instant;

use crate::hooks::{Bounds, Facts, FilterCx, PickCx, PoolRef, Variables, Way};
use crate::pools::{BetweenAttempts, Lease, Pool, RetryPermit, Tried, Uncounted};
use crate::router::RouteId;
use crate::runtime::{Cause, GrpcStatus, Recording, Route, RouteStats, Snapshot};
use crate::split::Choice;
use crate::telemetry::OwnLines;
use crate::tracing::Traced;
use crate::types::RequestHost;

use super::cache::CacheCx;
use super::clock::Clock;
use super::cork::Cork;
use super::deadline::Watchdog;
use super::grpc::Call;
use super::hedge::Hedge;
use super::record::{self, Unfinished};

/// What the gateway keeps of one request, from its header to its log line.
pub(crate) struct RequestCx {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) received: Instant,
    pub(super) facts: Option<Facts>,
    pub(super) host: RequestHost,
    /// What its client asked for, where filters may change that.
    pub(super) asked_target: Option<Uri>,
    /// Whether it came with credentials, for the endpoint or for a proxy.
    pub(super) came_authorized: bool,
    /// Which way it came.
    pub(super) way: Way,
    route: Option<usize>,
    /// Whether it is in flight for its route, as requests of clients are.
    is_in_flight: bool,
    /// So many filters saw the request; they will see the response in reverse.
    pub(super) entered: usize,
    pub(super) pool: Option<PoolRef>,
    /// The pool as filters see it. What they change after the endpoint was chosen has no effect.
    pub(super) shown_pool: Option<PoolRef>,
    /// What the route's split has chosen, if it was asked.
    pub(super) choice: Option<Choice>,
    pub(super) lease: Option<Lease>,
    /// The endpoint that the client's cookie names.
    pub(super) pinned: Option<usize>,
    /// Endpoints that failed the request.
    pub(super) tried: Tried,
    pub(super) attempts: usize,
    pub(super) stale_retries: usize,
    /// Attempts that followed a failed one.
    pub(super) retries: u8,
    /// Why the next attempt is made, if one is.
    pub(super) repeats: Option<Cause>,
    pub(super) retry_permit: Option<RetryPermit>,
    pub(super) between_attempts: Option<BetweenAttempts>,
    /// When the running attempt began.
    pub(super) attempt_began: Option<Instant>,
    /// What the pool was told of the running attempt.
    pub(super) noted: Noted,
    /// What passed between it and its endpoint, as far as that is not counted yet.
    pub(super) uncounted: Uncounted,
    /// When an endpoint was found, if it had to be waited for.
    pub(super) reserved: Option<Instant>,
    pub(super) extensions: Extensions,
    /// What filters have told of the request.
    pub(super) variables: Variables,
    /// What filters allow it.
    pub(super) bounds: Bounds,
    /// For how long filters have held it up.
    pub(super) paused: Duration,
    /// Until when they do.
    pub(super) held_until: Option<Instant>,
    /// The call of gRPC that the request is.
    pub(super) call: Option<Call>,
    /// How the call ended.
    pub(super) grpc_status: Option<GrpcStatus>,
    pub(super) cause: Option<Cause>,
    /// Whether the client is answered with an error of the edge's own. A cause alone may come after the answer's head, or of a
    /// client that has left.
    pub(super) is_refused: bool,
    /// Bytes of the request's body so far.
    pub(super) body_bytes: u64,
    /// When its first bytes came.
    pub(super) body_begun: Option<Instant>,
    /// Whether the whole body has come.
    pub(super) body_ended: bool,
    /// When it had, if there was one.
    pub(super) body_ended_at: Option<Instant>,
    /// Informational responses that the endpoint has sent.
    pub(super) informational: u8,
    /// Whether the client asks for an upgrade.
    pub(super) is_upgrade_req: bool,
    /// Whether the request that was forwarded asks for an upgrade.
    pub(super) asks_upgrade: bool,
    /// Whether the response goes on for as long as its client listens.
    pub(super) is_endless: bool,
    /// The descriptor of the running attempt's connection.
    pub(super) socket: Option<RawFd>,
    pub(super) watchdog: Option<Watchdog>,
    /// The running attempt, if it may be two.
    pub(super) hedge: Option<Box<Hedge>>,
    /// Of a client of HTTP/2.
    pub(super) clock: Option<Clock>,
    /// Holds a request for an upgrade back until its end is noted.
    pub(super) cork: Option<Cork>,
    pub(super) timings: PhaseTimes,
    /// Whether a filter had it wait, so that its client may have left meanwhile.
    pub(super) has_waited: bool,
    /// Whether it was admitted before Pingora saw it.
    pub(super) is_admitted: bool,
    /// What is known of the request where its route has a cache.
    pub(super) cache: Option<Box<CacheCx>>,
    /// Where it stands in its trace, if traces are wanted.
    pub(super) traced: Option<Traced>,
    /// Where the request may be dropped before its end.
    pub(super) unfinished: Option<Box<Unfinished>>,
    /// What becomes of it, if anybody wants to know.
    pub(super) recording: Option<Box<Recording>>,
}

/// What the pool was told of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Noted {
    #[default]
    Nothing,
    /// The head of a good answer came.
    Answered,
    /// It failed.
    Failed,
}

/// When the phases of a request ended, as far as they were reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PhaseTimes {
    pub(super) filtered: Option<Instant>,
    pub(super) connected: Option<Instant>,
    pub(super) first_byte: Option<Instant>,
}

impl RequestCx {
    pub(super) fn new(snapshot: Arc<Snapshot>, received: Instant) -> Self {
        Self {
            snapshot,
            received,
            facts: None,
            host: RequestHost::default(),
            asked_target: None,
            came_authorized: false,
            way: Way::default(),
            route: None,
            is_in_flight: false,
            entered: 0,
            pool: None,
            shown_pool: None,
            choice: None,
            lease: None,
            pinned: None,
            tried: Tried::new(),
            attempts: 0,
            stale_retries: 0,
            retries: 0,
            repeats: None,
            retry_permit: None,
            between_attempts: None,
            attempt_began: None,
            noted: Noted::Nothing,
            uncounted: Uncounted::default(),
            reserved: None,
            extensions: Extensions::new(),
            variables: Variables::default(),
            bounds: Bounds::default(),
            paused: Duration::ZERO,
            held_until: None,
            call: None,
            grpc_status: None,
            cause: None,
            is_refused: false,
            body_bytes: 0,
            body_begun: None,
            body_ended: false,
            body_ended_at: None,
            informational: 0,
            is_upgrade_req: false,
            asks_upgrade: false,
            is_endless: false,
            socket: None,
            watchdog: None,
            hedge: None,
            clock: None,
            cork: None,
            timings: PhaseTimes::default(),
            has_waited: false,
            is_admitted: false,
            cache: None,
            traced: None,
            unfinished: None,
            recording: None,
        }
    }

    /// The same for a request of the edge's own that is made in the place of this one. It has no client, and holds nothing that
    /// filters hold for this one, such as its share of what is served at once.
    pub(super) fn for_own_request(&self) -> Self {
        let mut cx = Self::new(self.snapshot.clone(), Instant::now());
        cx.facts.clone_from(&self.facts);
        cx.host.clone_from(&self.host);
        cx.asked_target.clone_from(&self.asked_target);
        cx.way.clone_from(&self.way);
        cx.route = self.route;
        cx.entered = self.entered;
        cx.pool = self.pool;
        cx.shown_pool = self.shown_pool;
        cx.variables.clone_from(&self.variables);
        cx.bounds = self.bounds;
        cx
    }

    /// Notes why the request fails; the error that carries this through Pingora says nothing itself. The first
    /// cause stays, since later ones are its consequences.
    pub(super) fn fail(&mut self, cause: Cause) -> Box<Error> {
        self.cause.get_or_insert(cause);
        let mut error = Error::new_in(ErrorType::InternalError);
        error.set_retry(false);
        error
    }

    /// Before another attempt, to which the body is sent again from its first byte.
    pub(super) fn forget_body(&mut self) {
        self.body_bytes = 0;
        self.body_begun = None;
        self.body_ended = false;
        self.body_ended_at = None;
        if let Some(call) = &mut self.call {
            call.forget_body();
        }
    }

    /// Bytes of the body are sent to the endpoint.
    pub(super) fn note_sent(&mut self, bytes: usize) {
        self.uncounted.sent(bytes as u64);
        self.count_bytes_if_due();
    }

    /// Bytes of its answer's body came.
    pub(super) fn note_received(&mut self, bytes: usize) {
        self.uncounted.received(bytes as u64);
        self.count_bytes_if_due();
    }

    fn count_bytes_if_due(&mut self) {
        if self.uncounted.is_due() {
            self.count_bytes();
        }
    }

    /// Counts what passed so far for the endpoint of the running attempt, or of the last one: where that was answered early,
    /// the rest of the body still goes there.
    pub(super) fn count_bytes(&mut self) {
        let endpoint = self.lease.as_ref().map(Lease::endpoint).or(self.tried.last());
        if let Some(endpoint) = endpoint {
            self.uncounted.settle(endpoint);
        }
    }

    /// All that the request may take, with the pauses that filters made so far; zero for no limit.
    pub(super) fn total(&self) -> Duration {
        let total = self.pool().map_or(Duration::ZERO, |pool| pool.timeouts().total.get());
        let total = self.call.as_ref().map_or(total, |call| call.total(total));
        let total = self.bounds.total.filter(|&bound| total.is_zero() || bound < total).unwrap_or(total);
        if total.is_zero() { total } else { total.saturating_add(self.paused) }
    }

    /// When all that it may take is used up; `None` without a limit.
    pub(super) fn due(&self) -> Option<Instant> {
        let total = self.total();
        (!total.is_zero()).then(|| self.received + total)
    }

    /// Gives the request its route, which it counts for from here on.
    pub(super) fn set_route(&mut self, route: RouteId) {
        self.leave_route();
        self.route = Some(route.0);
        self.is_in_flight = true;
        if let Some(route) = self.route() {
            route.stats.requests.enter();
        }
    }

    fn leave_route(&self) {
        if let Some(route) = self.route().filter(|_| self.is_in_flight) {
            route.stats.requests.leave();
        }
    }

    /// Where it counts: at its route, or among those that have none.
    pub(super) fn stats(&self) -> &RouteStats {
        self.route().map_or(&self.snapshot.unrouted, |route| &route.stats)
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.route.map(|index| &self.snapshot.routes[index])
    }

    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        self.pool.and_then(|pool| self.snapshot.pools.get(pool.0))
    }

    /// The context of a policy's pick.
    pub(super) fn pick_cx<'a>(&'a self, request: &'a RequestHeader, now: Instant) -> PickCx<'a> {
        let client_ip =
            self.facts.as_ref().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |facts| facts.client_ip);
        PickCx {
            client_ip,
            now,
            host: self.host.as_str(),
            path: request.uri.path(),
            query: request.uri.query(),
            headers: &request.headers,
            variables: &self.variables,
            notes: self.recording.as_ref().map(|recording| &recording.notes),
        }
    }

    /// Whether the answer is a stored one, whose time and endpoint are nobody's concern.
    pub(super) fn is_stored_answer(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.is_stored)
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.facts.as_ref().and_then(|facts| facts.request_id.to_str().ok())
    }

    /// What its route says of its line in the access log.
    pub(super) fn own_lines(&self) -> Option<&OwnLines> {
        self.route().and_then(|route| route.lines.as_ref())
    }
}

impl Drop for RequestCx {
    fn drop(&mut self) {
        if let Some(unfinished) = self.unfinished.take() {
            record::finish_dropped(&unfinished, self);
        }
        self.count_bytes();
        self.leave_route();
    }
}

/// What filters get to see of `cx`, borrowed part by part so that the rest stays usable. `None` before the
/// request has a route.
pub(super) fn filter_parts(cx: &mut RequestCx, now: Instant) -> Option<(FilterCx<'_>, &Route, &str)> {
    let RequestCx { snapshot, facts, way, route, shown_pool, lease, extensions, variables, bounds, .. } = cx;
    let host = &cx.host;
    let route = &snapshot.routes[(*route)?];
    let filter_cx = FilterCx {
        facts: facts.as_ref()?,
        way,
        route: &route.name,
        pools: &snapshot.pool_names,
        pool: shown_pool,
        endpoint: lease.as_ref().map(|lease| lease.endpoint().address()),
        extensions,
        variables,
        bounds,
        now,
    };
    Some((filter_cx, route, host.as_str()))
}
