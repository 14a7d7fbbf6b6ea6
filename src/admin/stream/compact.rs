//! The status in a form of which what has changed is small.

use serde_json::{Map, Value};

/// Lists whose items have a name, and the field that it stands in. As a map, an item can be changed by itself.
const NAMED: [(&str, &str); 7] = [
    ("listeners", "name"),
    ("routes", "name"),
    ("pools", "name"),
    ("endpoints", "address"),
    ("splits", "route"),
    ("to", "pool"),
    ("caches", "name"),
];
/// What changes with time alone and follows from the rest, is too long to be told of all endpoints, or would be told of all of
/// them each second.
const LEFT_OUT: [&str; 6] =
    ["uptime_s", "expires_in_s", "probes", "connections", "bytes_sent", "bytes_received"];

/// The same with lists as maps, and without what is left out.
pub(super) fn compact(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| compact_field(name, value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(compact).collect()),
        plain => plain,
    }
}

fn compact_field(name: String, value: Value) -> (String, Value) {
    let key = NAMED.iter().find(|(list, _)| *list == name).map(|(_, key)| *key);
    let value = match (value, key) {
        (Value::Array(items), Some(key)) => by_name(items, key),
        (value, _) => compact(value),
    };
    (name, value)
}

fn by_name(items: Vec<Value>, key: &str) -> Value {
    let mut named = Map::new();
    for item in items {
        let name = item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        named.insert(name, compact(item));
    }
    Value::Object(named)
}

/// What makes `new` of `old` (RFC 7396); none where they are the same. A field that is null is none, by that format.
pub(super) fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let mut patch: Map<String, Value> = gone.collect();
    for (name, value) in new {
        let change = match old.get(name) {
            Some(before) => merge_patch(before, value),
            None => Some(value.clone()),
        };
        patch.extend(change.map(|change| (name.clone(), change)));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_found_by_their_names() {
        let status = json!({
            "uptime_s": 7,
            "pools": [{ "name": "app", "endpoints": [
                { "address": "10.0.0.1:80", "weight": 1, "bytes_sent": 3, "probes": [{ "passed": true }] },
                { "address": "10.0.0.2:80", "weight": 2, "probes": [] },
            ]}],
            "certificates": [{ "file": "a.pem", "expires_in_s": 5 }],
        });
        assert_eq!(
            compact(status),
            json!({
                "pools": { "app": { "name": "app", "endpoints": {
                    "10.0.0.1:80": { "address": "10.0.0.1:80", "weight": 1 },
                    "10.0.0.2:80": { "address": "10.0.0.2:80", "weight": 2 },
                }}},
                "certificates": [{ "file": "a.pem" }],
            })
        );
    }

    #[test]
    fn only_what_differs_is_told() {
        let status = |weight: u32| json!({ "pools": { "app": { "fit": 2, "endpoints": { "a": { "weight": weight } } } } });
        assert_eq!(merge_patch(&status(1), &status(1)), None);
        let patch = merge_patch(&status(1), &status(2)).unwrap();
        assert_eq!(patch, json!({ "pools": { "app": { "endpoints": { "a": { "weight": 2 } } } } }));
        assert_eq!(
            merge_patch(&status(1), &json!({ "pools": {} })),
            Some(json!({ "pools": { "app": null } }))
        );
    }

    /// How whoever listens applies it, by the letter of RFC 7396.
    fn merge(target: Value, patch: Value) -> Value {
        let Value::Object(changes) = patch else { return patch };
        let mut fields = if let Value::Object(fields) = target { fields } else { Map::new() };
        for (name, change) in changes {
            let before = fields.shift_remove(&name).unwrap_or(Value::Null);
            if !change.is_null() {
                fields.insert(name, merge(before, change));
            }
        }
        Value::Object(fields)
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3_u32).prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[a-d]", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_makes_the_new_of_the_old(old in value(), new in value()) {
            match merge_patch(&old, &new) {
                None => prop_assert_eq!(old, new),
                Some(patch) => prop_assert_eq!(merge(old, patch), new),
            }
        }
    }
}
