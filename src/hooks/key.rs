use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, HeaderName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use twox_hash::XxHash3_64;

use crate::config::spec::{HeaderNameSpec, text_or_map};
use crate::types::{ClientKey, VarName, client_key, cookie, text_leaf};

use super::variables::Variables;
use super::{FilterCx, PickCx, RequestView};

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

/// What keys are taken from: the parts of a request that filters and policies alike see.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    client_ip: IpAddr,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    variables: &'a Variables,
}

/// The part of a request that is its key.
enum KeyPart<'a> {
    Client(ClientKey),
    Text(&'a [u8]),
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

// === KeyParts ===

impl<'a> KeyParts<'a> {
    /// Those of a request as a filter sees it.
    pub fn of(request: &'a RequestView<'_>, cx: &'a FilterCx<'_>) -> Self {
        Self {
            client_ip: cx.facts().client_ip,
            host: request.host(),
            path: request.path(),
            query: request.query(),
            headers: request.headers(),
            variables: cx.variables,
        }
    }
}

impl<'a> From<&PickCx<'a>> for KeyParts<'a> {
    fn from(cx: &PickCx<'a>) -> Self {
        let PickCx { client_ip, host, path, query, headers, variables, .. } = *cx;
        Self { client_ip, host, path, query, headers, variables }
    }
}

// === KeySpec ===

impl KeySpec {
    /// The request's key as a number: equal for requests that belong together, and evenly spread as far as
    /// `state` spreads. `None` when the request has no such header, cookie or parameter.
    ///
    /// With a [`RandomState`](std::hash::RandomState) or a [`KeySeed`](super::KeySeed) nobody can choose keys that meet
    /// in the same place. Costs two rounds of `state` and no allocation.
    pub fn hash(&self, parts: KeyParts<'_>, ipv6_prefix: u8, state: &impl BuildHasher) -> Option<u128> {
        Some(match self.part_of(parts, ipv6_prefix)? {
            KeyPart::Client(client) => wide(state, client.as_u128()),
            KeyPart::Text(text) => wide(state, text),
        })
    }

    /// The request's key as a number that is the same in every process, on every machine and in every version
    /// (XXH3, 64 bits), for what must find the same place again. Everybody can choose keys that meet.
    ///
    /// `None` also when the part is there but empty, since all that have nothing to show do not belong together.
    pub fn stable_hash(&self, parts: KeyParts<'_>, ipv6_prefix: u8) -> Option<u64> {
        match self.part_of(parts, ipv6_prefix)? {
            KeyPart::Client(client) => Some(XxHash3_64::oneshot(&client.as_u128().to_be_bytes())),
            KeyPart::Text([]) => None,
            KeyPart::Text(text) => Some(XxHash3_64::oneshot(text)),
        }
    }

    /// The request's key as bytes that are the same in every process, on every machine and in every version (the first
    /// half of SHA-256), for what several processes count together. Nobody can choose keys that meet. `None` when the
    /// request has no such header, cookie or parameter.
    pub fn digest(&self, parts: KeyParts<'_>, ipv6_prefix: u8) -> Option<[u8; 16]> {
        let digest = match self.part_of(parts, ipv6_prefix)? {
            KeyPart::Client(client) => digest(&SHA256, &client.as_u128().to_be_bytes()),
            KeyPart::Text(text) => digest(&SHA256, text),
        };
        digest.as_ref().first_chunk().copied()
    }

    fn part_of<'a>(&self, parts: KeyParts<'a>, ipv6_prefix: u8) -> Option<KeyPart<'a>> {
        let text = match self {
            Self::ClientIp => return Some(KeyPart::Client(client_key(parts.client_ip, ipv6_prefix))),
            Self::Host => parts.host.as_bytes(),
            Self::Path => parts.path.as_bytes(),
            Self::Header(name) => parts.headers.get(name)?.as_bytes(),
            Self::Cookie(name) => cookie(parts.headers, name)?.as_bytes(),
            Self::Query(name) => parameter(parts.query?, name)?.as_bytes(),
            Self::Var(name) => parts.variables.get(name.as_str())?,
        };
        Some(KeyPart::Text(text))
    }
}

/// Two rounds that differ in their first byte give 128 bits, so that two keys never meet by chance.
fn wide(state: &impl BuildHasher, key: impl Hash) -> u128 {
    let round = |number: u8| u128::from(state.hash_one((number, &key)));
    round(0) << 64 | round(1)
}

/// The value of the first parameter of that name; empty when it has no `=`.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
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
    use std::hash::RandomState;

    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::Exchange;

    fn read(yaml: &str) -> KeySpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn exchange(target: &str) -> Exchange {
        Exchange::get(target, Instant::now())
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

    #[test]
    fn requests_with_equal_parts_share_a_key() {
        let state = RandomState::new();
        let key = |spec: &str, mut exchange: Exchange| {
            let spec = read(spec);
            exchange.with_request(|request, cx| spec.hash(KeyParts::of(request, cx), 64, &state))
        };
        let from = |ip: &str| exchange("/").from_client(ip.parse().unwrap());
        assert_eq!(key("client_ip", from("2001:db8::1")), key("client_ip", from("2001:db8::2")));
        assert_ne!(key("client_ip", from("10.0.0.1")), key("client_ip", from("10.0.0.2")));
        assert_ne!(key("path", exchange("/a")), key("path", exchange("/b")));
        let user = |name: &str| exchange("/").with_header("x-user", name);
        assert_eq!(key("{ header: X-User }", user("a")), key("{ header: X-User }", user("a")));
        assert_ne!(key("{ header: X-User }", user("a")), key("{ header: X-User }", user("b")));
        assert_eq!(
            key("{ query: id }", exchange("/?a=1&id=7")),
            key("{ query: id }", exchange("/x?id=7&id=8"))
        );
        assert!(key("{ query: id }", exchange("/?id")).is_some());
        let sid = |cookie: &str| key("{ cookie: sid }", exchange("/").with_header("cookie", cookie));
        assert_eq!(sid("a=b; sid=7"), sid("sid=7"));
    }

    #[test]
    fn a_request_without_the_part_has_no_key() {
        for spec in ["{ header: X-User }", "{ cookie: sid }", "{ query: id }"] {
            let spec = read(spec);
            let hash = |mut exchange: Exchange| {
                exchange.with_request(|request, cx| {
                    let parts = KeyParts::of(request, cx);
                    (spec.hash(parts, 64, &RandomState::new()), spec.stable_hash(parts, 64))
                })
            };
            assert_eq!(hash(exchange("/?x=id")), (None, None), "{spec}");
            let empty = exchange("/?id").with_header("x-user", "").with_header("cookie", "sid=");
            let (hash, stable) = hash(empty);
            assert!(hash.is_some() && stable.is_none(), "{spec}");
        }
    }

    #[test]
    fn stable_hashes_never_change() {
        let hash = |spec: &str, mut exchange: Exchange| {
            exchange
                .with_request(|request, cx| read(spec).stable_hash(KeyParts::of(request, cx), 64).unwrap())
        };
        // A test vector of XXH3.
        assert_eq!(
            hash("{ header: X-User }", exchange("/").with_header("x-user", "abc")),
            0x78af_5f94_892f_3950
        );
        let from = |ip: &str| exchange("/").from_client(ip.parse().unwrap());
        assert_eq!(hash("client_ip", from("10.0.0.1")), 0x3356_a62b_2a5b_0ef8);
        assert_eq!(hash("client_ip", from("2001:db8::1")), hash("client_ip", from("2001:db8::2")));
    }
}
