use std::fmt;

use serde::{Deserialize, Serialize};

/// A step from a value of the file to one inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Segment {
    /// Into a map, by key.
    Key(String),
    /// Into a list, by place from 0.
    Index(usize),
}

/// Where a value stands in the file: `routes[1].match.path`. The default is the whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyPath(Vec<Segment>);

impl KeyPath {
    /// The path of the value under `key`.
    #[must_use]
    pub fn child(&self, key: impl Into<String>) -> Self {
        self.join(Segment::Key(key.into()))
    }

    /// The path of the list's item at `index`, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.join(Segment::Index(index))
    }

    /// The path one step further.
    #[must_use]
    pub fn join(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether `other` is this value or stands inside it.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl From<Vec<Segment>> for KeyPath {
    fn from(segments: Vec<Segment>) -> Self {
        Self(segments)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    f.write_str(if place == 0 { "" } else { "." })?;
                    write_key(key, f)?;
                }
            }
        }
        Ok(())
    }
}

/// Long keys are cut: a key can be a secret that slipped to the wrong place.
fn write_key(key: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const MAX_SHOWN: usize = 64;
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
    match key.char_indices().nth(MAX_SHOWN) {
        Some((cut, _)) => write!(f, "{:?}…", &key[..cut]),
        None if is_plain => f.write_str(key),
        None => write!(f, "{key:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_it_would_be_read_out() {
        let path = KeyPath::default().child("routes").index(1).child("match").child("path");
        assert_eq!(path.to_string(), "routes[1].match.path");
        assert_eq!(KeyPath::default().to_string(), "");
        assert_eq!(KeyPath::default().index(3).index(0).to_string(), "[3][0]");
    }

    #[test]
    fn keys_that_are_no_plain_names_are_quoted() {
        let listeners = KeyPath::default().child("listeners");
        assert_eq!(listeners.child("a b").to_string(), "listeners.\"a b\"");
        assert_eq!(listeners.child("v1.api").to_string(), "listeners.\"v1.api\"");
        assert_eq!(listeners.child("").to_string(), "listeners.\"\"");
        assert_eq!(listeners.child("api-2_x").to_string(), "listeners.api-2_x");
    }

    #[test]
    fn knows_what_stands_inside_it() {
        let pools = KeyPath::default().child("pools");
        assert!(pools.contains(&pools));
        assert!(pools.contains(&pools.child("api").child("endpoints").index(0)));
        assert!(!pools.child("api").contains(&pools));
        assert!(!pools.child("a").contains(&pools.child("ab")));
    }
}
