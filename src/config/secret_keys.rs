//! Under which keys secrets stand: what the schema says of them, so that no second list of them can lack one.

use std::iter;

use schemars::Schema;
use serde_json::Value;

use super::node::Node;
use super::spec::Spec;
use super::{KeyPath, Segment, Source};

/// The keys of a schema whose values are `writeOnly`, JSON Schema's word for what is given and never shown.
pub(crate) struct SecretKeys(Value);

/// What a schema says of one value: each form that it may have.
#[derive(Clone)]
pub(super) struct Described<'s> {
    keys: &'s SecretKeys,
    forms: Vec<&'s Value>,
}

impl SecretKeys {
    /// Those of the whole file, but for settings of filters and policies, which the file's schema does not describe.
    pub(crate) fn of_file() -> Self {
        Self(schemars::schema_for!(Spec).to_value())
    }

    /// Those of what this schema describes.
    pub(crate) fn of(schema: &Schema) -> Self {
        Self(schema.as_value().clone())
    }

    /// Where secrets are written in what stands there, which this describes; in the order of the file.
    pub(crate) fn written_in(&self, source: &Source, at: &KeyPath) -> Vec<KeyPath> {
        let mut found = Vec::new();
        if let Some(node) = source.root().at(at) {
            find(node, at, &self.root(), &mut found);
        }
        found
    }

    /// What is described as a whole.
    pub(super) fn root(&self) -> Described<'_> {
        Described { keys: self, forms: self.forms(&self.0) }
    }

    /// What is described there, with what it refers to and its alternatives.
    fn forms<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array());
        let inner = self.definition(schema).into_iter().chain(alternatives.flatten());
        iter::once(schema).chain(inner.flat_map(|inner| self.forms(inner))).collect()
    }

    fn definition(&self, schema: &Value) -> Option<&Value> {
        let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?;
        self.0["$defs"].get(name)
    }
}

impl<'s> Described<'s> {
    /// What is said of a value inside. All of a secret is secret.
    pub(super) fn at(&self, step: &Segment) -> Self {
        if self.is_secret() {
            return self.clone();
        }
        let inner = |form: &&'s Value| match step {
            Segment::Key(key) => form["properties"].get(key).or_else(|| form.get("additionalProperties")),
            Segment::Index(_) => form.get("items"),
        };
        let inner = self.forms.iter().filter_map(inner);
        Self { keys: self.keys, forms: inner.flat_map(|inner| self.keys.forms(inner)).collect() }
    }

    /// Whether anything is said of it.
    pub(super) fn is_known(&self) -> bool {
        !self.forms.is_empty()
    }

    /// Whether it is a map that has this key, whatever the file is like.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.forms.iter().any(|form| form["properties"].get(key).is_some())
    }

    pub(super) fn is_secret(&self) -> bool {
        self.forms.iter().any(|form| form["writeOnly"] == true)
    }
}

fn find(node: &Node, at: &KeyPath, described: &Described<'_>, found: &mut Vec<KeyPath>) {
    let mut look = |inner: &Node, step: Segment| {
        find(inner, &at.join(step.clone()), &described.at(&step), found);
    };
    match node {
        _ if node.is_null() => {}
        _ if described.is_secret() => found.push(at.clone()),
        Node::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| look(item, Segment::Index(index)));
        }
        Node::Map(entries) => {
            entries.iter().for_each(|(key, value)| look(value, Segment::Key(key.clone())));
        }
        Node::Scalar(_) | Node::Removed => {}
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use serde_json::json;

    use super::*;

    impl SecretKeys {
        /// The path of each secret that may be written, where maps have the key `NAME` and lists one item.
        pub(crate) fn all(&self) -> Vec<KeyPath> {
            let mut found = Vec::new();
            self.collect(&self.0, &KeyPath::default(), &mut found);
            found
        }

        fn collect(&self, schema: &Value, at: &KeyPath, found: &mut Vec<KeyPath>) {
            for form in self.forms(schema) {
                if form["writeOnly"] == true {
                    found.push(at.clone());
                }
                for (key, inner) in form["properties"].as_object().into_iter().flatten() {
                    self.collect(inner, &at.child(key.as_str()), found);
                }
                if let Some(inner) = form.get("additionalProperties") {
                    self.collect(inner, &at.child("NAME"), found);
                }
                if let Some(inner) = form.get("items") {
                    self.collect(inner, &at.index(0), found);
                }
            }
        }
    }

    /// A text in which nothing stands but this value at this place.
    pub(crate) fn text_with(at: &KeyPath, value: Value) -> String {
        let around = |inner: Value, step: &Segment| match step {
            Segment::Key(key) => json!({ key.as_str(): inner }),
            Segment::Index(_) => json!([inner]),
        };
        at.segments().iter().rev().fold(value, around).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_tells_all_of_them() {
        let all: Vec<_> = SecretKeys::of_file().all().iter().map(ToString::to_string).collect();
        for known in [
            "server.debug_secret",
            "server.stores.NAME.password",
            "pools.NAME.sticky.secret",
            "admin.tokens.NAME.token",
            "tracing.headers.NAME",
        ] {
            assert!(all.iter().any(|at| at == known), "{known}: {all:?}");
        }
    }

    #[test]
    fn secrets_are_found_as_a_whole_and_nothing_else_is() {
        let text = "tracing: { to: 'http://c:4318', headers: { x-team: { file: a }, x-other: b } }
server: { debug_secret: }
admin: { bind: 127.0.0.1:0, tokens: { deploy: { token: c, scope: operate } } }
";
        let source = super::super::Origin::test(text).read().unwrap().source;
        let found: Vec<_> = SecretKeys::of_file()
            .written_in(&source, &KeyPath::default())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["tracing.headers.x-team", "tracing.headers.x-other", "admin.tokens.deploy.token"]);
    }
}
