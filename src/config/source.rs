use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::node::Node;
use super::{Diagnostics, KeyPath, Position, Segment, recover, syntax};

/// The text of a configuration file, in which every value can be found and read by its key path.
#[derive(Clone, Debug)]
pub struct Source {
    file: String,
    text: String,
    root: Node,
}

/// Which part of an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key, or the beginning of a list's item.
    Key,
    /// What stands under the key.
    Value,
}

impl Source {
    /// Reads a text; `file` is how messages call it. What is not well-formed goes to `diagnostics`; keys that
    /// stand twice do too, but hinder nothing: the first one counts from then on.
    pub(crate) fn parse(file: &str, text: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        let root = match Node::parse(text) {
            Ok(root) => root,
            Err(error) => {
                diagnostics.push(syntax::explain(&error, text));
                return None;
            }
        };
        let mut source = Self { file: file.to_owned(), text: text.to_owned(), root };
        let mut repeated = Vec::new();
        source.root.take_repeated_keys(&KeyPath::default(), &mut repeated);
        for (path, occurrence) in &repeated {
            source.report_repeated(path, *occurrence, diagnostics);
        }
        Some(source)
    }

    /// What messages call the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// All of it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Reads the value at `path` into `T`. One that is not there, or is empty, is read as an empty map.
    ///
    /// This is how filters and policies read their settings.
    ///
    /// # Errors
    /// All problems of the value at once.
    pub fn read_at<T: DeserializeOwned>(&self, path: &KeyPath) -> Result<T, Diagnostics> {
        let mut diagnostics = Diagnostics::new(&self.file);
        let absent = Node::ABSENT;
        let node = self.root.at(path).unwrap_or(&absent);
        let read = recover::read(node, path, self, |_| None, &mut diagnostics);
        match read.value {
            Some(value) if !diagnostics.has_errors() => Ok(value),
            _ => Err(diagnostics),
        }
    }

    /// Where the value at `path`, or its key, begins; where there is none, the closest value around it. Costs a
    /// reading of the whole text.
    pub fn position_of(&self, path: &KeyPath, part: Part) -> Option<Position> {
        self.position_of_repeat(path, part, 0)
    }

    /// As [`Self::position_of`] for a key that stands several times; `occurrence` counts from 0.
    fn position_of_repeat(&self, path: &KeyPath, part: Part, occurrence: usize) -> Option<Position> {
        let walk = Walk { rest: path.segments(), part, occurrence };
        let stopped = walk.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err()?;
        Position::of(&stopped)
    }

    fn report_repeated(&self, path: &KeyPath, occurrence: usize, diagnostics: &mut Diagnostics) {
        let diagnostic = diagnostics.error_at_key(self, path, "the key stands here twice");
        diagnostic.position = self.position_of_repeat(path, Part::Key, occurrence);
        if let Some(first) = self.position_of(path, Part::Key) {
            diagnostic
                .help(format_args!("it stands in line {} already; join them, or remove one", first.line));
        }
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn source(text: &str) -> Source {
        let mut diagnostics = Diagnostics::new("x.yaml");
        let source = Source::parse("x.yaml", text, &mut diagnostics).unwrap();
        assert!(!diagnostics.has_errors(), "{diagnostics}");
        source
    }

    fn place(text: &str, path: &KeyPath, part: Part) -> (usize, usize) {
        let position = source(text).position_of(path, part).unwrap();
        (position.line, position.column)
    }

    #[test]
    fn finds_keys_values_and_items() {
        let text =
            "pools:\n  api: { endpoints: [a, b] }\nroutes:\n  - pool: api\n  - name: x\n    pool: \"y\"\n";
        let root = KeyPath::default();
        let pool = root.child("routes").index(1).child("pool");
        assert_eq!(place(text, &pool, Part::Key), (6, 5));
        assert_eq!(place(text, &pool, Part::Value), (6, 11));
        assert_eq!(
            place(text, &root.child("pools").child("api").child("endpoints").index(1), Part::Value),
            (2, 25)
        );
        assert_eq!(place(text, &root.child("routes").index(1), Part::Key), (5, 5));
        assert_eq!(place(text, &root, Part::Value), (1, 1));
    }

    #[test]
    fn falls_back_to_the_closest_value_around() {
        let text = "a:\n  b: 1\nc: [1]\n";
        let root = KeyPath::default();
        assert_eq!(place(text, &root.child("a").child("missing").child("x"), Part::Key), (2, 3));
        assert_eq!(place(text, &root.child("a").child("b").child("x"), Part::Value), (2, 6));
        assert_eq!(place(text, &root.child("c").index(7), Part::Value), (3, 4));
        assert_eq!(place(text, &root.child("nowhere"), Part::Value), (1, 1));
    }

    #[test]
    fn a_value_behind_an_alias_stands_where_it_is_written() {
        let text = "x: &shared { deep: 1 }\ny: *shared\n";
        let deep = KeyPath::default().child("y").child("deep");
        assert_eq!(place(text, &deep, Part::Value), (1, 20));
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        size: u8,
        rate: Option<crate::types::Rate>,
    }

    #[test]
    fn settings_are_read_with_all_their_problems() {
        let text = "f:\n  size: 300\n  rate: 5\n  other: 1\ng:\nh: {rate: 5/s}\n";
        let source = source(text);
        let problems = source.read_at::<Settings>(&KeyPath::default().child("f")).unwrap_err().to_string();
        assert_eq!(
            problems,
            "x.yaml:2:9: f.size: found the number `300`, expected a whole number, 0 to 255\n\
             x.yaml:3:9: f.rate: `5` is not a rate; write COUNT/PERIOD, like 100/s or 600/m\n\
             x.yaml:4:3: f.other: unknown key `other`\n  help: allowed: size, rate\n"
        );
        let empty = Settings { size: 0, rate: None };
        assert_eq!(source.read_at::<Settings>(&KeyPath::default().child("g")).unwrap(), empty);
        assert_eq!(source.read_at::<Settings>(&KeyPath::default().child("nowhere")).unwrap(), empty);
        let rate = source.read_at::<Settings>(&KeyPath::default().child("h")).unwrap().rate.unwrap();
        assert_eq!(rate.to_string(), "5/s");
    }
}
