use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use crate::types::AS_WRITTEN;

use super::Segment;
use super::fault::{Fault, Found};
use super::node::{Kind, Node, Scalar};

/// Reads a [`Node`] into whatever type wants it, and tells the exact place of what is wrong.
///
/// Removed nodes are passed over, and the items after them keep their indexes.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'n>(pub(super) &'n Node);

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Node::Removed => visitor.visit_unit(),
            Node::List(items) => read_list(items, visitor),
            Node::Map(entries) => read_map(entries, visitor),
            Node::Scalar(scalar) => match scalar.kind {
                Kind::Null => visitor.visit_unit(),
                Kind::Bool(truth) => visitor.visit_bool(truth),
                Kind::Unsigned(number) => visitor.visit_u64(number),
                Kind::Signed(number) => visitor.visit_i64(number),
                Kind::Float(number) => visitor.visit_f64(number),
                Kind::Text => visitor.visit_borrowed_str(&scalar.text),
            },
        }
    }

    /// A text is what was written: `1.10` is no number where a text is wanted.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Node::Scalar(Scalar { kind: Kind::Null, .. }) => visitor.visit_unit(),
            Node::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == AS_WRITTEN { self.deserialize_str(visitor) } else { visitor.visit_newtype_struct(self) }
    }

    /// Only a written `null` or `~` is none. A key whose value was forgotten must not switch off what it is for.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Node::Scalar(Scalar { kind: Kind::Null, text }) if !text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Node::Scalar(Scalar { kind: Kind::Null, .. }) => read_map(&[], visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    /// serde's own structs would take a list as well, for their keys in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let found = match self.0 {
            Node::Map(_) | Node::Removed | Node::Scalar(Scalar { kind: Kind::Null, .. }) => {
                return self.deserialize_map(visitor);
            }
            Node::List(_) => Found::List,
            Node::Scalar(Scalar { kind: Kind::Text, text }) => Found::Text(text.clone()),
            Node::Scalar(Scalar { kind: Kind::Bool(truth), .. }) => Found::Bool(*truth),
            Node::Scalar(scalar) => Found::Number(scalar.text.clone()),
        };
        Err(Fault::no_map(found, keys))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entry = match self.0 {
            Node::Scalar(scalar) if scalar.kind != Kind::Null => {
                return visitor.visit_enum(StrDeserializer::new(&scalar.text));
            }
            Node::Map(entries) => sole(entries)?,
            _ => None,
        };
        match entry {
            Some((key, value)) => visitor.visit_enum(Variant { key, value }),
            None => self.deserialize_any(OneOf(variants)).map(|never| match never {}),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct seq tuple tuple_struct
    }
}

/// The only entry of a map; `None` for a map without any.
fn sole(entries: &[(String, Node)]) -> Result<Option<(&str, &Node)>, Fault> {
    let mut left = entries.iter().filter(|(_, value)| *value != Node::Removed);
    match (left.next(), left.next()) {
        (Some((key, _)), Some((second, _))) => Err(both(key, second)),
        (Some((key, value)), None) => Ok(Some((key, value))),
        (None, _) => Ok(None),
    }
}

fn both(first: &str, second: &str) -> Fault {
    Fault::custom(format_args!(
        "`{first}` and `{second}` stand here together; exactly one of them is allowed"
    ))
}

/// Accepts nothing, so that the error says which words are allowed.
struct OneOf(&'static [&'static str]);

enum Never {}

impl<'de> Visitor<'de> for OneOf {
    type Value = Never;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "one of {}", self.0.join(", "))
    }
}

// === Lists ===

struct Items<'n> {
    all: &'n [Node],
    next: usize,
}

fn read_list<'de, V: Visitor<'de>>(all: &'de [Node], visitor: V) -> Result<V::Value, Fault> {
    let mut items = Items { all, next: 0 };
    let value = visitor.visit_seq(&mut items)?;
    match items.advance() {
        None => Ok(value),
        Some((taken, _)) => Err(Fault::invalid_length(all.len(), &format!("{taken} values").as_str())),
    }
}

impl<'n> Items<'n> {
    fn advance(&mut self) -> Option<(usize, &'n Node)> {
        let (index, node) =
            self.all.iter().enumerate().skip(self.next).find(|(_, node)| **node != Node::Removed)?;
        self.next = index + 1;
        Some((index, node))
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.advance() else { return Ok(None) };
        let item = seed.deserialize(NodeDeserializer(node));
        item.map(Some).map_err(|fault| fault.within(Segment::Index(index)))
    }
}

// === Maps ===

struct Entries<'n> {
    left: &'n [(String, Node)],
    current: Option<&'n (String, Node)>,
}

fn read_map<'de, V: Visitor<'de>>(all: &'de [(String, Node)], visitor: V) -> Result<V::Value, Fault> {
    let mut entries = Entries { left: all, current: None };
    let value = visitor.visit_map(&mut entries)?;
    let last = entries.current.map(|(key, _)| key.as_str());
    match (last, entries.advance()) {
        (Some(first), Some((second, _))) => Err(both(first, second)),
        _ => Ok(value),
    }
}

impl<'n> Entries<'n> {
    fn advance(&mut self) -> Option<&'n (String, Node)> {
        loop {
            let (first, rest) = self.left.split_first()?;
            self.left = rest;
            if first.1 != Node::Removed {
                return Some(first);
            }
        }
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.advance() else { return Ok(None) };
        self.current = Some(entry);
        let key = KeyDeserializer(&entry.0);
        seed.deserialize(key).map(Some).map_err(|fault| fault.at_key(&entry.0))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.iter().filter(|(_, value)| *value != Node::Removed).count())
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.current else {
            return Err(Fault::custom("a value was asked for before its key"));
        };
        let value = seed.deserialize(NodeDeserializer(value));
        value.map_err(|fault| fault.within(Segment::Key(key.clone())))
    }
}

/// Reads a key. Keys that stand for numbers are read as such where a number is wanted.
struct KeyDeserializer<'n>(&'n str);

macro_rules! number_keys {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.0.parse::<$type>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(StrDeserializer::new(self.0))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == AS_WRITTEN { self.deserialize_any(visitor) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    number_keys! {
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i64 visit_i64 i64,
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

// === Enums, as a map with one entry ===

struct Variant<'n> {
    key: &'n str,
    value: &'n Node,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.key.into_deserializer();
        let variant = seed.deserialize(name).map_err(|fault| fault.at_key(self.key))?;
        Ok((variant, self))
    }
}

impl Variant<'_> {
    fn inside<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.within(Segment::Key(self.key.to_owned())))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.inside(serde::Deserialize::deserialize(NodeDeserializer(self.value)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.inside(seed.deserialize(NodeDeserializer(self.value)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.inside(NodeDeserializer(self.value).deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.inside(NodeDeserializer(self.value).deserialize_map(visitor))
    }
}
