use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::pools::State;
use crate::runtime::{EndpointStatus, Status};

/// What was seen of a process since this began to look: how much it did each second, and who changed.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<Seen>,
    /// The oldest first.
    moments: VecDeque<Moment>,
    /// The newest first.
    changes: VecDeque<StateChange>,
}

/// What all requests came to between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moment {
    pub(super) requests_per_s: f64,
    /// Answers of 5xx.
    pub(super) errors_per_s: f64,
    /// Over the minute before.
    pub(super) p99_ms: Option<f64>,
}

/// An endpoint that was seen to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateChange {
    /// How long the process had run.
    pub(super) at_s: u64,
    pub(super) target: String,
    pub(super) from: State,
    pub(super) to: State,
    pub(super) why: Option<String>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    process: u32,
    requests: u64,
    errors: u64,
    states: HashMap<String, State>,
}

/// Five minutes, at a look a second.
const MOST_MOMENTS: usize = 300;
const MOST_CHANGES: usize = 500;

impl History {
    /// Notes a status that was told at this moment.
    pub(super) fn note(&mut self, status: &Status, at: Instant) {
        let seen = Seen::of(status, at);
        // Another process counts anew.
        if let Some(last) = self.last.take().filter(|last| last.process == seen.process) {
            self.note_moment(&last, &seen, status);
            self.note_changes(&last, status);
        }
        self.last = Some(seen);
    }

    fn note_moment(&mut self, last: &Seen, seen: &Seen, status: &Status) {
        let seconds = seen.at.saturating_duration_since(last.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let per_s = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        push(
            &mut self.moments,
            MOST_MOMENTS,
            Moment {
                requests_per_s: per_s(seen.requests, last.requests),
                errors_per_s: per_s(seen.errors, last.errors),
                p99_ms: status.last_minute.p99_ms,
            },
        );
    }

    fn note_changes(&mut self, last: &Seen, status: &Status) {
        for pool in &status.pools {
            for endpoint in &pool.endpoints {
                let target = format!("{}/{}", pool.name, endpoint.address);
                let (to, why) = (endpoint.state, endpoint.reason.clone());
                let Some(&from) = last.states.get(&target).filter(|from| **from != to) else { continue };
                self.changes.push_front(StateChange { at_s: status.uptime_s, target, from, to, why });
            }
        }
        self.changes.truncate(MOST_CHANGES);
    }

    pub(super) fn moments(&self) -> impl DoubleEndedIterator<Item = &Moment> + ExactSizeIterator {
        self.moments.iter()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &StateChange> {
        self.changes.iter()
    }
}

impl Seen {
    fn of(status: &Status, at: Instant) -> Self {
        let routes = || status.routes.iter().chain(&status.unrouted);
        let states = status.pools.iter().flat_map(|pool| {
            let state =
                |endpoint: &EndpointStatus| (format!("{}/{}", pool.name, endpoint.address), endpoint.state);
            pool.endpoints.iter().map(state)
        });
        Self {
            at,
            process: status.process,
            requests: routes().flat_map(|route| route.requests.values()).sum(),
            errors: routes().filter_map(|route| route.requests.get("5xx")).sum(),
            states: states.collect(),
        }
    }
}

fn push<T>(list: &mut VecDeque<T>, most: usize, item: T) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::top::testing::{endpoint, pool, route, status};

    #[test]
    fn rates_are_differences_over_time() {
        let (mut history, now) = (History::default(), Instant::now());
        let of = |answered, failed| Status { routes: vec![route("a", answered, failed)], ..status() };
        history.note(&of(100, 0), now);
        assert_eq!(history.moments().len(), 0);
        history.note(&of(150, 10), now + Duration::from_secs(2));
        let moment = history.moments().next_back().unwrap();
        assert_eq!((moment.requests_per_s, moment.errors_per_s), (30.0, 5.0));
        // Another process has taken over and counts from nothing.
        let other = Status { process: 43, ..of(3, 0) };
        history.note(&other, now + Duration::from_secs(3));
        assert_eq!(history.moments().len(), 1);
        for second in 4..1000 {
            history.note(&other, now + Duration::from_secs(second));
        }
        assert_eq!(history.moments().len(), MOST_MOMENTS);
    }

    #[test]
    fn endpoints_that_change_are_noted() {
        let (mut history, now) = (History::default(), Instant::now());
        let of = |state| {
            let ill = EndpointStatus { reason: Some("refused".to_owned()), ..endpoint("10.0.0.2:80", state) };
            Status {
                uptime_s: 9,
                pools: vec![pool("app", &[endpoint("10.0.0.1:80", State::Fit), ill])],
                ..status()
            }
        };
        for (second, state) in [State::Fit, State::Fit, State::Unfit, State::Fit].into_iter().enumerate() {
            history.note(&of(state), now + Duration::from_secs(second as u64));
        }
        let told: Vec<_> = history.changes().map(|change| (change.from, change.to)).collect();
        assert_eq!(told, [(State::Unfit, State::Fit), (State::Fit, State::Unfit)]);
        let change = history.changes().next().unwrap();
        assert_eq!(
            (&*change.target, change.at_s, change.why.as_deref()),
            ("app/10.0.0.2:80", 9, Some("refused"))
        );
    }
}
