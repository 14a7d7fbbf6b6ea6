//! Processes that are made up.

use std::collections::BTreeMap;

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tokio::time::Instant;

use crate::pools::State;
use crate::runtime::{EndpointStatus, PoolStatus, RouteStatus, Status};
use crate::telemetry::Percentiles;

use super::View;

pub(super) fn pressed(char: char) -> KeyEvent {
    KeyEvent::from(match char {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\u{1b}' => KeyCode::Esc,
        '\u{8}' => KeyCode::Backspace,
        char => KeyCode::Char(char),
    })
}

pub(super) fn minute(per_s: f64, p50: f64) -> Percentiles {
    Percentiles { p50_ms: Some(p50), p95_ms: Some(p50 * 4.0), p99_ms: Some(p50 * 10.0), per_s }
}

pub(super) fn endpoint(address: &str, state: State) -> EndpointStatus {
    EndpointStatus {
        address: address.to_owned(),
        state,
        weight: 1,
        zone: None,
        on_trial: false,
        backup: false,
        in_flight: 0,
        max_requests: 1024,
        picks: 0,
        failures: 0,
        latency_ms: None,
        slow_start_percent: None,
        ejected_for_ms: None,
        reason: None,
        ejections: 0,
        last_minute: Percentiles::default(),
        picks_percent: None,
        probes: Vec::new(),
    }
}

pub(super) fn pool(name: &str, endpoints: Vec<EndpointStatus>) -> PoolStatus {
    PoolStatus {
        name: name.to_owned(),
        balance: "p2c".to_owned(),
        in_flight: 3,
        waiting: 0,
        retries: 0,
        picks: 100,
        failures: 0,
        panic: false,
        fit: endpoints.iter().filter(|endpoint| endpoint.state == State::Fit).count(),
        last_minute: minute(12.0, 3.0),
        waited: 0,
        retried: 0,
        retries_refused: 0,
        hedged: 0,
        unserved: BTreeMap::new(),
        endpoints,
    }
}

pub(super) fn route(name: &str, answered: u64, failed: u64) -> RouteStatus {
    RouteStatus {
        name: name.to_owned(),
        to: "pool app".to_owned(),
        requests: [("2xx".to_owned(), answered), ("5xx".to_owned(), failed)].into(),
        in_flight: Some(3),
        bytes_in: 0,
        bytes_out: 0,
        errors: BTreeMap::new(),
        last_minute: minute(12.0, 3.0),
        steps: Vec::new(),
    }
}

pub(super) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        process: 42,
        uptime_s: 3700,
        generation: 1,
        last_minute: minute(12.0, 3.0),
        ..Status::default()
    }
}

/// A view of two pools, one of whose endpoints is not fit.
pub(super) fn two_pools() -> View {
    let mut busy = endpoint("10.0.0.1:80", State::Fit);
    (busy.weight, busy.in_flight, busy.last_minute, busy.picks_percent) =
        (3, 2, minute(12.0, 3.0), Some(100.0));
    let mut ill = endpoint("10.0.0.2:80", State::Unfit);
    ill.probes = serde_json::from_value(serde_json::json!([
        { "at": "2026-01-01T00:00:00.000Z", "passed": false, "took_ms": 1.5, "reason": "connection refused" }
    ]))
    .unwrap();
    let mut view = View::default();
    let pools = vec![pool("app", vec![busy, ill]), pool("shop", vec![endpoint("10.0.1.1:80", State::Fit)])];
    view.tell(Status { pools, routes: vec![route("api", 100, 2)], ..status() }, Instant::now());
    view
}
