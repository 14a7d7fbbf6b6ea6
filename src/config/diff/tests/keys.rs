//! Every key of the file, when its value changes, shows up.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{NONE, told};
use crate::config::spec::Spec;

/// Two configurations that use every key, each with another value. What stands in one map alone excludes the other: one
/// kind of check, one action of a route, one service of a listener.
const OLD: &str = include_str!("old.yaml");
const NEW: &str = include_str!("new.yaml");

fn yaml(text: &str) -> Json {
    serde_yaml::from_str(text).unwrap()
}

/// The paths of all values that are no maps, as JSON pointers; a list is one value.
fn leaves(value: &Json, at: &str, found: &mut Vec<String>) {
    match value {
        Json::Object(map) => {
            map.iter()
                .for_each(|(key, value)| leaves(value, &format!("{at}/{}", key.replace('/', "~1")), found));
        }
        Json::Array(list) if list.iter().any(Json::is_object) => {
            list.iter().enumerate().for_each(|(place, item)| leaves(item, &format!("{at}/{place}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn a_value_that_changes_is_told() {
    let (old, new) = (yaml(OLD), yaml(NEW));
    let mut paths = Vec::new();
    leaves(&old, "", &mut paths);
    assert!(paths.len() > 100, "{}", paths.len());
    let same = told(OLD, OLD);
    assert_eq!(same, NONE);
    for path in paths {
        let other = new.pointer(&path).unwrap_or_else(|| panic!("{path} is not in new.yaml"));
        let mut changed = old.clone();
        let place = changed.pointer_mut(&path).unwrap();
        assert_ne!(place, other, "{path} is the same in both files");
        *place = other.clone();
        let told = told(OLD, &serde_json::to_string_pretty(&changed).unwrap());
        let key = path.rsplit('/').find(|key| key.parse::<usize>().is_err()).unwrap();
        assert_ne!(told, NONE, "{path}");
        // The name of a route, the address of an endpoint, the file of a certificate and a pool of a split are what they are
        // known by.
        let is_identity =
            ["name", "address", "cert"].contains(&key) || (key == "pool" && path.contains("/to/"));
        assert!(is_identity || told.contains(key.split('.').next().unwrap()), "{path}: {told}");
        // A route of another name is another route; a cookie is only a part of one.
        let is_renamed = key == "name" && !path.contains("/cookie/");
        assert_eq!(told.lines().count(), if is_renamed { 2 } else { 1 }, "{path}: {told}");
    }
}

/// The names of all keys that a schema knows.
fn known(schema: &Json, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.extend(properties.keys().cloned());
    }
    let children = schema.as_object().into_iter().flat_map(serde_json::Map::values);
    children.chain(schema.as_array().into_iter().flatten()).for_each(|child| known(child, found));
}

/// The names of all keys that a value has.
fn used(value: &Json, found: &mut BTreeSet<String>) {
    if let Some(map) = value.as_object() {
        found.extend(map.keys().cloned());
    }
    let children = value.as_object().into_iter().flat_map(serde_json::Map::values);
    children.chain(value.as_array().into_iter().flatten()).for_each(|child| used(child, found));
}

#[test]
fn the_files_use_every_key() {
    let (mut all, mut here) = (BTreeSet::new(), BTreeSet::new());
    known(schemars::schema_for!(Spec).as_value(), &mut all);
    used(&yaml(OLD), &mut here);
    // Not compared: what it brings is.
    assert!(all.remove("include"));
    let missing: Vec<_> = all.difference(&here).collect();
    assert!(all.len() > 80 && missing.is_empty(), "add to old.yaml and new.yaml: {missing:?}");
}
