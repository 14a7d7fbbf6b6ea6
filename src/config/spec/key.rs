use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{VarName, text_leaf};

use super::HeaderNameSpec;
use super::shapes::text_or_map;

/// By what requests are told apart where they are counted or spread: `client_ip`, `host`, `path`,
/// `{ header: X-User }`, `{ cookie: sid }`, `{ query: id }` or `{ var: api_key.name }`.
///
/// Headers, cookies and parameters are the client's to choose: whoever changes them with every request gets a
/// new key with every request. Limit by them only what something before the edge has authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySpec {
    /// The client's address; of an IPv6 address, its first bits (`server.http_client_id.ipv6_prefix`).
    #[default]
    ClientIp,
    /// The host that is asked for.
    Host,
    /// The normalised path, as the filters so far left it.
    Path,
    /// The first header of that name.
    Header(HeaderName),
    /// The first cookie of that name.
    Cookie(String),
    /// The first parameter of that name in the query, as it stands there, without decoding.
    Query(String),
    /// The variable of that name, as a filter before has set it.
    Var(VarName),
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a key; allowed: client_ip, host, path, {{ header: NAME }}, {{ cookie: NAME }}, {{ query: NAME }} or {{ var: NAME }}"
)]
pub struct InvalidKey {
    found: String,
}

/// The keys that need a name, written as a map: exactly one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum KeyMap {
    Header(HeaderNameSpec),
    Cookie(PartName),
    Query(PartName),
    Var(VarName),
}

/// The name of a cookie or parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartName(String);

/// A name that no cookie and no parameter can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` cannot be the name of a cookie or parameter; visible ASCII other than = ; , & is allowed")]
pub struct InvalidPartName {
    found: String,
}

impl FromStr for KeySpec {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text {
            "client_ip" => Ok(Self::ClientIp),
            "host" => Ok(Self::Host),
            "path" => Ok(Self::Path),
            _ => Err(InvalidKey { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Var(name) => write!(f, "var {name}"),
        }
    }
}

impl From<KeyMap> for KeySpec {
    fn from(map: KeyMap) -> Self {
        match map {
            KeyMap::Header(name) => Self::Header(name.0),
            KeyMap::Cookie(name) => Self::Cookie(name.0),
            KeyMap::Query(name) => Self::Query(name.0),
            KeyMap::Var(name) => Self::Var(name),
        }
    }
}

impl<'de> Deserialize<'de> for KeySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, KeyMap, _>(
            deserializer,
            "client_ip, host, path, `{ header: NAME }`, `{ cookie: NAME }`, `{ query: NAME }` or `{ var: NAME }`",
        )
    }
}

impl Serialize for KeySpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for KeySpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "client_ip, host, path, `{ header: NAME }`, `{ cookie: NAME }`, `{ query: NAME }` or `{ var: NAME }`",
            "examples": ["client_ip"],
        })
    }
}

// === PartName ===

impl PartName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PartName {
    type Err = InvalidPartName;

    fn from_str(text: &str) -> Result<Self, InvalidPartName> {
        let allowed = |b: u8| b.is_ascii_graphic() && !b"=;,&".contains(&b);
        if !text.is_empty() && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPartName { found: text.to_owned() })
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(PartName, "a name", "sid");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> KeySpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn reads_words_and_maps() {
        assert_eq!(read("client_ip"), KeySpec::ClientIp);
        assert_eq!(read("{ header: X-User }"), KeySpec::Header("x-user".parse().unwrap()));
        assert_eq!(read("{ cookie: sid }"), KeySpec::Cookie("sid".to_owned()));
        assert_eq!(read("{ query: 1 }"), KeySpec::Query("1".to_owned()));
    }

    #[test]
    fn says_what_is_allowed() {
        let error = |yaml: &str| serde_yaml::from_str::<KeySpec>(yaml).unwrap_err().to_string();
        assert!(error("ip").contains("`ip` is not a key") && error("ip").contains("client_ip, host"));
        assert!(error("{ cookie: 'a=b' }").contains("visible ASCII"));
        assert!(error("{ cookie: '' }").contains("visible ASCII"));
        assert!(error("{ body: x }").contains("unknown variant"));
        assert!(serde_yaml::from_str::<KeySpec>("{ cookie: a, query: b }").is_err());
    }
}
