//! Runs requests through a pool in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::hooks::{PickCx, Variables};
use crate::pools::{Fault, Health, Lease, Pick, Pool};
use crate::types::Random;

use super::fleet::{Change, EndpointPlan, TimedChange};
use super::server::Server;
use super::traffic::Request;
use super::waiting::WaitingLine;

/// What all policies go through alike.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) endpoints: Vec<EndpointPlan>,
    /// So many requests are worked on at once by each endpoint.
    pub(super) slots: usize,
    /// In the order of time.
    pub(super) changes: Vec<TimedChange>,
    /// In the order of their arrival.
    pub(super) requests: Vec<Request>,
    /// Whether the run is over with the last arrival, and no request ends before.
    pub(super) is_endless: bool,
}

impl Plan {
    /// From the beginning to the last arrival.
    pub(super) fn length(&self) -> Duration {
        self.requests.last().map_or(Duration::ZERO, |last| last.arrival)
    }
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    /// Of the requests that were served, the shortest first.
    pub(super) latencies: Vec<Duration>,
    /// Requests that failed at an endpoint, or found none.
    pub(super) errors: usize,
    /// The most requests that any endpoint had at a time.
    pub(super) worst_backlog: u32,
    /// How many requests each endpoint got.
    pub(super) picks: Vec<u64>,
}

/// Runs the plan with a pool that was made at `start`.
pub(super) fn simulate(plan: &Plan, pool: &Pool, start: Instant, random: Random) -> Outcomes {
    let mut run = Run {
        plan,
        pool,
        start,
        now: Duration::ZERO,
        random,
        agenda: BinaryHeap::new(),
        events: 0,
        servers: plan.endpoints.iter().map(|&endpoint| Server::new(endpoint, plan.slots)).collect(),
        attempts: plan.requests.iter().map(|_| None).collect(),
        waiting: WaitingLine::new(&pool.config().queue),
        next_return: None,
        outcomes: Outcomes::default(),
    };
    run.complete();
    let mut outcomes = run.outcomes;
    outcomes.latencies.sort_unstable();
    outcomes.picks = pool.endpoints().iter().map(|endpoint| endpoint.load().picks()).collect();
    outcomes
}

struct Run<'a> {
    plan: &'a Plan,
    pool: &'a Pool,
    /// What is zero on the clock of the run.
    start: Instant,
    now: Duration,
    random: Random,
    /// What is to come, the earliest first; of what comes at the same time, what was entered first.
    agenda: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// How many events were ever entered.
    events: u64,
    servers: Vec<Server>,
    /// By request, while an endpoint has it.
    attempts: Vec<Option<Attempt>>,
    waiting: WaitingLine,
    /// When the next ejection ends, as far as that is entered.
    next_return: Option<Instant>,
    outcomes: Outcomes,
}

/// Numbers are those of requests, or of changes of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Change(usize),
    EjectionEnds,
    Arrival(usize),
    Answer(usize),
    GiveUp(usize),
}

/// A request's stay at an endpoint.
struct Attempt {
    lease: Lease,
    began: Duration,
}

impl Run<'_> {
    fn complete(&mut self) {
        (0..self.plan.changes.len())
            .for_each(|index| self.enter(self.plan.changes[index].at, Event::Change(index)));
        self.enter_arrival(0);
        while let Some(Reverse((at, _, event))) = self.agenda.pop() {
            self.now = at;
            match event {
                Event::Change(index) => self.change(index),
                Event::EjectionEnds => self.end_ejections(),
                Event::Arrival(request) => {
                    self.arrive(request);
                    self.enter_arrival(request + 1);
                }
                Event::Answer(request) => self.answer(request),
                Event::GiveUp(request) => self.give_up(request),
            }
        }
    }

    fn enter(&mut self, at: Duration, event: Event) {
        self.events += 1;
        self.agenda.push(Reverse((at, self.events, event)));
    }

    fn enter_arrival(&mut self, request: usize) {
        if let Some(next) = self.plan.requests.get(request) {
            self.enter(next.arrival, Event::Arrival(request));
        }
    }

    fn clock(&self) -> Instant {
        self.start + self.now
    }

    // === Requests ===

    fn arrive(&mut self, request: usize) {
        // Whoever waits goes first.
        if !self.waiting.is_empty() {
            return self.wait(request);
        }
        let headers = HeaderMap::new();
        let cx = pick_cx(&self.plan.requests[request], &headers, self.clock());
        match self.pool.pick(&cx, None, &mut self.random) {
            Pick::Endpoint(lease) => self.send(request, lease),
            Pick::NoRoom => self.wait(request),
            Pick::NobodyFit | Pick::PolicyFailed => self.outcomes.errors += 1,
        }
    }

    fn wait(&mut self, request: usize) {
        if self.waiting.join(request) {
            self.enter(self.now + self.pool.config().queue.timeout.get(), Event::GiveUp(request));
        } else {
            self.outcomes.errors += 1;
        }
    }

    fn give_up(&mut self, request: usize) {
        if self.waiting.leave(request) {
            self.outcomes.errors += 1;
        }
    }

    fn send(&mut self, request: usize, lease: Lease) {
        let endpoint = lease.endpoint();
        let server = endpoint.index();
        self.outcomes.worst_backlog = self.outcomes.worst_backlog.max(endpoint.in_flight());
        self.attempts[request] = Some(Attempt { lease, began: self.now });
        if self.servers[server].accept(request) {
            self.work_on(server, request);
        }
    }

    fn work_on(&mut self, server: usize, request: usize) {
        if !self.plan.is_endless {
            let time = self.servers[server].time_for(self.plan.requests[request].cost);
            self.enter(self.now + time, Event::Answer(request));
        }
    }

    fn answer(&mut self, request: usize) {
        let Some(Attempt { lease, began }) = self.attempts[request].take() else { return };
        let server = lease.endpoint().index();
        if self.servers[server].fails() {
            self.outcomes.errors += 1;
            self.pool.failed(&lease, Fault::UpstreamStatus, None, self.clock());
            self.end_ejections();
        } else {
            self.outcomes.latencies.push(self.now - self.plan.requests[request].arrival);
            self.pool.answered(&lease, self.now - began, self.clock());
            self.pool.succeeded(&lease, self.clock());
        }
        if let Some(next) = self.servers[server].finish() {
            self.work_on(server, next);
        }
        drop(lease);
        self.serve_waiting();
    }

    /// Gives what room there is to those that wait.
    fn serve_waiting(&mut self) {
        while let Some(request) = self.waiting.first() {
            let headers = HeaderMap::new();
            let cx = pick_cx(&self.plan.requests[request], &headers, self.clock());
            let Some(lease) = self.pool.pick_with_room(&cx, &mut self.random) else { return };
            self.waiting.pop();
            self.send(request, lease);
        }
    }

    // === Endpoints ===

    fn end_ejections(&mut self) {
        let next = self.pool.end_ejections(self.clock());
        if next != self.next_return {
            self.next_return = next;
            if let Some(next) = next {
                self.enter(next - self.start, Event::EjectionEnds);
            }
        }
        self.serve_waiting();
    }

    fn change(&mut self, index: usize) {
        let TimedChange { endpoint: number, change, .. } = self.plan.changes[index];
        let (endpoint, now) = (&self.pool.endpoints()[number], self.clock());
        match change {
            Change::Slowness(slowness) => self.servers[number].set_slowness(slowness),
            Change::Drain => self.pool.set_drained(endpoint, true, now),
            Change::Leave => {
                self.pool.set_health(endpoint, Health::Unfit { is_reachable: false }, now);
                self.pool.set_drained(endpoint, false, now);
            }
            Change::Return => self.pool.set_health(endpoint, Health::Fit, now),
        }
        self.serve_waiting();
    }
}

fn pick_cx<'a>(request: &'a Request, headers: &'a HeaderMap, now: Instant) -> PickCx<'a> {
    let sender = &request.sender;
    PickCx {
        client_ip: sender.client,
        now,
        host: &sender.host,
        path: &sender.path,
        query: sender.query.as_deref(),
        headers,
        variables: Variables::NONE,
        notes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Registry;
    use crate::simulate::fleet::Fleet;
    use crate::simulate::subject::{PoolKeys, Subject};
    use crate::simulate::traffic::{Costs, Traffic};

    fn run(policy: &str, keys: &str, plan: &Plan) -> Outcomes {
        let keys = PoolKeys::parse(keys).unwrap();
        Subject::new(policy, &keys, &plan.endpoints, &Registry::with_built_ins()).unwrap().run(plan, 1)
    }

    fn plan(endpoints: usize, slots: usize, rate: f64, requests: usize) -> Plan {
        let requests = Traffic { requests, rate, costs: Costs::Usual }.draw(1);
        let endpoints = Fleet::Equal.endpoints(endpoints);
        Plan { endpoints, slots, changes: Vec::new(), requests, is_endless: false }
    }

    fn mean_ms(outcomes: &Outcomes) -> f64 {
        let sum: Duration = outcomes.latencies.iter().sum();
        sum.as_secs_f64() * 1e3 / outcomes.latencies.len() as f64
    }

    /// M/M/1 at utilisation ρ: `service / (1 - ρ)`.
    #[test]
    fn one_server_is_as_slow_as_the_formula_says() {
        for (rate, expected) in [(100.0, 10.0), (20.0, 5.0 / 0.9), (140.0, 5.0 / 0.3)] {
            let mean = mean_ms(&run("p2c", "{}", &plan(1, 1, rate, 100_000)));
            assert!((mean / expected - 1.0).abs() < 0.05, "{rate}/s: {mean} ms, expected {expected} ms");
        }
    }

    /// M/M/2 at utilisation ρ: `service / (1 - ρ²)`.
    #[test]
    fn two_slots_are_as_slow_as_the_formula_says() {
        let mean = mean_ms(&run("p2c", "{}", &plan(1, 2, 200.0, 100_000)));
        assert!((mean / (5.0 / 0.75) - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn every_request_is_served_once_and_nothing_is_left_in_flight() {
        for policy in ["round_robin", "p2c", "peak_ewma", "least_requests", "random", "first"] {
            let outcomes = run(policy, "{}", &plan(4, 1, 600.0, 2000));
            assert_eq!((outcomes.latencies.len(), outcomes.errors), (2000, 0), "{policy}");
            assert_eq!(outcomes.picks.iter().sum::<u64>(), 2000, "{policy}");
        }
    }

    #[test]
    fn requests_wait_for_room_as_long_and_as_many_as_they_may() {
        let plan = plan(1, 1, 10_000_000.0, 100);
        let served = |keys: &str| run("p2c", keys, &plan).latencies.len();
        assert_eq!(served("{ max_requests: 1, queue: { timeout: 60s } }"), 100);
        assert_eq!(served("{ max_requests: 1, queue: { size: 9, timeout: 60s } }"), 10);
        let in_time = run("p2c", "{ max_requests: 1, queue: { timeout: 100ms } }", &plan);
        assert!((10..40).contains(&in_time.latencies.len()), "{}", in_time.latencies.len());
        assert_eq!(in_time.worst_backlog, 1);
    }

    #[test]
    fn an_endpoint_that_fails_is_ejected_tried_and_ejected_again() {
        let mut plan = plan(4, 16, 400.0, 16_000);
        plan.endpoints = Fleet::OneFailing.endpoints(4);
        let outcomes = run("round_robin", "{}", &plan);
        // Five in a row, then one on trial after about 10 and 30 seconds.
        assert_eq!((outcomes.errors, outcomes.picks[0]), (7, 7));
        let trusting = run("round_robin", "{ outlier: off }", &plan);
        assert_eq!(trusting.errors, 4000);
    }

    #[test]
    fn a_rolling_restart_fails_nothing_and_spares_the_drained() {
        let mut plan = plan(4, 16, 400.0, 4000);
        plan.changes = Fleet::RollingRestart.changes(4, Duration::from_secs(10));
        let outcomes = run("round_robin", "{}", &plan);
        assert_eq!(outcomes.errors, 0);
        // The first was away for a fifth of the time and came back slowly; the last one only left.
        assert!(outcomes.picks[0] < 900 && outcomes.picks[0] > 500, "{:?}", outcomes.picks);
    }
}
