use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::text_leaf;

/// The name of a variable that filters set, 1 to 64 characters: lower-case letters, digits, `_` and `.`, a letter first.
/// `{var.NAME}` in templates and `{ var: NAME }` as a key stand for its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VarName(Arc<str>);

/// A text that cannot name a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` cannot name a variable; 1 to 64 of a-z, 0-9, `_` and `.` with a letter first are allowed")]
pub struct InvalidVarName {
    found: String,
}

impl VarName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VarName {
    type Err = InvalidVarName;

    fn from_str(text: &str) -> Result<Self, InvalidVarName> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
        let is_name = text.len() <= 64
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(is_allowed);
        if is_name { Ok(Self(text.into())) } else { Err(InvalidVarName { found: text.to_owned() }) }
    }
}

impl fmt::Display for VarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(VarName, "the name of a variable", "jwt.sub");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words_with_dots() {
        for name in ["a", "jwt.sub", "geo.country", "a_1"] {
            assert_eq!(name.parse::<VarName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(65);
        for text in ["", "A", "1a", ".a", "a-b", "a b", "ä", &long] {
            assert!(text.parse::<VarName>().is_err(), "{text}");
        }
    }
}
