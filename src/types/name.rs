use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::text_leaf;

/// A name that is not one to sixty-four characters of `A-Z a-z 0-9 _ . -`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a name; allowed: 1 to 64 of A-Z a-z 0-9 _ . -, starting with a letter or a digit")]
pub struct InvalidName {
    found: String,
}

const MAX_LEN: usize = 64;

fn check(text: &str) -> Result<Arc<str>, InvalidName> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let all_allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if starts_well && all_allowed && text.len() <= MAX_LEN {
        Ok(text.into())
    } else {
        Err(InvalidName { found: text.chars().take(MAX_LEN + 1).collect() })
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        text_leaf!($name, $kind, $example);
    )*};
}

names! {
    /// The name of a cache. Cheap to clone.
    CacheName, "a cache's name", "main";
    /// The name of whom a key or password belongs to. Cheap to clone.
    ConsumerName, "a consumer's name", "acme";
    /// The name of a limit that several processes count together. Cheap to clone.
    LimitName, "a limit's name", "api";
    /// The name of a listener. Cheap to clone.
    ListenerName, "a listener's name", "web";
    /// The name of a pool. Cheap to clone.
    PoolName, "a pool's name", "api";
    /// The name of a route. Cheap to clone.
    RouteName, "a route's name", "api";
    /// The name of a store. Cheap to clone.
    StoreName, "a store's name", "limits";
    /// The name of a token. Cheap to clone.
    TokenName, "a token's name", "deploy";
    /// The name of a zone: a data centre, a rack, whatever fails or costs as one. Cheap to clone.
    ZoneName, "a zone's name", "a";
}

impl ListenerName {
    /// What the listener of `admin` is called in messages; another one may have that name, too.
    pub(crate) fn of_admin() -> Self {
        Self("admin".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_allowed_alphabet() {
        for name in ["a", "api-2", "v1.api_x", "0day"] {
            assert_eq!(name.parse::<PoolName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn rejects_what_could_break_a_path_a_label_or_a_command_line() {
        for name in ["", "-x", ".hidden", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(name.parse::<PoolName>().is_err(), "{name:?}");
        }
    }
}
