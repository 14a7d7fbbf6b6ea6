use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::spec::HeaderNameSpec;
use crate::config::spec::shapes::unordered;
use crate::types::text_leaf;

/// What the access log has `***` for; taps, debug headers and spans hide the parameters too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedactSpec {
    /// Parameters of queries whose value is not written, besides those that docs/logging.md lists; case, `-` and `_` do not count. It holds for targets and for URLs in headers. Default: none.
    #[serde(serialize_with = "unordered")]
    pub query: Vec<ParameterName>,
    /// Headers whose value is not written, besides those with credentials. Default: none.
    #[serde(serialize_with = "unordered")]
    pub headers: Vec<HeaderNameSpec>,
    /// Parameters that docs/logging.md lists, and that are written all the same. Default: none.
    #[serde(serialize_with = "unordered")]
    pub except: Vec<ParameterName>,
}

/// The name of a parameter in a query, decoded and in lower case, 1 to 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterName(String);

/// A text that names no parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a parameter; write 1 to 64 bytes as they are, without blanks and %, [, ], =, &, #, ?, ;, +, /, `,` and |"
)]
pub struct InvalidParameterName(String);

impl RedactSpec {
    /// Adds a parameter; of one with parts, as `user[key]`, each.
    ///
    /// # Errors
    /// When it could not be told from others where it stands.
    pub(crate) fn add_query(&mut self, name: &str) -> Result<(), InvalidParameterName> {
        self.query.extend(ParameterName::parts(name)?);
        Ok(())
    }
}

impl ParameterName {
    /// The longest.
    pub(crate) const LONGEST: usize = 64;

    /// The parts of a name, as `user` and `key` of `user[key]`; one at least.
    pub(crate) fn parts(name: &str) -> Result<Vec<Self>, InvalidParameterName> {
        let parts = name.split([' ', '[', ']', '+']).filter(|part| !part.is_empty());
        let invalid = || InvalidParameterName(name.to_owned());
        let parts: Vec<Self> =
            parts.map(|part| part.parse().map_err(|_| invalid())).collect::<Result<_, _>>()?;
        if parts.is_empty() { Err(invalid()) } else { Ok(parts) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = InvalidParameterName;

    fn from_str(text: &str) -> Result<Self, InvalidParameterName> {
        let has_room = (1..=Self::LONGEST).contains(&text.len());
        let is_strange = |c: char| c.is_control() || c.is_whitespace() || "%[]=&#?;+/,|".contains(c);
        if has_room && !text.contains(is_strange) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidParameterName(text.to_owned()))
        }
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(ParameterName, "the name of a parameter", "session");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case() {
        assert_eq!("X-Token".parse::<ParameterName>().unwrap().to_string(), "x-token");
        for text in ["", "a=b", "to%6ben", "a b", "user[name]", "a/b", "a,b", "a|b", &"a".repeat(65)] {
            assert!(text.parse::<ParameterName>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_parts_are_known_by_each() {
        let parts = |name: &str| {
            ParameterName::parts(name).map(|parts| parts.iter().map(ToString::to_string).collect())
        };
        let some = |names: &[&str]| {
            Ok::<Vec<_>, InvalidParameterName>(names.iter().map(|&name| name.to_owned()).collect())
        };
        assert_eq!(parts("Key"), some(&["key"]));
        assert_eq!(parts("user[my key][]"), some(&["user", "my", "key"]));
        for text in ["", "[]", "a[b=c]", "a%62", "a;b", "a\u{a0}b", "a/b", &format!("k[{}]", "a".repeat(65))]
        {
            assert_eq!(parts(text), Err(InvalidParameterName(text.to_owned())));
        }
    }
}
