use std::collections::HashSet;

use crate::config::KeyPath;
use crate::config::secrecy::{is_secret, shown};

use super::Detail;
use super::value::{Entries, Value, pairs};

/// Adds what differs between two values that stand at the same place.
pub(super) fn compare(at: &KeyPath, old: &Value, new: &Value, out: &mut Vec<Detail>) {
    if old == new {
        return;
    }
    match (old, new) {
        _ if is_secret(at) => out.push(Detail::Hidden { key: at.to_string() }),
        (Value::Map(before), Value::Map(after)) => maps(at, before, after, out),
        (Value::List(_) | Value::Nothing, Value::List(_) | Value::Nothing) => {
            lists(at, old.entries(), new.entries(), out);
        }
        (Value::Text(_) | Value::Nothing, Value::Text(_) | Value::Nothing) => {
            out.push(value(at, text(at, old), text(at, new)));
        }
        _ => out.push(Detail::Hidden { key: at.to_string() }),
    }
}

/// Of entries that are maps themselves it is enough to know that they came or went.
fn maps(at: &KeyPath, old: &Entries, new: &Entries, out: &mut Vec<Detail>) {
    let (mut added, mut removed, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    for (key, before, after) in pairs(old, new) {
        match (before.unwrap_or(&Value::Nothing), after.unwrap_or(&Value::Nothing)) {
            (Value::Nothing, Value::Map(_)) => added.push(key.to_owned()),
            (Value::Map(_), Value::Nothing) => removed.push(key.to_owned()),
            (before, after) => compare(&child(at, key), before, after, &mut inside),
        }
    }
    members(at, added, removed, out);
    out.append(&mut inside);
}

fn lists(at: &KeyPath, old: &Entries, new: &Entries, out: &mut Vec<Detail>) {
    let (mut added, mut removed, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    for (key, before, after) in pairs(old, new) {
        match (before, after) {
            (Some(before), Some(after)) => compare(&child(at, key), before, after, &mut inside),
            (None, _) => added.push(key.to_owned()),
            (_, None) => removed.push(key.to_owned()),
        }
    }
    members(at, added, removed, out);
    out.extend(order(at, &names(old), &names(new)));
    out.append(&mut inside);
}

fn members(at: &KeyPath, added: Vec<String>, removed: Vec<String>, out: &mut Vec<Detail>) {
    if !added.is_empty() || !removed.is_empty() {
        let shown = |names: Vec<String>| names.iter().map(|name| shown(at, name).into_owned()).collect();
        out.push(Detail::Members { key: at.to_string(), added: shown(added), removed: shown(removed) });
    }
}

/// Whether what is on both sides stands in another order.
pub(super) fn order(at: &KeyPath, old: &[&str], new: &[&str]) -> Option<Detail> {
    let common = |these: &[&str], others: &[&str]| -> Vec<String> {
        let others: HashSet<_> = others.iter().collect();
        these.iter().filter(|name| others.contains(name)).map(|&name| name.to_owned()).collect()
    };
    let (before, after) = (common(old, new), common(new, old));
    let shown = |names: Vec<String>| names.iter().map(|name| shown(at, name).into_owned()).collect();
    (before != after).then(|| Detail::Order { key: at.to_string(), old: shown(before), new: shown(after) })
}

fn names(entries: &Entries) -> Vec<&str> {
    entries.iter().map(|(name, _)| name.as_str()).collect()
}

/// A value without a key of its own stands for the whole map: the name of a policy beside its settings.
fn child(at: &KeyPath, key: &str) -> KeyPath {
    if key.is_empty() { at.clone() } else { at.child(key) }
}

/// What differs in no more than what is not shown is not shown either.
fn value(at: &KeyPath, old: Option<String>, new: Option<String>) -> Detail {
    let key = at.to_string();
    if old == new { Detail::Hidden { key } } else { Detail::Value { key, old, new } }
}

fn text(at: &KeyPath, value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(shown(at, text).into_owned()),
        _ => None,
    }
}
