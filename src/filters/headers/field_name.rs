use std::fmt;
use std::str::FromStr;

use http::HeaderName;

use crate::types::text_leaf;

/// The name of a header that a filter changes; remembers how it was written, so that errors find its place.
#[derive(Clone, Debug)]
pub struct FieldName {
    written: String,
    name: HeaderName,
}

/// A text that is no header's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a header's name; letters, digits and !#$%&'*+-.^_`|~ are allowed")]
pub struct InvalidFieldName {
    found: String,
}

impl FieldName {
    /// A name in lower case, for defaults.
    pub(in crate::filters) fn constant(name: &'static str) -> Self {
        Self { written: name.to_owned(), name: HeaderName::from_static(name) }
    }

    /// The name, in lower case.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }
}

/// Header names are the same in any case (RFC 9110 §5.1).
impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for FieldName {}

impl FromStr for FieldName {
    type Err = InvalidFieldName;

    fn from_str(text: &str) -> Result<Self, InvalidFieldName> {
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => Ok(Self { written: text.to_owned(), name }),
            Err(_) => Err(InvalidFieldName { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

text_leaf!(FieldName, "a header's name", "X-Env");
