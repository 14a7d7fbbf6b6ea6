use crate::control::columns::{Column, Row, push_line, write_columns};
use crate::control::figures::{NONE, millis, rate};
use crate::runtime::{RouteStatus, Status};

const COLUMNS: [Column; 9] = [
    Column::text("ROUTE"),
    Column::text("TO"),
    Column::number("PER S", 0),
    Column::number("P50", 3),
    Column::number("P95", 4),
    Column::number("P99", 0),
    Column::number("IN FLIGHT", 1),
    Column::number("REQUESTS", 2),
    Column::number("5XX", 0),
];

/// So many routes are told of; programs are told of all.
const MOST_ROUTES: usize = 20;

/// Routes by what they have of the traffic; those without any requests since the start are left out.
pub(super) fn write_routes(status: &Status, width: usize, out: &mut String) {
    let routes = status.routes.iter().chain(&status.unrouted);
    let mut busy: Vec<_> = routes.filter(|route| requests(route) > 0).collect();
    if busy.is_empty() {
        return;
    }
    busy.sort_by(|one, other| {
        let traffic = |route: &RouteStatus| (route.last_minute.per_s, requests(route) as f64);
        traffic(other).partial_cmp(&traffic(one)).unwrap_or(std::cmp::Ordering::Equal)
    });
    out.push('\n');
    let rows: Vec<_> = busy.iter().take(MOST_ROUTES).map(|route| row(route)).collect();
    write_columns(&COLUMNS, &rows, width, out);
    if busy.len() > MOST_ROUTES {
        push_line(&format!("  and {} routes more", busy.len() - MOST_ROUTES), width, out);
    }
}

fn row(route: &RouteStatus) -> Row {
    let is_routed = !route.to.is_empty();
    let minute = &route.last_minute;
    Row::from(vec![
        if is_routed { route.name.clone() } else { "(no route)".to_owned() },
        if is_routed { route.to.clone() } else { NONE.to_owned() },
        rate(minute.per_s),
        millis(minute.p50_ms),
        millis(minute.p95_ms),
        millis(minute.p99_ms),
        route.in_flight.map_or_else(|| NONE.to_owned(), |count| count.to_string()),
        requests(route).to_string(),
        route.requests.get("5xx").copied().unwrap_or(0).to_string(),
    ])
}

/// Requests that ended since the start.
fn requests(route: &RouteStatus) -> u64 {
    route.requests.values().sum()
}
