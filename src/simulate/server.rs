use std::collections::VecDeque;
use std::time::Duration;

use super::fleet::EndpointPlan;

/// What stands behind an endpoint's address: works on a few requests at once, and lets the others wait in line.
#[derive(Debug)]
pub(super) struct Server {
    plan: EndpointPlan,
    free_slots: usize,
    line: VecDeque<usize>,
}

/// How long an endpoint that fails takes for it.
const TIME_TO_FAIL: Duration = Duration::from_millis(1);

impl Server {
    pub(super) fn new(plan: EndpointPlan, slots: usize) -> Self {
        Self { plan, free_slots: slots, line: VecDeque::new() }
    }

    pub(super) fn fails(&self) -> bool {
        self.plan.fails
    }

    /// For the requests that it begins with from now on.
    pub(super) fn set_slowness(&mut self, slowness: f64) {
        self.plan.slowness = slowness;
    }

    /// Takes a request in; returns whether work on it begins now.
    pub(super) fn accept(&mut self, request: usize) -> bool {
        match self.free_slots.checked_sub(1) {
            Some(left) => {
                self.free_slots = left;
                true
            }
            None => {
                self.line.push_back(request);
                false
            }
        }
    }

    /// Notes that work on a request has ended; returns the one with which it goes on.
    pub(super) fn finish(&mut self) -> Option<usize> {
        let next = self.line.pop_front();
        if next.is_none() {
            self.free_slots += 1;
        }
        next
    }

    /// How long the work on a request of that cost takes.
    pub(super) fn time_for(&self, cost: Duration) -> Duration {
        if self.plan.fails {
            return TIME_TO_FAIL;
        }
        Duration::from_nanos((cost.as_nanos() as f64 * self.plan.slowness) as u64)
    }
}
