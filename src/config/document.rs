use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{KeyPath, Place, Position, Segment};

/// One text of a configuration, in which values are found by their key paths.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// What messages call it; `None` for the main file.
    pub(super) file: Option<Arc<str>>,
    pub(super) text: String,
}

/// Which part of an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The key, or the beginning of a list's item.
    Key,
    /// What stands under the key.
    Value,
}

impl Document {
    /// Where the value at `path`, or its key, begins; where there is none, the closest value around it. Costs a
    /// reading of the whole text.
    pub(super) fn place_of(&self, path: &KeyPath, part: Part) -> Place {
        self.place_of_repeat(path, part, 0)
    }

    /// As [`Self::place_of`] for a key that stands several times; `occurrence` counts from 0.
    pub(super) fn place_of_repeat(&self, path: &KeyPath, part: Part, occurrence: usize) -> Place {
        let walk = Walk { rest: path.segments(), part, occurrence };
        let stopped = walk.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err();
        let position = stopped.as_ref().and_then(Position::of);
        Place { file: self.file.clone(), position }
    }
}

/// Walks down to a value and fails there, since serde_yaml tells positions in errors only.
#[derive(Clone, Copy)]
struct Walk<'p> {
    rest: &'p [Segment],
    part: Part,
    occurrence: usize,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = IgnoredAny;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<IgnoredAny, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = IgnoredAny;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing: the walk ends here")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<IgnoredAny, A::Error> {
        if let [Segment::Index(wanted), rest @ ..] = self.rest {
            for _ in 0..*wanted {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(Walk { rest, ..self })?;
        }
        Err(A::Error::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<IgnoredAny, A::Error> {
        let [Segment::Key(wanted), rest @ ..] = self.rest else { return Err(A::Error::custom("here")) };
        while let Some(is_wanted) = map.next_key_seed(KeyStop { walk: self, wanted })? {
            if !is_wanted {
                map.next_value::<IgnoredAny>()?;
            } else if self.occurrence == 0 || !rest.is_empty() {
                map.next_value_seed(Walk { rest, ..self })?;
            } else {
                self.occurrence -= 1;
                map.next_value::<IgnoredAny>()?;
            }
        }
        Err(A::Error::custom("here"))
    }
}

/// Compares a key, and fails at the one that is sought.
struct KeyStop<'p> {
    walk: Walk<'p>,
    wanted: &'p str,
}

impl<'de> DeserializeSeed<'de> for KeyStop<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyStop<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let is_last = self.walk.rest.len() == 1 && self.walk.occurrence == 0;
        if key == self.wanted && is_last && self.walk.part == Part::Key {
            return Err(E::custom("here"));
        }
        Ok(key == self.wanted)
    }
}
