//! JSON as tokens and keys have it: whoever reads it sees the same.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A value of JSON.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'t> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'t, str>),
    List(Vec<Self>),
    Object(Object<'t>),
}

/// An object in which no name stands twice: of two members with one name, readers take either (RFC 8725 §2.4).
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object<'t>(Vec<(Cow<'t, str>, Json<'t>)>);

/// Values within values within values, beyond which nobody means anything.
const DEEPEST: u8 = 8;
/// Each new name is compared with all before it.
const MOST_MEMBERS: usize = 256;

impl<'t> Object<'t> {
    /// Reads an object and nothing beside it.
    pub(super) fn parse(text: &'t [u8]) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Within(DEEPEST).deserialize(&mut reader)?;
        reader.end()?;
        match value {
            Json::Object(object) => Ok(object),
            _ => Err(serde_json::Error::custom("it is no object")),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Json<'t>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The text of that name; `None` if there is none or it is something else.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Reads a value in which so many more may be nested.
#[derive(Clone, Copy)]
struct Within(u8);

impl Within {
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("it is nested too deeply"))
    }
}

impl<'t> DeserializeSeed<'t> for Within {
    type Value = Json<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Json<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Within {
    type Value = Json<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'t>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Json<'t>, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json<'t>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json<'t>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json<'t>, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number is out of range"))?;
        Ok(Json::Number(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Json<'t>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'t>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Json<'t>, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut members: A) -> Result<Json<'t>, A::Error> {
        let inner = self.inner()?;
        let mut object = Object::default();
        while let Some(name) = members.next_key::<Name<'t>>()? {
            let Name(name) = name;
            if object.get(&name).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
            if object.0.len() == MOST_MEMBERS {
                return Err(A::Error::custom("an object has more than 256 members"));
            }
            object.0.push((name, members.next_value_seed(inner)?));
        }
        Ok(Json::Object(object))
    }
}

/// Borrowed where no escape stands in it.
#[derive(serde::Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_whole() {
        let object =
            Object::parse(br#" {"a":"x","b":[1,-2,1.5,null,true],"c":{"d":"\u00e4"},"\u0065":1} "#).unwrap();
        assert_eq!(object.text("a"), Some("x"));
        assert_eq!(object.text("b"), None);
        let Some(Json::List(list)) = object.get("b") else { panic!("{object:?}") };
        let numbers = [1.into(), (-2).into(), Number::from_f64(1.5).unwrap()].map(Json::Number);
        assert_eq!(list[..3], numbers);
        assert_eq!(list[3..], [Json::Null, Json::Bool(true)]);
        let Some(Json::Object(inner)) = object.get("c") else { panic!("{object:?}") };
        assert_eq!(inner.text("d"), Some("ä"));
        assert!(object.get("e").is_some());
    }

    #[test]
    fn what_readers_could_take_for_different_things_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(8), "]".repeat(8));
        let many: Vec<_> = (0..257).map(|n| format!("\"{n}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{} {}",
            "{}x",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":1e400}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":1}",
            "{\"b\":{\"a\":1,\"a\":2}}",
            "\u{feff}{}",
            "{}\0",
            &deep,
            &many,
        ] {
            assert!(Object::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
        let allowed = format!("{{\"a\":{}{}}}", "[".repeat(7), "]".repeat(7));
        assert!(Object::parse(allowed.as_bytes()).is_ok());
    }
}
