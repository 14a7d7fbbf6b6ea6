use std::collections::HashMap;

use serde_json::Value as Json;

use crate::config::Secret;
use crate::config::node::{Kind, Node};

/// Entries of a map or a list, in their order.
pub(super) type Entries = [(String, Value)];

/// A part of a configuration, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No value; the same as a key that is not there.
    Nothing,
    /// A value that has no parts.
    Text(String),
    Secret(Secret),
    /// Entries by key, whose order means nothing.
    Map(Vec<(String, Self)>),
    /// Items by what tells them apart, whose order counts.
    List(Vec<(String, Self)>),
}

/// The keys of maps that tell the items of a list apart.
const IDENTITIES: [&str; 2] = ["address", "cert"];

impl Value {
    pub(super) fn entries(&self) -> &Entries {
        match self {
            Self::Map(entries) | Self::List(entries) => entries,
            Self::Nothing | Self::Text(_) | Self::Secret(_) => &[],
        }
    }

    pub(super) fn entries_mut(&mut self) -> &mut [(String, Self)] {
        match self {
            Self::Map(entries) | Self::List(entries) => entries,
            Self::Nothing | Self::Text(_) | Self::Secret(_) => &mut [],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.entries_mut().iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Settings that only the filter or policy knows that they are for; none at all are an empty map.
    pub(super) fn of_settings(node: Option<&Node>) -> Self {
        match node.map(of_node) {
            None | Some(Json::Null) => Self::Map(Vec::new()),
            Some(settings) => settings.into(),
        }
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Nothing,
            Json::Bool(truth) => Self::Text(truth.to_string()),
            Json::Number(number) => Self::Text(number.to_string()),
            Json::String(text) => Self::Text(text),
            Json::Object(map) => Self::Map(map.into_iter().map(|(key, value)| (key, value.into())).collect()),
            Json::Array(list) => {
                Self::List(told_apart(list.into_iter().enumerate().map(|(place, item)| item_of(place, item))))
            }
        }
    }
}

/// An item of a list, and what tells it apart from the others.
fn item_of(place: usize, item: Json) -> (String, Value) {
    match Value::from(item) {
        Value::Text(text) => (text, Value::Nothing),
        Value::Map(mut entries) => {
            let identity = entries.iter().position(|(key, _)| IDENTITIES.contains(&key.as_str()));
            match (identity.map(|found| entries.remove(found)), entries.pop()) {
                (Some((_, Value::Text(identity))), rest) => {
                    entries.extend(rest);
                    (identity, Value::Map(entries))
                }
                (None, Some(only)) if entries.is_empty() => only,
                (identity, rest) => {
                    entries.extend(identity);
                    entries.extend(rest);
                    (place.to_string(), Value::Map(entries))
                }
            }
        }
        other => (place.to_string(), other),
    }
}

/// The items with a number at each name that was there before.
pub(super) fn told_apart(items: impl Iterator<Item = (String, Value)>) -> Vec<(String, Value)> {
    let mut seen = HashMap::<String, usize>::new();
    let numbered = |(name, value): (String, Value)| {
        let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        (if *count == 1 { name } else { format!("{name}#{count}") }, value)
    };
    items.map(numbered).collect()
}

/// Numbers and truth values are texts here: whether `5` and `"5"` differ, only the reader knows, and most do not care.
fn of_node(node: &Node) -> Json {
    match node {
        Node::Scalar(scalar) => match scalar.kind {
            Kind::Null => Json::Null,
            Kind::Bool(truth) => truth.into(),
            Kind::Unsigned(_) | Kind::Signed(_) | Kind::Float(_) | Kind::Text => scalar.text.clone().into(),
        },
        Node::List(items) => items.iter().map(of_node).collect(),
        Node::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), of_node(value))).collect(),
        Node::Removed => Json::Null,
    }
}

/// The entries of both sides by key: in the order of the old ones, then what is new.
pub(super) fn pairs<'v>(
    old: &'v Entries,
    new: &'v Entries,
) -> Vec<(&'v str, Option<&'v Value>, Option<&'v Value>)> {
    let index = |entries: &'v Entries| -> HashMap<&'v str, &'v Value> {
        entries.iter().map(|(key, value)| (key.as_str(), value)).collect()
    };
    let (before, after) = (index(old), index(new));
    let kept = old.iter().map(|(key, value)| (key.as_str(), Some(value), after.get(key.as_str()).copied()));
    let added = new.iter().filter(|(key, _)| !before.contains_key(key.as_str()));
    kept.chain(added.map(|(key, value)| (key.as_str(), None, Some(value)))).collect()
}
