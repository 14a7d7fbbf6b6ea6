use crate::control::columns::{Column, Row, push_line, write_columns};
use crate::control::figures::{self, millis, percent, rate};
use crate::pools::State;
use crate::runtime::{EndpointStatus, PoolStatus};
use crate::types::visible_line;

const COLUMNS: [Column; 11] = [
    Column::text("ENDPOINT"),
    Column::text("STATE"),
    Column::number("WEIGHT", 0),
    Column::number("IN FLIGHT", 0),
    Column::number("PICKS", 5),
    Column::number("FAILURES", 3),
    Column::number("PER S", 0),
    Column::number("SHARE", 2),
    Column::number("P50", 1),
    Column::number("P95", 4),
    Column::number("P99", 0),
];

/// A line with the pool's totals, then its endpoints in columns.
pub(super) fn write_pool(pool: &PoolStatus, width: usize, out: &mut String) {
    let panic = if pool.panic { ", PANIC: all serve that can be connected to" } else { "" };
    let PoolStatus { name, balance, fit, in_flight, waiting, retries, picks, failures, .. } = pool;
    out.push('\n');
    let count = pool.endpoints.len();
    let totals = format!(
        "{name}  {balance}, {fit} of {count} fit, {in_flight} in flight, {waiting} waiting, {retries} retries, {picks} \
         picks, {failures} failures{panic}"
    );
    push_line(&totals, width, out);
    write_columns(&COLUMNS, &pool.endpoints.iter().map(row).collect::<Vec<_>>(), width, out);
}

fn row(endpoint: &EndpointStatus) -> Row {
    let minute = &endpoint.last_minute;
    let cells = vec![
        endpoint.address.clone(),
        endpoint.state.as_str().to_owned(),
        endpoint.weight.to_string(),
        format!("{}/{}", endpoint.in_flight, endpoint.max_requests),
        endpoint.picks.to_string(),
        endpoint.failures.to_string(),
        rate(minute.per_s),
        percent(endpoint.picks_percent),
        millis(minute.p50_ms),
        millis(minute.p95_ms),
        millis(minute.p99_ms),
    ];
    Row { cells, note: notes(endpoint).join(", ") }
}

/// What is out of the ordinary with an endpoint, and why.
pub(crate) fn notes(endpoint: &EndpointStatus) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(endpoint.zone.as_ref().map(|zone| format!("zone {zone}")));
    if endpoint.backup {
        notes.push("backup".to_owned());
    }
    if endpoint.on_trial {
        notes.push("on trial".to_owned());
    }
    notes.extend(endpoint.slow_start_percent.map(|percent| format!("slow start at {percent} %")));
    let why = endpoint.reason.as_deref();
    if matches!(endpoint.state, State::Draining | State::Drained) {
        notes.extend(why.map(visible_line));
    }
    let left = endpoint.ejected_for_ms.map(figures::seconds_left);
    let why = why.filter(|_| endpoint.state == State::Ejected);
    notes.extend(left.map(|left| match why {
        Some(why) => format!("ejected for {left} s more: {}", visible_line(why)),
        None => format!("ejected for {left} s more"),
    }));
    let failed = endpoint.probes.last().filter(|probe| !probe.passed);
    notes.extend(failed.map(|probe| format!("probe failed: {}", visible_line(&probe.reason))));
    notes
}
