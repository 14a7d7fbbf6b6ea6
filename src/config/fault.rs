use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::types::closest;

use super::{KeyPath, Segment};

/// One thing that is wrong with a value, with the path that grows while the error climbs out of the tree.
///
/// It keeps what serde tells in parts, so that messages need not be taken apart again.
#[derive(Debug)]
pub(super) struct Fault {
    /// From the value outwards.
    steps: Vec<Segment>,
    pub(super) culprit: Culprit,
    pub(super) kind: FaultKind,
}

/// Whether a key or its value is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Culprit {
    Key,
    Value,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum FaultKind {
    UnknownKey { found: String, allowed: &'static [&'static str] },
    UnknownValue { found: String, allowed: &'static [&'static str] },
    MissingKey(&'static str),
    Unexpected { found: Found, expected: String },
    Other(String),
}

/// What stands where something else is expected.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    List,
    Map,
    Number(String),
    Bool(bool),
    Text(String),
    /// Something that needs no words of its own.
    Else(String),
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { steps: Vec::new(), culprit: Culprit::Value, kind }
    }

    /// Something that is no map stands where one with these keys is expected.
    pub(super) fn no_map(found: Found, keys: &[&str]) -> Self {
        let expected = match keys {
            [] => "an empty map `{}`".to_owned(),
            _ => format!("a map of {}", keys.join(", ")),
        };
        Self::new(FaultKind::Unexpected { found, expected })
    }

    /// The same fault as seen from outside of `segment`.
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.steps.push(segment);
        self
    }

    /// The same fault, found while the key itself was read.
    pub(super) fn at_key(mut self, key: &str) -> Self {
        self.culprit = Culprit::Key;
        self.within(Segment::Key(key.to_owned()))
    }

    /// Where the fault is, from the value that was read on.
    pub(super) fn path(&self, base: &KeyPath) -> KeyPath {
        self.steps.iter().rev().fold(base.clone(), |path, segment| path.join(segment.clone()))
    }

    /// What is allowed, without what was found.
    pub(super) fn rule(&self) -> Option<String> {
        match &self.kind {
            FaultKind::UnknownKey { .. } => Some("unknown key".to_owned()),
            FaultKind::UnknownValue { allowed, .. } => Some(format!("allowed: {}", allowed.join(", "))),
            FaultKind::MissingKey(key) => Some(format!("`{key}` is missing")),
            FaultKind::Unexpected { expected, .. } => Some(format!("expected {expected}")),
            FaultKind::Other(_) => None,
        }
    }

    /// What to tell the operator: what is wrong, and the likely fix.
    pub(super) fn describe(self) -> (String, Option<String>) {
        match self.kind {
            FaultKind::UnknownKey { found, allowed } => {
                (format!("unknown key `{}`", shorten(&found)), Some(suggest(&found, allowed)))
            }
            FaultKind::UnknownValue { found, allowed } => {
                let kind = if self.culprit == Culprit::Key { "key" } else { "value" };
                (format!("unknown {kind} `{}`", shorten(&found)), Some(suggest(&found, allowed)))
            }
            FaultKind::MissingKey(key) => (format!("`{key}` is missing"), None),
            FaultKind::Unexpected { found, expected } => {
                let help = found.likely_fix(&expected);
                (format!("found {found}, expected {expected}"), help)
            }
            FaultKind::Other(message) => (message, None),
        }
    }
}

/// The closest of the allowed words, or all of them.
fn suggest(found: &str, allowed: &[&str]) -> String {
    match closest(found, allowed.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if allowed.is_empty() => "nothing is allowed here; write `{}`".to_owned(),
        None => format!("allowed: {}", allowed.join(", ")),
    }
}

/// A text that is fit to be shown: on one line, and not whole when it is as long as secrets are.
pub(super) fn shorten(text: &str) -> String {
    const MAX_SHOWN: usize = 80;
    const SHOWN_OF_LONG: usize = 24;
    let is_long = text.chars().nth(MAX_SHOWN).is_some();
    let shown: String = text.chars().take(if is_long { SHOWN_OF_LONG } else { MAX_SHOWN }).collect();
    let on_one_line = shown.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"");
    if is_long { format!("{on_one_line}…") } else { on_one_line }
}

impl Found {
    fn of(unexpected: Unexpected<'_>) -> Self {
        match unexpected {
            Unexpected::Unit | Unexpected::Option => Self::Nothing,
            Unexpected::Seq => Self::List,
            Unexpected::Map | Unexpected::StructVariant => Self::Map,
            Unexpected::Unsigned(number) => Self::Number(number.to_string()),
            Unexpected::Signed(number) => Self::Number(number.to_string()),
            Unexpected::Float(number) => Self::Number(number.to_string()),
            Unexpected::Bool(truth) => Self::Bool(truth),
            Unexpected::Str(text) => Self::Text(text.to_owned()),
            Unexpected::UnitVariant => Self::Else("a name alone".to_owned()),
            other => Self::Else(other.to_string()),
        }
    }

    fn likely_fix(&self, expected: &str) -> Option<String> {
        let wants_list = expected.starts_with("a list");
        match self {
            Self::Nothing if wants_list => Some("write `[]` for an empty list, or remove the key".to_owned()),
            Self::Nothing => Some("write a value, or remove the line".to_owned()),
            Self::Number(text) | Self::Text(text) if wants_list => {
                Some(format!("put it in brackets: `[{}]`", shorten(text)))
            }
            Self::Map if wants_list => Some("begin each item with `- `".to_owned()),
            Self::List if expected.starts_with("a map") => {
                Some("write a map's entries as `key: value`, without `- `".to_owned())
            }
            Self::Text(text) if expected.starts_with("true or false") => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write `true`".to_owned()),
                "no" | "off" | "n" => Some("write `false`".to_owned()),
                "true" | "false" => Some("write it without quotes".to_owned()),
                _ => None,
            },
            Self::Text(text) if expected.starts_with("a whole number") && text.parse::<i64>().is_ok() => {
                Some("write it without quotes".to_owned())
            }
            Self::Map | Self::List if expected.starts_with("a text") => {
                Some("put a text with `{` or `[` in quotes".to_owned())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::List => f.write_str("a list"),
            Self::Map => f.write_str("a map"),
            Self::Number(number) => write!(f, "the number `{number}`"),
            Self::Bool(truth) => write!(f, "`{truth}`"),
            Self::Text(text) => write!(f, "the text `{}`", shorten(text)),
            Self::Else(description) => f.write_str(description),
        }
    }
}

/// The expectations of serde's own visitors in the words of this crate; others are in those words already.
fn in_our_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let whole = |min: i128, max: i128| format!("a whole number, {min} to {max}");
    match text.as_str() {
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "a nonzero u8" => whole(1, u8::MAX.into()),
        "a nonzero u16" => whole(1, u16::MAX.into()),
        "a nonzero u32" => whole(1, u32::MAX.into()),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "a character" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "unit" => "nothing".to_owned(),
        "newtype variant" | "tuple variant" | "struct variant" => {
            "a map of that name and its value".to_owned()
        }
        _ if text.starts_with("struct ") => "a map".to_owned(),
        _ => text,
    }
}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(FaultKind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(FaultKind::Unexpected { found: Found::of(found), expected: in_our_words(expected) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let found = Found::Else(format!("{length} values"));
        Self::new(FaultKind::Unexpected { found, expected: in_our_words(expected) })
    }

    fn unknown_variant(found: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownValue { found: found.to_owned(), allowed })
    }

    fn unknown_field(found: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownKey { found: found.to_owned(), allowed })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(FaultKind::MissingKey(key))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path(&KeyPath::default()), self.kind)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_broken_texts_are_not_shown_whole() {
        assert_eq!(shorten("it's \"so\""), "it's \"so\"");
        assert_eq!(shorten("a\nb"), "a\\nb");
        let secret = "s3cr3t".repeat(20);
        assert_eq!(shorten(&secret), format!("{}…", &secret[..24]));
    }

    #[test]
    fn a_fault_knows_its_path_from_the_root() {
        let fault = Fault::custom("x").within(Segment::Index(2)).within(Segment::Key("b".to_owned()));
        assert_eq!(fault.path(&KeyPath::default().child("a")).to_string(), "a.b[2]");
    }
}
