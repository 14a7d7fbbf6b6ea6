//! The built-in scenarios.

use super::fleet::Fleet;
use super::traffic::Costs;

/// A fleet, the requests that it gets, and which policies are worth to be compared on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) fleet: Fleet,
    pub(super) costs: Costs,
    pub(super) endpoints: usize,
    pub(super) slots: usize,
    pub(super) requests: usize,
    pub(super) rate: f64,
    /// Empty for all.
    pub(super) policies: &'static [&'static str],
}

const UNIFORM: Scenario = Scenario {
    name: "uniform",
    about: "equal endpoints and usual requests",
    fleet: Fleet::Equal,
    costs: Costs::Usual,
    endpoints: 8,
    slots: 16,
    requests: 8000,
    rate: 400.0,
    policies: &[],
};

/// In the order in which they are listed.
pub(super) const SCENARIOS: [Scenario; 9] = [
    UNIFORM,
    Scenario {
        name: "one-slow",
        about: "the first endpoint is 20 times slower than the others",
        fleet: Fleet::OneSlow(20),
        ..UNIFORM
    },
    Scenario {
        name: "slow-requests",
        about: "one request in five takes 10 times longer than the others",
        costs: Costs::SomeLong(10),
        ..UNIFORM
    },
    Scenario {
        name: "fail-fast",
        about: "the first endpoint answers every request with 503 after 1 ms",
        fleet: Fleet::OneFailing,
        ..UNIFORM
    },
    Scenario {
        name: "brown-out",
        about: "the first endpoint is 80 times slower during the second quarter",
        fleet: Fleet::BrownOut(80),
        ..UNIFORM
    },
    Scenario {
        name: "rolling-restart",
        about: "one endpoint after the other is drained, gone, and back in slow start",
        fleet: Fleet::RollingRestart,
        ..UNIFORM
    },
    Scenario {
        name: "weights",
        about: "weights of 1, 1, 2, 2, 4, 4, 8, 8 and speeds in proportion",
        fleet: Fleet::Weighted,
        ..UNIFORM
    },
    Scenario {
        name: "race",
        about: "long requests among short ones, at endpoints that work on one at a time",
        costs: Costs::SomeLong(10),
        endpoints: 4,
        slots: 1,
        requests: 2000,
        // A request costs 14 ms on average: 250 · 14 ms / 4 endpoints = 0.875.
        rate: 250.0,
        policies: &["round_robin", "least_requests"],
        ..UNIFORM
    },
    Scenario {
        name: "balls",
        about: "requests that do not end, thrown like balls into bins",
        costs: Costs::Endless,
        endpoints: 100,
        requests: 1000,
        policies: &["random", "p2c", "round_robin"],
        ..UNIFORM
    },
];

impl Scenario {
    pub(super) fn named(name: &str) -> Option<Self> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    /// Whether it says something about the endpoints, and not only about requests.
    pub(super) fn is_about_endpoints(&self) -> bool {
        self.name == UNIFORM.name || self.fleet != Fleet::Equal
    }
}
