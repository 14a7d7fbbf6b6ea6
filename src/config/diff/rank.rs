use std::collections::BTreeMap;

use crate::config::KeyPath;

use super::Detail;
use super::compare::order;
use super::value::Value;

/// The key of a route's conditions.
pub(super) const MATCH: &str = "match";
const HOST: &str = "host";
const PATH: &str = "path";
/// How the path of an expression begins in an outline.
const EXPRESSION: &str = "~ ";

/// Routes between which the order of the file decides, since nothing else does: one host, one path, and so many
/// conditions. The router has the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank<'o> {
    Same {
        host: &'o str,
        path: &'o str,
        conditions: usize,
    },
    /// Paths by expression have no length to compare, so that those of one host are tried in order.
    Expressions {
        host: &'o str,
    },
}

/// Where routes that are equally specific changed places.
pub(super) fn order_of_routes(old: &Value, new: &Value) -> Vec<Detail> {
    let (before, after) = (ranks(old), ranks(new));
    let moved = |(rank, old): (&Rank<'_>, &Vec<&str>)| order(&KeyPath::default(), old, after.get(rank)?);
    let mut found: Vec<Detail> = before.iter().filter_map(moved).collect();
    // Routes with several hosts meet more than once.
    found.dedup();
    found
}

fn ranks(routes: &Value) -> BTreeMap<Rank<'_>, Vec<&str>> {
    let mut ranks = BTreeMap::<_, Vec<_>>::new();
    for (name, route) in routes.entries() {
        let Some(matches) = route.get(MATCH) else { continue };
        let (path, conditions) = (path_of(matches), conditions(matches));
        for host in hosts(matches) {
            ranks.entry(Rank::Same { host, path, conditions }).or_default().push(name.as_str());
            let expressions = ranks.entry(Rank::Expressions { host }).or_default();
            if path.starts_with(EXPRESSION) && !expressions.contains(&path) {
                expressions.push(path);
            }
        }
    }
    ranks
}

fn path_of(matches: &Value) -> &str {
    match matches.get(PATH) {
        Some(Value::Text(path)) => path,
        _ => "",
    }
}

fn hosts(matches: &Value) -> Vec<&str> {
    match matches.get(HOST) {
        Some(Value::List(hosts)) => hosts.iter().map(|(host, _)| host.as_str()).collect(),
        _ => vec![""],
    }
}

/// A list is one condition, of a map each entry is one.
fn conditions(matches: &Value) -> usize {
    let others = matches.entries().iter().filter(|(key, _)| key != HOST && key != PATH);
    let count = |value: &Value| match value {
        Value::Map(entries) => entries.len(),
        other => other.entries().len().min(1),
    };
    others.map(|(_, value)| count(value)).sum()
}
