//! What differs in meaning between two configurations.
//!
//! An [`Outline`] holds what a file says with everything filled in that the file leaves to defaults, by the keys of the
//! file. It is made from the spec by serde, so that a key that somebody adds is compared without being mentioned
//! here; only what the spec does not know is put in by hand: settings of filters and policies, secrets, names of routes.

mod compare;
mod outline;
mod rank;
mod show;
mod value;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::types::RouteName;

use super::KeyPath;
use compare::compare;
use value::{Entries, Value, pairs};

pub use outline::Outline;
pub(crate) use show::show_details;

/// The differences between two configurations, in the order of the file. Displayed for people, a line for each item:
///
/// ```text
/// ~ pools.app: endpoints: + 10.0.0.3:8080, - 10.0.0.1:8080; timeouts.connect: 2s -> 1s
/// + routes.canary
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// Each item once, though the order of `routes` may be another besides.
    pub changes: Vec<Change>,
}

/// What became of one item: a listener, a pool, a route, or a section that has no items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// The key at the top of the file: `pools`.
    pub section: String,
    /// The item in it; `None` for the section as a whole.
    pub name: Option<String>,
    /// What changed inside; empty unless it is there before and after.
    pub details: Vec<Detail>,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

/// What changed inside an item. Every `key` is a path from the item on, and empty for the item itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Detail {
    /// A value.
    Value {
        /// Where.
        key: String,
        /// `None` where there was none.
        old: Option<String>,
        /// `None` where there is none.
        new: Option<String>,
    },
    /// Something that is not shown: a secret, or what is sure to be no single value.
    Hidden {
        /// Where.
        key: String,
    },
    /// Which items of a list, or entries of a map, there are.
    Members {
        /// Where.
        key: String,
        /// Those that are new.
        added: Vec<String>,
        /// Those that are gone.
        removed: Vec<String>,
    },
    /// The order, where it counts, of what is there before and after.
    Order {
        /// Where.
        key: String,
        /// The order before.
        old: Vec<String>,
        /// The order after.
        new: Vec<String>,
    },
}

/// Sections whose entries are items of their own.
const BY_NAME: [&str; 3] = ["listeners", "pools", ROUTES];
const ROUTES: &str = "routes";

/// What differs between two configurations.
pub fn diff(old: &Outline, new: &Outline) -> Diff {
    let mut changes = Vec::new();
    for (section, before, after) in pairs(old.sections(), new.sections()) {
        let (before, after) = (before.unwrap_or(&Value::Nothing), after.unwrap_or(&Value::Nothing));
        if BY_NAME.contains(&section) {
            changes.extend(items(section, before.entries(), after.entries()));
        } else {
            changes.extend(changed(section, None, before, after));
        }
    }
    let order = rank::order_of_routes(old.section(ROUTES), new.section(ROUTES));
    if !order.is_empty() {
        changes.push(Change::new(ChangeKind::Changed, ROUTES, None, order));
    }
    Diff { changes }
}

/// What differs in what two routes do, whichever requests take them.
pub(crate) fn diff_of_routes(
    (old, old_name): (&Outline, &RouteName),
    (new, new_name): (&Outline, &RouteName),
) -> Vec<Detail> {
    let serving = |outline: &Outline, name: &RouteName| match outline.section(ROUTES).get(name.as_str()) {
        Some(Value::Map(entries)) => {
            Value::Map(entries.iter().filter(|(key, _)| key != rank::MATCH).cloned().collect())
        }
        _ => Value::Nothing,
    };
    let mut details = Vec::new();
    compare(&KeyPath::default(), &serving(old, old_name), &serving(new, new_name), &mut details);
    details
}

fn items(section: &str, old: &Entries, new: &Entries) -> Vec<Change> {
    let change = |(name, before, after): (&str, Option<&Value>, Option<&Value>)| match (before, after) {
        (Some(before), Some(after)) => changed(section, Some(name), before, after),
        (None, _) => Some(Change::new(ChangeKind::Added, section, Some(name), Vec::new())),
        (_, None) => Some(Change::new(ChangeKind::Removed, section, Some(name), Vec::new())),
    };
    pairs(old, new).into_iter().filter_map(change).collect()
}

fn changed(section: &str, name: Option<&str>, old: &Value, new: &Value) -> Option<Change> {
    let mut details = Vec::new();
    compare(&KeyPath::default(), old, new, &mut details);
    (!details.is_empty()).then(|| Change::new(ChangeKind::Changed, section, name, details))
}

impl Diff {
    /// Whether both configurations mean the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Change {
    fn new(kind: ChangeKind, section: &str, name: Option<&str>, details: Vec<Detail>) -> Self {
        Self { kind, section: section.to_owned(), name: name.map(str::to_owned), details }
    }
}

#[cfg(test)]
mod tests;
