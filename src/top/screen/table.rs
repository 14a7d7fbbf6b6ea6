use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Modifier;
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row as TableRow, Table};

use crate::control::figures::{self, NONE, millis, percent, rate};
use crate::control::notes;
use crate::pools::State;
use crate::runtime::{
    CacheDiskUse, CacheStatus, CertificateStatus, EndpointStatus, ListenerStatus, PoolStatus, RouteStatus,
    SplitStatus, TransitionStatus,
};
use crate::split::{CanaryPhase, CanaryStatus};
use crate::telemetry::Percentiles;
use crate::top::View;
use crate::top::rows::{Row, what_changed};
use crate::top::view::Tab;
use crate::types::visible_line;

use super::palette::{Palette, Tone};

/// A column: its heading, its width, which is what is left where it is 0, and the width of a terminal from which on there is
/// room for it.
struct Column(&'static str, u16, u16);

/// The first one is as wide as its longest text, this at most.
const WIDEST: usize = 44;

const ENDPOINTS: [Column; 10] = [
    Column("POOL / ENDPOINT", 0, 0),
    Column("STATE", 8, 0),
    Column("WEIGHT", 6, 60),
    Column("IN FLIGHT", 9, 70),
    Column("PER S", 6, 36),
    Column("SHARE", 7, 90),
    Column("P50", 8, 80),
    Column("P95", 8, 120),
    Column("P99", 8, 50),
    Column("WHY", 0, 64),
];
const ROUTES: [Column; 10] = [
    Column("ROUTE", 0, 0),
    Column("TO", 14, 70),
    Column("PER S", 6, 0),
    Column("IN FLIGHT", 9, 80),
    Column("REQUESTS", 9, 60),
    Column("5XX", 6, 40),
    Column("P50", 8, 90),
    Column("P95", 8, 120),
    Column("P99", 8, 50),
    Column("ERRORS", 0, 100),
];
const LISTENERS: [Column; 7] = [
    Column("LISTENER", 0, 0),
    Column("SERVES", 6, 40),
    Column("OPEN", 8, 0),
    Column("ACCEPTED", 9, 50),
    Column("REFUSED", 8, 60),
    Column("DROPPED", 8, 80),
    Column("AT", 0, 70),
];
const CERTIFICATES: [Column; 5] = [
    Column("NAMES", 0, 0),
    Column("LEFT", 20, 0),
    Column("LISTENER", 12, 60),
    Column("KEY", 10, 90),
    Column("FILE", 0, 76),
];
const CHANGES: [Column; 5] = [
    Column("POOL / ENDPOINT", 0, 0),
    Column("AT (UTC)", 14, 50),
    Column("FROM", 13, 70),
    Column("TO", 13, 0),
    Column("WHY", 0, 84),
];
const SPLITS: [Column; 3] = [Column("ROUTE", 0, 0), Column("SHARES", 0, 0), Column("CANARY", 0, 70)];
const CACHES: [Column; 5] = [
    Column("CACHE", 0, 0),
    Column("MEMORY", 22, 0),
    Column("DISK", 22, 60),
    Column("STATE", 10, 70),
    Column("WHY", 0, 90),
];

type Cells = Vec<(String, Tone)>;

/// Paints the rows of the tab that there is room for.
pub(super) fn draw(view: &mut View, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let (count, place, widest) = {
        let rows = view.rows();
        let widest = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0);
        (rows.len(), view.place_in(&rows), widest)
    };
    view.scroll(place, count, usize::from(area.height).saturating_sub(1));
    let columns = columns(view.tab);
    let shown: Vec<_> = (0..columns.len()).filter(|&index| columns[index].2 <= area.width).collect();
    let first = widest.clamp(columns[0].0.len(), WIDEST);
    let width = |&index: &usize| match columns[index].1 {
        0 if index == 0 => Constraint::Length(u16::try_from(first).unwrap_or(u16::MAX)),
        0 => Constraint::Fill(1),
        width => Constraint::Length(width),
    };
    let headings = shown.iter().map(|&index| cell(columns[index].0, &columns[index]));
    let rows = view.rows();
    let painted = rows.iter().enumerate().skip(view.offset).take(area.height.into()).map(|(index, row)| {
        let cells = cells(row);
        let style = if index == place { Modifier::REVERSED } else { Modifier::empty() };
        let painted = shown.iter().map(|&column| {
            let (text, tone) = &cells[column];
            cell(text, &columns[column]).style(palette.of(*tone))
        });
        TableRow::new(painted.collect::<Vec<_>>()).style(style)
    });
    let table = Table::new(painted, shown.iter().map(width))
        .header(TableRow::new(headings.collect::<Vec<_>>()).style(palette.of(Tone::Faint)))
        .column_spacing(2);
    frame.render_widget(table, area);
}

fn columns(tab: Tab) -> &'static [Column] {
    match tab {
        Tab::Pools => &ENDPOINTS,
        Tab::Routes => &ROUTES,
        Tab::Listeners => &LISTENERS,
        Tab::Certificates => &CERTIFICATES,
        Tab::Changes => &CHANGES,
        Tab::Splits => &SPLITS,
        Tab::Caches => &CACHES,
    }
}

/// Numbers stand right; what would do something to the terminal is written out.
fn cell(text: &str, column: &Column) -> Cell<'static> {
    let is_text = column.1 == 0
        || matches!(column.0, "STATE" | "TO" | "SERVES" | "LEFT" | "LISTENER" | "KEY" | "FROM" | "AT (UTC)");
    let line = Line::from(visible_line(text));
    Cell::from(if is_text { line } else { line.right_aligned() })
}

/// What stands in the first column.
fn name(row: &Row<'_>) -> String {
    match row {
        Row::Endpoint(_, endpoint) => format!("  {}", endpoint.address),
        Row::Route(route) if route.to.is_empty() => "(no route)".to_owned(),
        Row::Certificate(certificate) => certificate.names.join(", "),
        Row::Change(change) => what_changed(change),
        Row::Pool(_) | Row::Route(_) | Row::Listener(_) | Row::Split(_) | Row::Cache(_) => row.id(),
    }
}

fn cells(row: &Row<'_>) -> Cells {
    let tone = if matches!(row, Row::Pool(_)) { Tone::Strong } else { Tone::Plain };
    let rest = match row {
        Row::Pool(pool) => of_pool(pool),
        Row::Endpoint(_, endpoint) => of_endpoint(endpoint),
        Row::Route(route) => of_route(route),
        Row::Listener(listener) => of_listener(listener),
        Row::Certificate(certificate) => of_certificate(certificate),
        Row::Change(change) => of_change(change),
        Row::Split(split) => of_split(split),
        Row::Cache(cache) => of_cache(cache),
    };
    std::iter::once((name(row), tone)).chain(rest).collect()
}

fn plain(texts: impl IntoIterator<Item = String>) -> impl Iterator<Item = (String, Tone)> {
    texts.into_iter().map(|text| (text, Tone::Plain))
}

fn latencies(minute: &Percentiles) -> [String; 3] {
    [minute.p50_ms, minute.p95_ms, minute.p99_ms].map(millis)
}

fn of_pool(pool: &PoolStatus) -> Cells {
    let count = pool.endpoints.len();
    let tone = match pool.fit {
        0 => Tone::Bad,
        fit if fit < count => Tone::Warn,
        _ => Tone::Good,
    };
    let mut notes = vec![pool.balance.clone()];
    if pool.waiting > 0 {
        notes.push(format!("{} waiting", pool.waiting));
    }
    if pool.panic {
        notes.push("PANIC: all serve that can be connected to".to_owned());
    }
    let numbers = [String::new(), pool.in_flight.to_string(), rate(pool.last_minute.per_s), String::new()];
    let mut cells = vec![(format!("{}/{count} fit", pool.fit), tone)];
    cells.extend(plain(numbers.into_iter().chain(latencies(&pool.last_minute))));
    cells.push((notes.join(", "), if pool.panic { Tone::Bad } else { Tone::Faint }));
    cells
}

fn of_endpoint(endpoint: &EndpointStatus) -> Cells {
    let minute = &endpoint.last_minute;
    let numbers = [
        endpoint.weight.to_string(),
        endpoint.in_flight.to_string(),
        rate(minute.per_s),
        percent(endpoint.picks_percent),
    ];
    let mut cells = vec![(endpoint.state.as_str().to_owned(), tone_of(endpoint.state))];
    cells.extend(plain(numbers.into_iter().chain(latencies(minute))));
    cells.push((notes(endpoint).join(", "), Tone::Plain));
    cells
}

fn tone_of(state: State) -> Tone {
    match state {
        State::Fit => Tone::Good,
        State::Checking | State::Draining | State::Drained => Tone::Warn,
        State::Unfit | State::Ejected => Tone::Bad,
    }
}

fn of_route(route: &RouteStatus) -> Cells {
    let failed = route.requests.get("5xx").copied().unwrap_or(0);
    let mut errors: Vec<_> = route.errors.iter().filter(|(_, count)| **count > 0).collect();
    errors.sort_by(|one, other| other.1.cmp(one.1));
    let errors: Vec<_> = errors.into_iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    let numbers = [
        route.to.clone(),
        rate(route.last_minute.per_s),
        route.in_flight.map_or_else(|| NONE.to_owned(), |count| count.to_string()),
        route.requests.values().sum::<u64>().to_string(),
    ];
    let mut cells: Cells = plain(numbers).collect();
    cells.push((failed.to_string(), if failed > 0 { Tone::Bad } else { Tone::Plain }));
    cells.extend(plain(latencies(&route.last_minute).into_iter().chain([errors.join(", ")])));
    cells
}

fn of_listener(listener: &ListenerStatus) -> Cells {
    let ListenerStatus { serves, bind, open, refused, dropped, accepted, .. } = listener;
    let counts = [*open as u64, *accepted, *refused, *dropped].map(|count| count.to_string());
    plain(std::iter::once(serves.clone()).chain(counts).chain([bind.join(", ")])).collect()
}

fn of_certificate(certificate: &CertificateStatus) -> Cells {
    const WEEK: i64 = 7 * 24 * 3600;
    let CertificateStatus { listener, key, expires_in_s, file, .. } = certificate;
    let tone = match *expires_in_s {
        ..WEEK => Tone::Bad,
        seconds if seconds < 3 * WEEK => Tone::Warn,
        _ => Tone::Good,
    };
    let left = (figures::expiry(*expires_in_s), tone);
    std::iter::once(left).chain(plain([listener.clone(), key.clone(), file.clone()])).collect()
}

/// `03-01 12:00:05`, the change, and the first line of why.
fn of_change(change: &TransitionStatus) -> Cells {
    let TransitionStatus { at, from, to, why, .. } = change;
    let tone = match to.as_str() {
        "unfit" | "ejected" | "panic" | "refused" => Tone::Bad,
        "fit" => Tone::Good,
        _ => Tone::Plain,
    };
    vec![
        (at.get(5..19).unwrap_or(at).replace('T', " "), Tone::Plain),
        (from.clone(), Tone::Faint),
        (to.clone(), tone),
        (why.lines().next().unwrap_or_default().to_owned(), Tone::Plain),
    ]
}

fn of_split(split: &SplitStatus) -> Cells {
    let SplitStatus { to, canary, .. } = split;
    let shares: Vec<_> = to.iter().map(|side| format!("{} {} %", side.pool, side.share_percent)).collect();
    let mut cells: Cells = plain([shares.join(", ")]).collect();
    cells.push(canary.as_ref().map_or_else(|| (String::new(), Tone::Plain), canary_cell));
    cells
}

/// `v2 running: waits for the end of 1m`
fn canary_cell(canary: &CanaryStatus) -> (String, Tone) {
    let CanaryStatus { pool, phase, paused, waits_for, why, .. } = canary;
    let mut parts = vec![format!("{pool} {}", if *paused { "paused" } else { phase.as_str() })];
    parts.extend(waits_for.as_ref().map(|what| format!("waits for {what}")));
    parts.extend(why.clone());
    (parts.join(": "), if *phase == CanaryPhase::Aborted { Tone::Bad } else { Tone::Plain })
}

fn of_cache(cache: &CacheStatus) -> Cells {
    let CacheStatus { memory_bytes, memory_size, disk, .. } = cache;
    let of = |bytes: u64, size: u64| format!("{} of {}", figures::size(bytes), figures::size(size));
    let mut cells: Cells = plain([of(*memory_bytes, *memory_size)]).collect();
    let Some(disk) = disk else {
        cells.extend(plain([NONE.to_owned(), NONE.to_owned(), String::new()]));
        return cells;
    };
    let (word, tone) = match disk.state {
        CacheDiskUse::InUse => ("in use", Tone::Good),
        CacheDiskUse::Full => ("full", Tone::Warn),
        CacheDiskUse::Off => ("off", Tone::Bad),
        CacheDiskUse::Elsewhere => ("elsewhere", Tone::Warn),
    };
    cells.extend(plain([of(disk.bytes, disk.size)]));
    cells.push((word.to_owned(), tone));
    cells.extend(plain([disk.why.clone().unwrap_or_else(|| disk.path.clone())]));
    cells
}
