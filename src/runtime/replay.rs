//! Which requests of a log would go another way by another configuration.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Outline, diff_of_routes, show_details};
use crate::router::RouteId;

use super::way::{Asked, Way, why_unrouted};
use super::{Cause, Snapshot};

/// One of the two configurations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) config: &'a Config,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) outline: &'a Outline,
}

/// What is taken from a line of the access log.
#[derive(Debug, Deserialize)]
pub(crate) struct Logged {
    listener: Option<String>,
    method: Option<String>,
    #[serde(default)]
    host: String,
    target: Option<String>,
    client: Option<String>,
}

/// Asks two configurations about the requests of a log, one after the other. Of the log it keeps only the requests that
/// would go another way, so that its length does not matter.
pub(crate) struct Replay<'a> {
    old: Side<'a>,
    new: Side<'a>,
    /// What differs between two routes, which most requests share; `None` for nothing.
    between: HashMap<(usize, usize), Option<Rc<str>>>,
    found: HashMap<Row, u64>,
    /// Bytes of text in `found`.
    bytes: usize,
    replayed: Replayed,
}

/// Requests that are alike, clients and headers aside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    method: String,
    host: String,
    target: String,
    change: Rc<str>,
}

/// Different requests that are kept at most, and their text.
const MOST_ROWS: usize = 100_000;
const MOST_BYTES: usize = 64 << 20;
/// So many are listed.
const MOST_LISTED: usize = 50;

/// What became of a replay. Displayed for people.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Replayed {
    /// Requests of the log that could be asked about.
    requests: u64,
    /// How many of them would go another way.
    changed: u64,
    /// Lines that tell of no request: of layer 4, or of one that was refused before it was read.
    left_out: u64,
    /// Lines that could not be read.
    unreadable: u64,
    /// What is wrong with the first of these.
    first_unreadable: Option<String>,
    /// Whether routes ask for headers or cookies, which the log does not tell.
    headers_unchecked: bool,
    /// The most frequent ones that change, these first.
    most_frequent: Vec<Counted>,
    /// How many of `changed` are not listed.
    unlisted: u64,
}

/// Requests that would go another way.
#[derive(Debug, Serialize)]
struct Counted {
    requests: u64,
    method: String,
    host: String,
    target: String,
    change: String,
}

/// Where a request ends up.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Route(usize),
    /// At the edge, which gives this answer.
    Edge(String),
}

impl<'a> Replay<'a> {
    pub(crate) fn new(old: Side<'a>, new: Side<'a>) -> Self {
        let replayed = Replayed {
            headers_unchecked: [old, new].iter().any(Side::asks_for_headers),
            ..Replayed::default()
        };
        Self { old, new, between: HashMap::new(), found: HashMap::new(), bytes: 0, replayed }
    }

    /// Takes the line of this number, or what is wrong with it.
    pub(crate) fn add(&mut self, number: u64, line: Result<Logged, String>) {
        match line {
            Ok(line) => {
                if self.ask(line).is_none() {
                    self.replayed.left_out += 1;
                }
            }
            Err(message) => {
                self.replayed.unreadable += 1;
                self.replayed.first_unreadable.get_or_insert_with(|| format!("line {number}: {message}"));
            }
        }
    }

    /// `None` for a line without a request.
    fn ask(&mut self, line: Logged) -> Option<()> {
        let Logged { listener, method, host, target, client } = line;
        let (listener, target) = (listener?, target?);
        let parsed: Method = method.as_deref()?.parse().ok()?;
        // Clients on Unix sockets have no address.
        let client = client.and_then(|client| client.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let end = |side: &Side<'_>| side.end(&listener, &parsed, (&host, &target), client);
        let (before, after) = (end(&self.old), end(&self.new));
        self.replayed.requests += 1;
        if let Some(change) = self.change(before, after) {
            self.replayed.changed += 1;
            self.keep(Row { method: parsed.to_string(), host, target, change });
        }
        Some(())
    }

    fn change(&mut self, before: End, after: End) -> Option<Rc<str>> {
        match (before, after) {
            (End::Route(old), End::Route(new)) => {
                let (before, after) = (self.old, self.new);
                self.between.entry((old, new)).or_insert_with(|| between(before, old, after, new)).clone()
            }
            (before, after) if before == after => None,
            (before, after) => {
                Some(format!("{} -> {}", self.old.show(&before), self.new.show(&after)).into())
            }
        }
    }

    fn keep(&mut self, row: Row) {
        let has_room = self.found.len() < MOST_ROWS && self.bytes < MOST_BYTES;
        let bytes = row.method.len() + row.host.len() + row.target.len();
        match self.found.entry(row) {
            Entry::Occupied(mut known) => *known.get_mut() += 1,
            Entry::Vacant(free) if has_room => {
                self.bytes += bytes;
                free.insert(1);
            }
            Entry::Vacant(_) => {}
        }
    }

    pub(crate) fn finish(self) -> Replayed {
        let Self { found, mut replayed, .. } = self;
        let mut rows: Vec<_> = found.into_iter().collect();
        rows.sort_unstable_by(|(row, count), (other, others)| others.cmp(count).then_with(|| row.cmp(other)));
        rows.truncate(MOST_LISTED);
        let listed: u64 = rows.iter().map(|(_, count)| count).sum();
        replayed.unlisted = replayed.changed - listed;
        replayed.most_frequent = rows.into_iter().map(Counted::from).collect();
        replayed
    }
}

/// What differs for requests that take one route before and another, or the same, after.
fn between(old_side: Side<'_>, old: usize, new_side: Side<'_>, new: usize) -> Option<Rc<str>> {
    let (before, after) = (&old_side.config.routes[old].name, &new_side.config.routes[new].name);
    let details = diff_of_routes((old_side.outline, before), (new_side.outline, after));
    let route = (before != after).then(|| format!("route {before} -> {after}"));
    let told: Vec<_> =
        route.into_iter().chain((!details.is_empty()).then(|| show_details(&details))).collect();
    (!told.is_empty()).then(|| told.join("; ").into())
}

impl Side<'_> {
    fn end(&self, listener: &str, method: &Method, (host, target): (&str, &str), client_ip: IpAddr) -> End {
        let Some(listener) = self.snapshot.listeners.iter().find(|known| known.name.as_str() == listener)
        else {
            return End::Edge(format!("no listener {listener}"));
        };
        if !listener.speaks_http() {
            return End::Edge(format!("listener {} does not speak HTTP", listener.name));
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let headers = &HeaderMap::new();
        match (Asked { listener, method, host, path, query, headers, client_ip }).way(self.snapshot) {
            Way::MethodRefused => refused(&Cause::MethodRefused, Cause::MethodRefused.text()),
            Way::PathRefused(reason) => End::Edge(format!("400: {reason}")),
            Way::Https { url, .. } => End::Edge(format!("308 to {url}")),
            Way::Routed { found: Ok(RouteId(index)), .. } => End::Route(index),
            Way::Routed { found: Err(cause), .. } => refused(&cause, why_unrouted(&cause)),
        }
    }

    fn show(&self, end: &End) -> String {
        match end {
            End::Route(index) => format!("route {}", self.config.routes[*index].name),
            End::Edge(answer) => answer.clone(),
        }
    }

    fn asks_for_headers(&self) -> bool {
        let mut matches = self.config.routes.iter().map(|route| &route.matches);
        matches.any(|matches| !matches.headers.is_empty() || !matches.cookies.is_empty())
    }
}

fn refused(cause: &Cause, why: &str) -> End {
    End::Edge(format!("{}: {why}", cause.status().as_u16()))
}

impl From<(Row, u64)> for Counted {
    fn from((row, requests): (Row, u64)) -> Self {
        let Row { method, host, target, change } = row;
        Self { requests, method, host, target, change: change.to_string() }
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, changed, left_out, unreadable, unlisted, .. } = self;
        writeln!(f, "replay: {changed} of {requests} requests would go another way")?;
        for Counted { requests, method, host, target, change } in &self.most_frequent {
            writeln!(f, "{requests:>8}  {method} {}{}  {}", shown(host), shown(target), shown(change))?;
        }
        if *unlisted > 0 {
            writeln!(f, "{unlisted:>8}  others")?;
        }
        if *left_out > 0 {
            writeln!(f, "lines without an HTTP request, left out: {left_out}")?;
        }
        if let Some(first) = &self.first_unreadable {
            writeln!(f, "lines that cannot be read, left out: {unreadable}; the first is {first}")?;
        }
        if self.headers_unchecked {
            writeln!(
                f,
                "conditions on headers and cookies could not be checked, since the log has none: requests counted as \
                 having none"
            )?;
        }
        Ok(())
    }
}

/// A text of a client, which can hold what a terminal would obey.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let shown: String = text.chars().take(LONGEST).flat_map(visible).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{shown}…") } else { shown }
}

fn visible(c: char) -> impl Iterator<Item = char> {
    let (escaped, plain) = if c.is_control() { (Some(c.escape_default()), None) } else { (None, Some(c)) };
    escaped.into_iter().flatten().chain(plain)
}
