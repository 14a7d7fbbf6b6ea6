//! Shapes that several specs share, read through visitors so that errors keep their place in the file.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A value, or a list of values that all count. Never empty once read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    /// These values, for defaults.
    pub(super) fn from_list<const N: usize>(values: [T; N]) -> Self {
        const { assert!(N > 0) };
        Self(values.into())
    }

    /// The values, one or more.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for OneOrMany<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> From<T> for OneOrMany<T> {
    fn from(one: T) -> Self {
        Self(vec![one])
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of values")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                T::deserialize(().into_deserializer()).map(OneOrMany::from)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer() as StrDeserializer<'_, E>).map(OneOrMany::from)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(OneOrMany::from)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(OneOrMany::from)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(OneOrMany::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OneOrMany::from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let many = Vec::<T>::deserialize(SeqAccessDeserializer::new(seq))?;
                if many.is_empty() {
                    return Err(A::Error::custom("the list is empty; write at least one value"));
                }
                Ok(OneOrMany(many))
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        unordered(&self.0, serializer)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// A map that keeps the order of the file and refuses a key that stands twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for NamedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> NamedMap<K, V> {
    /// The entries in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> IntoIterator for NamedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, K, V> Deserialize<'de> for NamedMap<K, V>
where
    K: Deserialize<'de> + PartialEq + fmt::Display,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedMapVisitor<K, V>(PhantomData<(K, V)>);

        impl<'de, K, V> Visitor<'de> for NamedMapVisitor<K, V>
        where
            K: Deserialize<'de> + PartialEq + fmt::Display,
            V: Deserialize<'de>,
        {
            type Value = NamedMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(NamedMap::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(K, V)> = Vec::new();
                while let Some(key) = map.next_key_seed(NewKey(&entries))? {
                    entries.push((key, map.next_value()?));
                }
                Ok(NamedMap(entries))
            }
        }

        deserializer.deserialize_map(NamedMapVisitor(PhantomData))
    }
}

impl<K: Serialize, V: Serialize> Serialize for NamedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Reads a key and refuses one that is there already, so that the error is about the key.
struct NewKey<'e, K, V>(&'e [(K, V)]);

impl<'de, K, V> DeserializeSeed<'de> for NewKey<'_, K, V>
where
    K: Deserialize<'de> + PartialEq + fmt::Display,
{
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        let key = K::deserialize(deserializer)?;
        match self.0.iter().find(|(known, _)| *known == key) {
            Some((known, _)) => Err(D::Error::custom(format_args!("`{known}` stands here twice"))),
            None => Ok(key),
        }
    }
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for NamedMap<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Map_of_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<V>();
        let key = generator.subschema_for::<K>();
        json_schema!({ "type": "object", "propertyNames": key, "additionalProperties": value })
    }
}

/// Writes a list whose order means nothing in an order of its own, each value once, so that lists that mean the same are
/// written alike.
pub(super) fn unordered<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    let written = list.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let mut written = written.map_err(serde::ser::Error::custom)?;
    written.sort_by_cached_key(ToString::to_string);
    written.dedup();
    serializer.collect_seq(written)
}

/// Writes a map whose order counts as a list of maps with one key each.
pub(super) fn in_order<K: Serialize, V: Serialize, S: Serializer>(
    map: &NamedMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map.iter().map(|entry| NamedMap(vec![entry])))
}

/// Reads either a scalar through `FromStr` or a map into `M`, which turns into `T`.
pub(crate) fn text_or_map<'de, T, M, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: std::str::FromStr + From<M>,
    T::Err: fmt::Display,
    M: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct TextOrMapVisitor<T, M>(&'static str, PhantomData<(T, M)>);

    impl<'de, T, M> Visitor<'de> for TextOrMapVisitor<T, M>
    where
        T: std::str::FromStr + From<M>,
        T::Err: fmt::Display,
        M: Deserialize<'de>,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            deserializer.deserialize_any(self)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_bool<E: Error>(self, truth: bool) -> Result<T, E> {
            self.visit_str(if truth { "true" } else { "false" })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            if map.size_hint() == Some(0) {
                return Err(A::Error::custom(format_args!("the map is empty; write {}", self.0)));
            }
            M::deserialize(MapAccessDeserializer::new(map)).map(T::from)
        }
    }

    deserializer.deserialize_newtype_struct(crate::types::AS_WRITTEN, TextOrMapVisitor(expected, PhantomData))
}

/// Reads `false` as none, `true` as the default, or a map.
pub(super) fn switch_or_map<'de, T, D>(deserializer: D, expected: &'static str) -> Result<Option<T>, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct SwitchOrMapVisitor<T>(&'static str, PhantomData<T>);

    impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for SwitchOrMapVisitor<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_bool<E: Error>(self, is_on: bool) -> Result<Option<T>, E> {
            Ok(is_on.then(T::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(SwitchOrMapVisitor(expected, PhantomData))
}

/// A map with exactly one key, whose value is left for whoever knows the key to read: `- rate_limit: {…}`.
pub(super) fn single_key<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    scalar_allowed: bool,
) -> Result<String, D::Error> {
    struct SingleKeyVisitor(&'static str, bool);

    impl<'de> Visitor<'de> for SingleKeyVisitor {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            if self.1 {
                Ok(text.to_owned())
            } else {
                Err(E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
            let Some(key) = map.next_key::<String>()? else {
                return Err(A::Error::custom(format_args!("the map is empty; write {}", self.0)));
            };
            map.next_value::<serde::de::IgnoredAny>()?;
            if let Some(second) = map.next_key::<String>()? {
                return Err(A::Error::custom(format_args!(
                    "`{key}` and `{second}` stand in one item; write {}",
                    self.0
                )));
            }
            Ok(key)
        }
    }

    deserializer.deserialize_any(SingleKeyVisitor(expected, scalar_allowed))
}
