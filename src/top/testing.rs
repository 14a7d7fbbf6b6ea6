//! Processes that are made up.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use crate::pools::State;
use crate::runtime::{EndpointStatus, PoolStatus, Recent, RouteStatus, Sample, Status, TransitionStatus};
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

/// Read as what a process tells, so that figures that come later are none of this.
fn told<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(super) fn endpoint(address: &str, state: State) -> EndpointStatus {
    told(serde_json::json!({
        "address": address, "state": state, "weight": 1, "backup": false, "on_trial": false, "in_flight": 0,
        "max_requests": 1024, "picks": 0, "failures": 0, "probes": []
    }))
}

pub(super) fn pool(name: &str, endpoints: &[EndpointStatus]) -> PoolStatus {
    let fit = endpoints.iter().filter(|endpoint| endpoint.state == State::Fit).count();
    told(serde_json::json!({
        "name": name, "balance": "p2c", "in_flight": 3, "waiting": 0, "retries": 0, "picks": 100, "failures": 0,
        "panic": false, "fit": fit, "last_minute": minute(12.0, 3.0), "endpoints": endpoints
    }))
}

pub(super) fn route(name: &str, answered: u64, failed: u64) -> RouteStatus {
    told(serde_json::json!({
        "name": name, "to": "pool app", "requests": { "2xx": answered, "5xx": failed }, "in_flight": 3,
        "bytes_in": 0, "bytes_out": 0, "errors": {}, "last_minute": minute(12.0, 3.0), "steps": []
    }))
}

/// A second that ended then.
pub(super) fn sample(at_ms: u64, requests_per_s: f64) -> Sample {
    told(serde_json::json!({
        "at_ms": at_ms, "requests_per_s": requests_per_s, "errors_per_s": 0.5, "client_errors_per_s": 0.0,
        "edge_errors_per_s": 0.0, "p50_ms": 3.0, "p95_ms": 12.0, "p99_ms": 30.0, "connections": 7
    }))
}

/// A change of an endpoint's state to this one.
pub(super) fn change(number: u64, to: &str) -> TransitionStatus {
    told(serde_json::json!({
        "number": number, "at": "2026-03-01T12:00:05.104Z", "pool": "app", "endpoint": "10.0.0.2:80",
        "from": "checking", "to": to, "why": "connection refused"
    }))
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
    let pools = vec![pool("app", &[busy, ill]), pool("shop", &[endpoint("10.0.1.1:80", State::Fit)])];
    view.tell(Status { pools, routes: vec![route("api", 100, 2)], ..status() });
    let reload = told(serde_json::json!({
        "number": 2, "at": "2026-03-01T12:00:09.000Z", "pool": null, "endpoint": null, "from": "generation 1",
        "to": "generation 2", "why": "by a command"
    }));
    let samples = (1..=5).map(|second| sample(second * 1000, second as f64)).collect();
    view.history.add(Recent { samples, transitions: vec![change(1, "unfit"), reload] });
    view
}
