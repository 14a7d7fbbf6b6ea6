use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{KeyPath, Segment};

/// A value of the file as it was written.
///
/// Unlike `serde_yaml::Value` it keeps keys that stand twice, the spelling of numbers (`1.10` is a text where a
/// text is wanted), and the places of what was removed because it is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Anything that is neither a list nor a map.
    Scalar(Scalar),
    /// `[a, b]`
    List(Vec<Self>),
    /// `{ a: b }`, in the order of the file.
    Map(Vec<(String, Self)>),
    /// Something that was reported and is passed over from then on.
    Removed,
}

/// A scalar: what it means in YAML, and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub(super) kind: Kind,
    /// Without quotes and escapes; empty for a value that is not there at all.
    pub(super) text: String,
}

/// What a scalar means by YAML's core schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text,
}

/// More values than any configuration has; aliases could multiply a small file to more than memory holds.
const MAX_NODES: usize = 2_000_000;

impl Node {
    /// The value of a key that is not there.
    pub(super) const ABSENT: Self = Self::Scalar(Scalar { kind: Kind::Null, text: String::new() });

    /// Reads a document. Whatever is well-formed can be read.
    pub(super) fn parse(text: &str) -> Result<Self, serde_yaml::Error> {
        let seed = Shape { budget: &Cell::new(MAX_NODES) };
        let mut node = seed.deserialize(serde_yaml::Deserializer::from_str(text))?;
        Spelling(&mut node).deserialize(serde_yaml::Deserializer::from_str(text))?;
        Ok(node)
    }

    /// The value at a path, or `None` where there is none.
    pub(super) fn at(&self, path: &KeyPath) -> Option<&Self> {
        path.segments().iter().try_fold(self, |node, segment| match (node, segment) {
            (Self::Map(entries), Segment::Key(key)) => {
                entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            (Self::List(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        })
    }

    /// As [`Self::at`], to be changed.
    pub(super) fn at_mut(&mut self, segments: &[Segment]) -> Option<&mut Self> {
        segments.iter().try_fold(self, |node, segment| match (node, segment) {
            (Self::Map(entries), Segment::Key(key)) => {
                entries.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            (Self::List(items), Segment::Index(index)) => items.get_mut(*index),
            _ => None,
        })
    }

    /// Whether nothing stands there, or a `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(Scalar { kind: Kind::Null, .. }))
    }

    /// Whether one of its own items or entries was removed.
    pub(super) fn has_removed_child(&self) -> bool {
        match self {
            Self::List(items) => items.contains(&Self::Removed),
            Self::Map(entries) => entries.iter().any(|(_, value)| *value == Self::Removed),
            Self::Scalar(_) | Self::Removed => false,
        }
    }

    /// Whether a scalar in it is exactly `text`.
    pub(super) fn mentions(&self, text: &str) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.text == text,
            Self::List(items) => items.iter().any(|item| item.mentions(text)),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.mentions(text)),
            Self::Removed => false,
        }
    }

    /// Takes out every entry whose key stood before in the same map, and tells where: the path of the key, and
    /// which of its occurrences it is, counted from 0.
    pub(super) fn take_repeated_keys(&mut self, at: &KeyPath, found: &mut Vec<(KeyPath, usize)>) {
        match self {
            Self::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.take_repeated_keys(&at.index(index), found);
                }
            }
            Self::Map(entries) => {
                let mut seen = std::collections::HashMap::<String, usize>::new();
                entries.retain_mut(|(key, value)| {
                    let path = at.child(key.as_str());
                    let occurrence = seen.entry(key.clone()).and_modify(|count| *count += 1).or_insert(0);
                    if *occurrence > 0 {
                        found.push((path, *occurrence));
                        return false;
                    }
                    value.take_repeated_keys(&path, found);
                    true
                });
            }
            Self::Scalar(_) | Self::Removed => {}
        }
    }
}

// === The first reading: shapes, and what scalars mean ===

#[derive(Clone, Copy)]
struct Shape<'b> {
    budget: &'b Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let Some(left) = self.budget.get().checked_sub(1) else {
            return Err(D::Error::custom("the file has too many values; its aliases multiply"));
        };
        self.budget.set(left);
        deserializer.deserialize_any(self)
    }
}

fn scalar<E>(kind: Kind, text: String) -> Result<Node, E> {
    Ok(Node::Scalar(Scalar { kind, text }))
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        scalar(Kind::Null, String::new())
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        scalar(Kind::Null, String::new())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        scalar(Kind::Bool(value), value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        scalar(Kind::Unsigned(value), value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        scalar(Kind::Signed(value), value.to_string())
    }

    // Wider integers fit no setting; as floats they still are numbers, and their spelling is kept.
    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        scalar(Kind::Float(value as f64), value.to_string())
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        scalar(Kind::Float(value as f64), value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        scalar(Kind::Float(value), value.to_string())
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        scalar(Kind::Text, text.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        let (tag, _) = access.variant::<String>()?;
        Err(A::Error::custom(format_args!(
            "the tag `!{tag}` has no meaning here; put a text that starts with `!` in quotes"
        )))
    }
}

/// Reads a key in its spelling: `200:` is the key `200`.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key; put a text with `{` or `[` in quotes")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

// === The second reading: how scalars are written ===

/// serde_yaml tells either what a scalar means or how it is written, so this follows the tree of the first
/// reading and asks for the other.
struct Spelling<'n>(&'n mut Node);

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Node::List(_) | Node::Map(_) => deserializer.deserialize_any(self),
            Node::Scalar(Scalar { kind: Kind::Text, .. }) | Node::Removed => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(drop)
            }
            Node::Scalar(_) => deserializer.deserialize_str(self),
        }
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same value as before")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Node::Scalar(scalar) = self.0 {
            text.clone_into(&mut scalar.text);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Node::List(items) = self.0 {
            for item in items {
                seq.next_element_seed(Spelling(item))?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Node::Map(entries) = self.0 {
            for (_, value) in entries {
                map.next_key::<IgnoredAny>()?;
                map.next_value_seed(Spelling(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        Node::parse(text).unwrap()
    }

    fn text_at(text: &str, key: &str) -> String {
        match node(text).at(&KeyPath::default().child(key)) {
            Some(Node::Scalar(scalar)) => scalar.text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        for spelling in ["1.10", "0x1F", "+5", "1e3", "007", "99999999999999999999999", "True", "~", ""] {
            assert_eq!(text_at(&format!("a: {spelling}\nb: 1"), "a"), spelling);
        }
        assert_eq!(text_at("a: &x 1.10\nb: *x", "b"), "1.10");
        assert_eq!(text_at("200: ok", "200"), "ok");
    }

    #[test]
    fn a_key_that_stands_twice_is_found_and_its_first_value_stays() {
        let mut twice = node("a: { x: 1, x: 2, y: 3, x: 4 }\na: 5");
        let mut found = Vec::new();
        twice.take_repeated_keys(&KeyPath::default(), &mut found);
        let x = KeyPath::default().child("a").child("x");
        assert_eq!(found, [(x.clone(), 1), (x, 2), (KeyPath::default().child("a"), 1)]);
        assert_eq!(twice, node("a: { x: 1, y: 3 }"));
    }

    #[test]
    fn aliases_cannot_outgrow_memory() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
        }
        assert!(Node::parse(&bomb).is_err());
    }
}
